"""The protocols of sources and sinks, as a plan holds them.

A new kind of source or sink is a frozen dataclass here in ``wallaroo.connectors``, which says what
it is, and a runner in ``wallaroo_workers``, which reads or writes.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable


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


class Sink(Protocol):
    """A destination of a pipeline's records."""

    def describe(self) -> str:
        """Return one line for the plan: kind and address or path."""
        ...
