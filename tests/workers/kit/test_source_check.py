"""`check_source` finds sources whose positions do not give the same records again."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest

from wallaroo.connectors.source_classes import Batch, PartitionedSource
from wallaroo.testing.kit import check_source


class Numbers(PartitionedSource[int]):
    """Counts in two partitions, in batches of ten."""

    def partitions(self) -> Iterable[str]:
        return ["even", "odd"]

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        first = (0 if partition == "even" else 1) if position is None else position
        while True:
            yield Batch(list(range(first, first + 20, 2)), first + 20)
            first += 20


class Ending(Numbers):
    """Ends after 95 records, which it gives one by one."""

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        for number in range(position or 0, 95):
            yield number, number + 1


class Awaited(Numbers):
    """Is read on the event loop."""

    async def read(self, partition: str, position: Any, /) -> AsyncIterator[Any]:  # type: ignore[override]
        for first in range(position or 0, 200, 10):
            yield Batch(list(range(first, first + 10)), offsets=list(range(first, first + 10)))


class Shifted(Numbers):
    """Its positions are one record behind."""

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        for batch in super().read(partition, position):
            yield Batch(batch.records, batch.position + 2)


class Restless(Numbers):
    """Gives other records each time."""

    calls = 0

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        self.calls += 1
        while True:
            yield Batch([self.calls] * 10, 0)


class Twice(Numbers):
    """Names a partition twice."""

    def partitions(self) -> Iterable[str]:
        return ["even", "even"]


class Nested(Numbers):
    """Its positions are tuples, which a checkpoint gives back as lists."""

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        first = 0 if position is None else {(20,): 20, (40,): 40}[position]
        yield Batch(list(range(first, first + 20)), (first + 20,))
        yield Batch(list(range(first + 20, first + 40)), (first + 40,))


@pytest.mark.parametrize("source", [Numbers(), Ending(), Awaited()])
def test_a_source_that_keeps_its_promise_passes(source: PartitionedSource[int]) -> None:
    check_source(source, record_count_max=300)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (Shifted(), "has to give the same records"),
        (Restless(), "has to give the same records"),
        (Twice(), "give each name once"),
    ],
)
def test_a_source_that_breaks_its_promise_is_found(
    source: PartitionedSource[int], what: str
) -> None:
    with pytest.raises(AssertionError, match=what):
        check_source(source, record_count_max=300)


def test_positions_come_back_as_a_checkpoint_gives_them() -> None:
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        check_source(Nested())


def test_a_class_in_place_of_an_object_is_refused() -> None:
    with pytest.raises(AssertionError, match="takes an object of a class"):
        check_source(Numbers)  # type: ignore[arg-type]
