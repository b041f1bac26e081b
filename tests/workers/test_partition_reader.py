"""The reader of sources that have only ``read``: turns, collected records, ends and errors."""

from collections.abc import Iterator
from typing import Any

import pytest

from wallaroo.connectors.source_classes import Batch, PartitionedSource
from wallaroo_workers.sources.partition_reader import PartitionReader
from wallaroo_workers.sources.reading import ASKED_AGAIN_S, Pairs


class Scripts(PartitionedSource[Any]):
    """Yields for each partition what its script says; an exception is raised."""

    def __init__(self, **scripts: list[Any]) -> None:
        self.scripts = scripts
        self.closed: list[str] = []

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        try:
            for item in self.scripts[partition]:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.append(partition)


class Time:
    """A clock that moves by a step whenever it is read."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s = 100.0
        self.step_s = step_s
        self.waited_s: list[float] = []

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def wait(self, duration_s: float) -> None:
        self.waited_s.append(duration_s)
        self.now_s += duration_s


def reader_of(time: Time, **scripts: list[Any]) -> PartitionReader:
    reader = PartitionReader(Scripts(**scripts), time, time.wait)
    for name in scripts:
        reader.add(name, None)
    return reader


def plainly(items: Iterator[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return what a reader gave, with records only."""
    return [
        (name, each.records if isinstance(each, Batch | Pairs) else each) for name, each in items
    ]


def test_partitions_get_a_turn_each() -> None:
    one, two = Batch([1], position=1), Batch([2], position=2)
    reader = reader_of(Time(), a=[one, two], b=[one, two])
    assert plainly(reader.poll(1)) == [("a", [1]), ("b", [1])]
    assert plainly(reader.poll(1)) == [("a", [2]), ("b", [2])]
    assert plainly(reader.poll(1)) == [("a", None), ("b", None)]
    assert plainly(reader.poll(1)) == []


def test_a_partition_with_nothing_is_asked_again_after_a_pause() -> None:
    time = Time()
    reader = reader_of(time, a=[None, Batch([1], position=1)])
    assert plainly(reader.poll(1)) == []
    assert plainly(reader.poll(1)) == []
    assert time.waited_s == [pytest.approx(ASKED_AGAIN_S)]
    assert plainly(reader.poll(1)) == [("a", [1])]


def test_a_wait_ends_with_the_time_out_of_the_poll() -> None:
    time = Time()
    reader = reader_of(time, a=[None])
    assert plainly(reader.poll(0.001)) == []
    assert plainly(reader.poll(0.001)) == []
    assert time.waited_s == [0.001]


def test_single_records_are_collected_until_there_is_a_batch_or_a_pause() -> None:
    pairs = [(n, n + 1) for n in range(4)]
    reader = reader_of(Time(), a=[*pairs, Batch([9], position=9), *pairs, None, *pairs])
    assert plainly(reader.poll(1)) == [("a", [0, 1, 2, 3]), ("a", [9])]
    assert plainly(reader.poll(1)) == [("a", [0, 1, 2, 3])]
    reader.poll(1)
    assert plainly(reader.poll(1)) == []
    assert plainly(reader.poll(1)) == [("a", [0, 1, 2, 3]), ("a", None)]


def test_single_records_are_collected_for_a_short_time() -> None:
    reader = reader_of(Time(0.0009), a=[(n, n) for n in range(10)])
    assert plainly(reader.poll(1)) == [("a", [0, 1, 2])]


def test_single_records_make_no_more_than_a_batch() -> None:
    reader = reader_of(Time(), a=[(n, n) for n in range(3000)], b=[(b"x" * (1 << 19), 1)] * 3)
    (_, first), (_, second) = plainly(reader.poll(1))
    assert len(first) == 2000
    assert len(second) == 2


def test_records_before_an_error_are_kept() -> None:
    reader = reader_of(Time(), a=[(1, 1), OSError("gone")], b=[Batch([2], position=2)])
    items = reader.poll(1)
    assert next(items)[1].records == [1]
    with pytest.raises(OSError, match="gone"):
        next(items)
    assert plainly(reader.poll(1)) == [("b", [2])]


def test_a_removed_partition_is_closed_even_within_a_poll() -> None:
    source = Scripts(a=[Batch([1], position=1)], b=[Batch([2], position=2)])
    reader = PartitionReader(source)
    reader.add("a", None)
    reader.add("b", None)
    items = reader.poll(1)
    next(items)
    reader.remove("a")
    reader.remove("b")
    assert plainly(items) == []
    assert source.closed == ["a"]
    reader.close()


def test_closing_closes_all_generators_that_have_begun() -> None:
    source = Scripts(a=[None], b=[None])
    reader = PartitionReader(source)
    reader.add("a", None)
    plainly(reader.poll(0))
    reader.add("b", None)
    reader.close()
    assert source.closed == ["a"]
