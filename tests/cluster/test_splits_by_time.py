"""Partitions with old records: one that is read later than another has no late records."""

from collections.abc import Iterable, Iterator
from typing import Any

import wallaroo
from wallaroo import aggregate, seconds
from wallaroo.testing import TestSink

RECORDS = 60
LOOKS = 20
"""How often the slow partition has nothing after the quick one is processed."""
processed: list[int] = []


@wallaroo.timestamp("s")
def second_of(second: int) -> int:
    return second


class Days(wallaroo.PartitionedSource[int]):
    """``empty`` has no record, and those of ``slow`` come behind all of ``quick``."""

    time = wallaroo.event_time(second_of)

    def partitions(self) -> Iterable[str]:
        return ["empty", "quick", "slow"]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        if partition == "empty":
            yield wallaroo.Batch([], 0, is_caught_up=True)
        if partition == "slow":
            while len(processed) < RECORDS:
                yield None
            for _ in range(LOOKS):
                yield None
        if partition != "empty":
            yield wallaroo.Batch([*range(RECORDS)], RECORDS)


def seen(second: int) -> int:
    processed.append(second)
    return second


def test_a_partition_that_is_read_later_has_no_late_records() -> None:
    processed.clear()
    sink = TestSink()
    counts = wallaroo.tumbling(seconds(10)).over(aggregate.count())
    pipeline = wallaroo.source("days", Days()).map(seen).key_by(lambda second: "all").to(counts)
    application = wallaroo.build_application("days", pipeline.to_sink(sink))
    wallaroo.run(application, workers=0)
    assert [result.value for result in sink.records] == [20] * 6
