"""The protocols of sources and sinks, as a plan holds them.

A kind of source or sink is a value of a plan, which says what it is and what it promises. What
reads or writes is its runner, which the value names. The other parts of the runtime ask the value,
never for its class, so a package of its own can bring a connector.
"""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from wallaroo.function_names import value_text


class Source(Protocol):
    """The source of a pipeline's records."""

    def describe(self) -> str:
        """Return one line for the plan: kind and address or path."""
        ...


@runtime_checkable
class PayloadSource(Source, Protocol):
    """A source of bytes, which a function of the application decodes to records.

    Any worker can decode a payload again, so it may travel instead of its record.
    """

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Converts a payload to a record; ``None`` drops the payload."""
        ...


class Promise(enum.Enum):
    """What a sink promises if checkpoints are on; without them, each is at least once."""

    AT_LEAST_ONCE = "at least once"
    """Results are written as they are made. A checkpoint waits until the sink has them."""
    STAGED_FILE = "staged file"
    """Each worker stages its results beside a file; a committed checkpoint appends them."""
    OUTBOX = "outbox"
    """Batches are kept in the checkpoint store, and written with a number after the commit."""
    TWO_PHASES = "two phases"
    """Results are prepared at the barrier. What the checkpoint names is committed."""


class Sink(Protocol):
    """A destination of a pipeline's records."""

    @property
    def runner(self) -> str:
        """``module:function``, which makes the runner on a worker: ``function(sink, context)``.

        The context is a `SinkContext`, the result a `SinkRunner`, both of `wallaroo.worker`.
        """
        ...

    @property
    def promise(self) -> Promise:
        """What it promises if checkpoints are on."""
        ...

    @property
    def takes_bytes(self) -> bool:
        """Whether rows are bytes: a ``str`` becomes UTF-8, anything else is a dead letter.

        If not, the sink gets what the encoder returned, or the records if there is no encoder.
        """
        ...

    @property
    def encode(self) -> Callable[[Any], Any] | None:
        """Converts a record to a row; ``None`` instead of a row writes nothing."""
        ...

    @property
    def name(self) -> str | None:
        """The name that the user gave; ``None`` stands for ``sink N``, its position in the plan."""
        ...

    @property
    def path(self) -> str | None:
        """The file that it writes on the host of the command, as the application says it."""
        ...

    def describe(self) -> str:
        """Return one line for the plan: kind and address or path."""
        ...

    def identity(self) -> str:
        """Return what makes it the same sink, for checkpoints and for other processes."""
        ...


def identity_of(connector: Any, *, leaving_out: frozenset[str] = frozenset()) -> str:
    """Return the class and the fields of a connector that is a dataclass.

    Outlines have this text, and are part of the format of checkpoints. So a new field has to be
    left out, and so has whatever may change from one run to the next.
    """
    settings = (
        f"{each.name}={value_text(getattr(connector, each.name))}"
        for each in dataclasses.fields(connector)
        if each.name not in leaving_out
    )
    return f"{type(connector).__name__}({', '.join(settings)})"
