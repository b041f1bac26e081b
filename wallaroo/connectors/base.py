"""What a plan knows of sources and sinks, and what applications give to declare them.

A plan holds a *source* or a *sink*: a value that says what others have to know of it. What an
application gives is a *config*: an object that checks itself and makes that value. A kind of source
is one class of each, and a runner in ``wallaroo_workers`` or in a package of its own. Nothing else
asks for the class of a source: the coordinator, the worker and the simulator ask for its values.
"""

import dataclasses
import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol

from wallaroo.connectors.keyed_records import SourceKey
from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.function_names import value_text
from wallaroo.timing.spec import SourceTime
from wallaroo.type_variables import R_co, R_contra


class Assignment(enum.Enum):
    """Which workers run a source."""

    EVERY_WORKER = "every worker"
    """All of them, each for what it receives itself."""
    ONE_WORKER = "one worker"
    """One of them, for the whole cluster."""
    BY_SPLIT = "by split"
    """Each of them reads the splits that the coordinator assigns to it."""


class Source(ABC):
    """The source of a pipeline's records.

    The defaults describe a source that has a position, goes on for ever and hands out objects.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def assignment(self) -> Assignment:
        """Which workers run it."""

    @property
    @abstractmethod
    def runner(self) -> str:
        """The function that makes a worker's runner, as ``module:function``.

        Only workers import the module, so it may do I/O, and may belong to any package. The
        function gets a ``wallaroo_workers.sources.context.SourceContext``; what it returns follows
        from ``assignment``, see ``wallaroo.ingest.source_ports``.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line for the plan: kind and address or path."""

    @abstractmethod
    def identity(self) -> str:
        """Return its kind and what all processes of a run must agree on: ``Kind(setting=text)``.

        The outline of a plan keeps it. A setting named ``identity`` comes first, before
        ``decode``: with another one than in a checkpoint the positions there cannot be used.
        """

    @property
    def kind(self) -> str:
        """Its class, as outlines and metrics name it."""
        return type(self).__name__

    @property
    def keeps_journal(self) -> bool:
        """Whether workers write down what it receives, because nobody can be asked for it again."""
        return False

    @property
    def listening_address(self) -> str:
        """``host:port`` at which workers accept senders; empty if it does not listen.

        The initializer reserves it before any worker is started.
        """
        return ""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that have to be there at the start."""
        return ()

    @property
    def decoder(self) -> Callable[[Any], Any] | None:
        """Converts a payload to a record, or to ``None`` to drop it.

        Without a decoder the source hands out records.

        Any worker can decode a payload again, so it may travel instead of its record.
        """
        return None

    @property
    def key(self) -> SourceKey | None:
        """How the keys that it gives with its records become keys; ``None`` if it gives none.

        With keys, what a runner hands out to the engine is ``KeyedRecords``.
        """
        return None

    @property
    def time(self) -> SourceTime | None:
        """Where the times of its records are from; ``None``: when they were read."""
        return None

    @property
    def frames(self) -> PayloadFrames | None:
        """How payloads lie in the stream or file; ``None`` if it does not read bytes."""
        return None

    @property
    def reads_stdin(self) -> bool:
        """Whether its worker needs the standard input of the command as descriptor 0."""
        return False

    @property
    def ends(self) -> bool:
        """Whether it ends by itself and reports that, so that the run can end with it."""
        return False

    def journalled(self, frames: bytes) -> list[Any]:
        """Return what an entry of the journal holds, as the runner hands it out.

        Raises ``ValueError`` if the entry does not have the form that this source writes.
        """
        raise ValueError(f"a {self.kind} writes no journal")

    def generated(self) -> Iterator[Any] | None:
        """Yield the records, if the application makes them itself; ``None`` otherwise."""
        return None


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
    def kind(self) -> str:
        """Its class, as metrics name it."""
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
    def label(self) -> str | None:
        """What metrics call it if it has no name; ``None`` stands for ``sink N``."""
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


class SourceConfig(ABC, Generic[R_co]):
    """What an application gives to ``new_pipeline``: a source of records ``R``."""

    @abstractmethod
    def source(self) -> Source:
        """Return the source for the plan; do not call it if there are mistakes."""

    @abstractmethod
    def mistakes_at(self, place: str, /) -> Iterable[str]:
        """Return a sentence for each mistake, with place and remedy.

        ``place`` is the line that uses it, for a config that does not know the line that made it.
        """


class SinkConfig(ABC, Generic[R_contra]):
    """What an application gives to ``to_sink`` and ``to_sinks``: a sink for records ``R``."""

    @abstractmethod
    def sink(self) -> Sink:
        """Return the sink for the plan; do not call it if there are mistakes."""

    @abstractmethod
    def mistakes_at(self, place: str, /) -> Iterable[str]:
        """Return a sentence for each mistake, as for a source."""
