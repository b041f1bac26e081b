"""What a plan knows of the outside: sources that bring records, sinks that take them.

A new kind of source or sink is a frozen dataclass here in ``wallaroo.connectors`` (what it is) and
a runner in ``wallaroo_workers`` (how it reads or writes).
"""

from typing import Protocol


class Source(Protocol):
    """Where the records of a pipeline come from."""

    def describe(self) -> str:
        """One line for the plan: kind and place."""
        ...


class Sink(Protocol):
    """Where the records of a pipeline go."""

    def describe(self) -> str:
        """One line for the plan: kind and place."""
        ...
