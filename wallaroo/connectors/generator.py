"""A source that generates its records, as a value of the plan."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

R = TypeVar("R")


class RecordGenerator(Protocol[R]):
    """The user's object for ``GenSourceConfig``."""

    def initial_value(self) -> R | None:
        """Return the first record; ``None`` ends the source."""
        ...

    def apply(self, value: R, /) -> R | None:
        """Return the record that follows ``value``; ``None`` ends the source."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratorSource:
    """Runs ``generator`` once in the cluster, as fast as its records are taken."""

    generator: RecordGenerator[Any]

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"generator {type(self.generator).__name__}"
