"""A source that generates its records, as a value of the plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from wallaroo.connectors.base import Assignment, Source, identity_of
from wallaroo.timing.spec import SourceTime

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
class GeneratorSource(Source):
    """Runs ``generator`` once in the cluster, as fast as its records are taken."""

    generator: RecordGenerator[Any]
    time: SourceTime | None = None
    """Where the times of its records are from; ``None``: when they were made."""

    assignment = Assignment.ONE_WORKER
    runner = "wallaroo_workers.sources.generator:new_runner"

    def generated(self) -> Iterator[Any]:
        """Yield the generator's records."""
        value = self.generator.initial_value()
        while value is not None:
            yield value
            value = self.generator.apply(value)

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"generator {type(self.generator).__name__}"

    def identity(self) -> str:
        """Return the class of the generator."""
        return identity_of(self, leaving_out=frozenset({"time"}))
