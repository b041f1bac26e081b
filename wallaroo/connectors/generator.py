"""A source that makes its own records, as the plan knows it."""

from dataclasses import dataclass
from typing import Any, Protocol


class Generator(Protocol):
    """What the user hands to ``GenSourceConfig``."""

    def initial_value(self) -> Any:
        """Return the first record; ``None`` ends the source."""
        ...

    def apply(self, value: Any) -> Any:
        """Return the record that follows ``value``; ``None`` ends the source."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratorSource:
    """Runs ``generator`` once in the cluster, as fast as its records are taken."""

    generator: Generator

    def describe(self) -> str:
        """One line for the plan."""
        return f"generator {type(self.generator).__name__}"
