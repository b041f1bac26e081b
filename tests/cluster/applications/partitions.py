"""Counts the numbers of a source with partitions by their key, into the file ``out``.

Arguments: how many partitions there are, how many numbers each has, and what to do besides:
``hang`` hangs once in ``read``, ``hangs`` does so each time, ``refuse`` ends one partition with an
error, ``unpackable`` gives a position that no checkpoint can store, ``async`` reads on the event
loop, ``resumes`` goes on with partitions that had ended, if there are more numbers now, ``waits``
keeps the last numbers back until there is a file ``finish``. A source reads its folder for names of
further partitions, ``more-NAME``.
"""

import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import encode_text

BATCH = 50
KEYS = 20


class Numbers(wallaroo.PartitionedSource[tuple[str, int]]):
    """Counts in each partition, and pauses for a moment after each batch."""

    def __init__(self, partition_count: int, number_count: int, chosen: set[str]) -> None:
        self.partition_count = partition_count
        self.number_count = number_count
        self.chosen = chosen
        self.folder = Path.cwd()

    def partitions(self) -> Iterable[str]:
        return [f"p{number}" for number in range(self.partition_count)]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        start = 0 if position is None else position
        hangs = partition == "p0" and not self.chosen.isdisjoint(("hang", "hangs"))
        if hangs and start >= self.number_count // 2:
            self._hang()
        for n in range(start, self.number_count, BATCH):
            if "refuse" in self.chosen and partition == "p1" and n >= self.number_count // 2:
                raise wallaroo.SourceError("numbers are missing", "put them back", partition)
            if "unpackable" in self.chosen:
                yield wallaroo.Batch([(partition, n)], position=object())
            end = min(n + BATCH, self.number_count)
            while end == self.number_count and self._waits():
                yield None
            yield wallaroo.Batch([(partition, each) for each in range(n, end)], position=end)
            if hangs and end >= self.number_count // 2:
                self._hang()
            yield None

    def _waits(self) -> bool:
        return "waits" in self.chosen and not (self.folder / "finish").exists()

    def _hang(self) -> None:
        mark = self.folder / "hung"
        if "hangs" in self.chosen or not mark.exists():
            mark.write_text(str(os.getpid()))
            threading.Event().wait()

    def end(self, partition: str) -> int:
        return self.number_count


class Resuming(Numbers):
    """Goes on if there are more numbers than an earlier run has read."""

    def resume(self, partition: str, position: Any) -> Any:
        return position if position < self.number_count else None


class AsyncNumbers(Numbers):
    """The same on the event loop."""

    async def read(self, partition: str, position: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        for item in super().read(partition, position):
            yield item


class Growing(Numbers):
    """Looks again and again for further partitions."""

    discovery = timedelta(milliseconds=50)

    def partitions(self) -> Iterable[str]:
        more = [path.name.removeprefix("more-") for path in self.folder.glob("more-*")]
        return [*super().partitions(), *more]


@wallaroo.partition
def key_of(record: tuple[str, int]) -> str:
    return f"{record[0]}.{record[1] % KEYS}"


@wallaroo.state_computation("count")
def count(record: tuple[str, int], seen: list[int]) -> tuple[str, bool]:
    seen.append(record[1])
    # Out of order within a partition, or twice: a line that nobody expects.
    is_in_order = record[1] // KEYS == len(seen) - 1
    return f"{key_of.function(record)} {len(seen) if is_in_order else seen}", True


def application_setup(args: list[str]) -> wallaroo.Application:
    partition_count, number_count, *chosen = [each for each in args[1:] if not each.startswith("-")]
    kinds = {"async": AsyncNumbers, "growing": Growing, "resumes": Resuming}
    kind = next((kinds[each] for each in chosen if each in kinds), Numbers)
    source = kind(int(partition_count), int(number_count), set(chosen))
    return (
        wallaroo.ApplicationBuilder("partitions")
        .new_pipeline("numbers", source)
        .to_state_partition(count, list, "seen", key_of)
        .to_sink(wallaroo.FileSinkConfig("out", encode_text))
        .build()
    )
