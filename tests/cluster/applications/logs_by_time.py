"""Counts the lines of two logs in windows of ten seconds; a line is the second of its event.

The source has the partitions ``slow`` and ``quick``: files that grow. Results are in ``out``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import encode_text
from wallaroo import aggregate

Record = tuple[str, int]
"""The partition, and the second."""


@wallaroo.timestamp("s")
def second_of(record: Record) -> int:
    return record[1]


class Logs(wallaroo.PartitionedSource[Record]):
    time = wallaroo.event_time(second_of, idle_after=wallaroo.seconds(6))

    def __init__(self) -> None:
        self.folder = Path.cwd()

    def partitions(self) -> Iterable[str]:
        return ["slow", "quick"]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        taken = 0 if position is None else position
        while True:
            lines = (self.folder / partition).read_text().splitlines()
            if len(lines) > taken:
                records = [(partition, int(line)) for line in lines[taken:]]
                taken = len(lines)
                yield wallaroo.Batch(records, position=taken)
            yield None


def name_of(record: Record) -> str:
    return record[0]


def line_of(result: Any) -> str:
    return f"{result.key} {result.start // wallaroo.seconds(1)} {result.value}"


def application_setup(args: list[str]) -> wallaroo.Application:
    window = wallaroo.tumbling(wallaroo.seconds(10)).over(aggregate.count())
    results = wallaroo.source("logs", Logs()).key_by(name_of).to(window).map(line_of)
    return wallaroo.build_application(
        "logs by time", results.to_sink(wallaroo.FileSinkConfig("out", encode_text))
    )
