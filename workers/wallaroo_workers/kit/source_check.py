"""Checks a source with positions: what it gives again must be what it gave."""

import inspect
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo.describing import text_of, type_name
from wallaroo.ingest.split_batches import SplitBatch
from wallaroo_workers.kit.awaiting import Caller
from wallaroo_workers.loop_watch import watched_source
from wallaroo_workers.sources.author_methods import (
    checked_item,
    has_own,
    is_asynchronous,
    read_state,
)
from wallaroo_workers.sources.partition_reader import AsyncPartitionReader, PartitionReader
from wallaroo_workers.sources.reading import POLL_S, Arrived, Ended, ReadState

STOPS_PER_PARTITION = 20
COMPARED_COUNT_MAX = 200
"""Records that are read and compared behind each stop."""
SILENT_S_MAX = 2.0
"""A partition that gives nothing for so long has no more records for now."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A record, and where a restart reads that comes directly before it."""

    record: Any
    position: Any
    skip_count: int


class _Check:
    """The checks of one source."""

    def __init__(self, source: PartitionedSource[Any], record_count_max: int, seed: int) -> None:
        self._source = source
        self._name = type_name(source)
        self._record_count_max = record_count_max
        self._random = random.Random(seed)
        self._caller = Caller()
        on_loop = is_asynchronous(source)
        self._call = self._caller.call_on_loop if on_loop else self._caller.call
        """Calls methods of readers."""

    def run(self) -> None:
        """Check all partitions."""
        try:
            for partition in self._partitions():
                self._check(partition)
        finally:
            self._caller.close()

    def _partitions(self) -> list[str]:
        names = list(self._caller.call(self._source.partitions))
        assert all(isinstance(name, str) for name in names), (
            f"{self._name}.partitions() gave {names!r}; give names, which are text"
        )
        assert len({*names}) == len(names), (
            f"{self._name}.partitions() gave {names!r}; give each name once"
        )
        again = set(self._caller.call(self._source.partitions))
        assert {*names} <= again, (
            f"{self._name}.partitions() withdrew {sorted({*names} - again)!r} when it was called "
            "again; a partition stays for ever"
        )
        return names

    def _check(self, partition: str) -> None:
        start = self._caller.call(self._source.start, partition)
        given = self._read(partition, start, self._record_count_max)
        for index in self._stops(len(given)):
            stop = given[index]
            wanted = [each.record for each in given[index : index + COMPARED_COUNT_MAX]]
            found = self._read(partition, stop.position, stop.skip_count + len(wanted))
            self._compare(partition, index, wanted, [each.record for each in found], stop)

    def _stops(self, count: int) -> list[int]:
        drawn = {self._random.randrange(count) for _ in range(STOPS_PER_PARTITION)} if count else ()
        return sorted({0, count - 1, *drawn}) if count else []

    def _compare(
        self, partition: str, index: int, wanted: list[Any], found: list[Any], stop: _Taken
    ) -> None:
        found = found[stop.skip_count :]
        at = f"partition {partition!r} of {self._name}, read again from {stop.position!r}"
        if stop.skip_count:
            at += f" without the first {stop.skip_count} records"
        for number, record in enumerate(wanted):
            assert number < len(found), (
                f"{at}: record {index + number} is missing; it was {text_of(record)}"
            )
            assert _same(found[number], record), (
                f"{at}: record {index + number} was {text_of(record)} and is now "
                f"{text_of(found[number])}; the same position has to give the same records"
            )

    # Reading

    def _read(self, partition: str, position: Any, count: int) -> list[_Taken]:
        """Read up to so many records from a position, with a reader of its own."""
        state = read_state(self._source, "check_source")
        state.add(partition, 0, position)
        taken: list[_Taken] = []
        for batch in self._batches(state, partition, position):
            base, position = position, batch.position if batch.records else position
            for index, record in enumerate(batch.records):
                taken.append(_Taken(record, *batch.position_after(index, base)))
            if len(taken) >= count:
                break
        return taken[:count]

    def _batches(self, state: ReadState, partition: str, position: Any) -> Iterator[SplitBatch]:
        reader = self._reader()
        silent_from_s = time.monotonic()
        try:
            self._call(reader.add, partition, position)
            while time.monotonic() - silent_from_s < SILENT_S_MAX:
                for item in self._call(reader.poll, POLL_S):
                    message = state.message(*checked_item(self._source, item))
                    if isinstance(message, Ended):
                        return
                    if isinstance(message, Arrived) and message.batch.records:
                        silent_from_s = time.monotonic()
                        yield message.batch
        finally:
            self._call(reader.close)

    def _reader(self) -> Any:
        if has_own(self._source, "reader"):
            return self._call(self._source.reader)
        if is_asynchronous(self._source):
            return self._call(AsyncPartitionReader, self._source, watched_source("check"))
        return PartitionReader(self._source)


def _same(one: Any, other: Any) -> bool:
    """Return whether records are equal; those of classes without ``__eq__``, by their contents."""
    if one == other:
        return True
    if type(one) is not type(other) or "__eq__" in type(one).__dict__:
        return False
    return hasattr(one, "__dict__") and vars(one) == vars(other)


def check(source: PartitionedSource[Any], *, record_count_max: int, seed: int) -> None:
    """Check a source, see `wallaroo.testing.kit.check_source`."""
    if not isinstance(source, PartitionedSource) or inspect.isclass(source):
        raise AssertionError(
            "check_source() takes an object of a class derived from wallaroo.PartitionedSource; "
            "check_pushed_source() checks a PushedSource, which has no positions"
        )
    _Check(source, record_count_max, seed).run()
