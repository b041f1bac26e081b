"""A source that gives items of the test, and a sink from which the test reads the results.

They are ordinary configurations, for clusters that the test starts with ``wallaroo.run()``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.connectors.base import Assignment, Promise, SinkConfig, Source, SourceConfig
from wallaroo.describing import a_type
from wallaroo.type_variables import R_co


class TestSource(SourceConfig[R_co]):
    """Gives ``items`` as records, in order and once, and ends; one worker runs it.

    With checkpoints on it goes on behind the last one after a crash, as any source with a position.
    """

    __test__ = False  # pytest takes classes with such names for tests

    def __init__(self, items: Iterable[R_co], name: str | None = None) -> None:
        self.name = name
        self._mistakes = [*_source_mistakes(items, name)]
        self.items: tuple[R_co, ...] = () if self._mistakes else tuple(items)

    def source(self) -> Source:
        """Return the source for the plan."""
        return GivenItems(self.items, self.name)

    def mistakes_at(self, place: str, /) -> Iterable[str]:
        """Return a sentence for each mistake."""
        return [f"{place}: {each}" for each in self._mistakes]


def _source_mistakes(items: object, name: object) -> Iterator[str]:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        yield f"the items of TestSource are {a_type(items)}; give a list"
    if name is not None and not isinstance(name, str):
        yield f"the name of TestSource is {a_type(name)}; give a text"


class TestSink(SinkConfig[Any]):
    """Keeps what it gets in ``records``, in the process that has started the run.

    With workers of their own, the records come back pickled. After a crash with checkpoints, those
    since the last checkpoint come again: the sink is at least once.
    """

    __test__ = False

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.records: list[Any] = []

    def __reduce__(self) -> Any:
        # Workers need no records.
        return type(self), (self.name,)

    def sink(self) -> "KeptRows":
        """Return the sink for the plan."""
        return KeptRows(self, self.name)

    def mistakes_at(self, place: str, /) -> Iterable[str]:
        """Return a sentence for each mistake."""
        if self.name is None or (isinstance(self.name, str) and self.name):
            return ()
        return (f"{place}: the name of TestSink is {self.name!r}; give a text",)


@dataclass(frozen=True, slots=True)
class GivenItems(Source):
    """Items of a test; the position is the number of the next one."""

    items: tuple[Any, ...]
    name: str | None

    assignment = Assignment.ONE_WORKER
    runner = "wallaroo_workers.sources.given_items:new_runner"
    kind = "TestSource"
    ends = True

    def generated(self) -> Iterator[Any]:
        """Yield the items."""
        return iter(self.items)

    def describe(self) -> str:
        """Return one line for the plan."""
        named = "" if self.name is None else f" {self.name}"
        return f"test source{named} with {len(self.items)} items"

    def identity(self) -> str:
        """Return its kind: the position is valid for a longer list too."""
        return "TestSource()"


@dataclass(frozen=True, slots=True)
class KeptRows:
    """A sink whose rows go to the process that has started the run."""

    kind: ClassVar[str] = "TestSink"
    runner: ClassVar[str] = "wallaroo_workers.sinks.kept_rows:new_runner"
    promise: ClassVar[Promise] = Promise.AT_LEAST_ONCE
    takes_bytes: ClassVar[bool] = False
    encode: ClassVar[None] = None
    path: ClassVar[None] = None
    label: ClassVar[None] = None

    sink: TestSink
    name: str | None

    def keep(self, rows: list[Any]) -> None:
        """Keep rows, in that process."""
        self.sink.records += rows

    def clear(self) -> None:
        """Forget the rows of an earlier run."""
        self.sink.records = []

    def describe(self) -> str:
        """Return one line for the plan."""
        return "test sink" if self.name is None else f"test sink {self.name}"

    def identity(self) -> str:
        """Return its kind: nothing depends on it."""
        return "TestSink()"
