"""What a plan knows of the outside: sources that bring records, sinks that take them.

A new kind of source or sink is a frozen dataclass here in ``wallaroo.connectors`` (what it is) and
a runner in ``wallaroo_workers`` (how it reads or writes).
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable


class Source(Protocol):
    """Where the records of a pipeline come from."""

    def describe(self) -> str:
        """One line for the plan: kind and place."""
        ...


@runtime_checkable
class PayloadSource(Source, Protocol):
    """A source that brings bytes, which a function of the application makes records of.

    Any worker can decode a payload again, so it may travel in place of its record.
    """

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Payload to record; ``None`` drops the payload."""
        ...


class Sink(Protocol):
    """Where the records of a pipeline go."""

    def describe(self) -> str:
        """One line for the plan: kind and place."""
        ...
