"""Partitions with old records: one that is read later than another has no late records."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wallaroo
from wallaroo import aggregate, seconds
from wallaroo.testing import TestSink

RECORDS = 60
LOOKS = 20
"""How often the slow partition has nothing after the quick one was read."""


@wallaroo.timestamp("s")
def second_of(second: int) -> int:
    return second


class Days(wallaroo.PartitionedSource[int]):
    """``empty`` has no record, and those of ``slow`` come behind all of ``quick``."""

    time = wallaroo.event_time(second_of)

    def __init__(self, folder: Path) -> None:
        self._quick_is_read = folder / "quick is read"

    def partitions(self) -> Iterable[str]:
        return ["empty", "quick", "slow"]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        if partition == "empty":
            yield wallaroo.Batch([], 0, is_caught_up=True)
            return
        if partition == "slow":
            while not self._quick_is_read.exists():
                yield None
            for _ in range(LOOKS):
                yield None
        yield wallaroo.Batch([*range(RECORDS)], RECORDS)
        if partition == "quick":
            self._quick_is_read.touch()


def one_key(second: int) -> str:
    return "all"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_partition_that_is_read_later_has_no_late_records(tmp_path: Path, workers: int) -> None:
    sink = TestSink()
    counts = wallaroo.tumbling(seconds(10)).over(aggregate.count())
    pipeline = wallaroo.source("days", Days(tmp_path)).key_by(one_key).to(counts)
    application = wallaroo.build_application("days", pipeline.to_sink(sink))
    wallaroo.run(application, workers=workers)
    assert [result.value for result in sink.records] == [20] * 6
