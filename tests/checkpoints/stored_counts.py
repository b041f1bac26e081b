"""The application of the stored checkpoint with splits: its classes are named there, so keep it.

Numbers of two partitions are counted by their last two digits. Some numbers delete the count of
their key. Results go to a sink that is exactly once and to one of two phases, which both write into
the folder ``target``, and are away while it has a file ``away``.
"""

import os
import pickle
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import wallaroo

LIMIT = 6000
KEYS = 100
DELETES_EACH = 7
BATCH = 50
TARGET = Path("target")


class Count:
    def __init__(self) -> None:
        self.count = 0


class Numbers(wallaroo.PartitionedSource[int]):
    """Counts in two partitions; slowly, so that a run can be killed in the middle."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    def partitions(self) -> Iterable[str]:
        return ["even", "odd"]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        first = ("even", "odd").index(partition) if position is None else position
        for n in range(first, LIMIT, 2 * BATCH):
            end = min(n + 2 * BATCH, LIMIT + first % 2)
            time.sleep(self.pause_s)
            yield wallaroo.Batch([*range(n, min(end, LIMIT), 2)], position=end)


@wallaroo.partition
def key_of(number: int) -> str:
    return f"{number % KEYS:02}"


@wallaroo.state_computation("count")
def count(number: int, seen: Count) -> tuple[tuple[str, int], Any]:
    seen.count += 1
    result = (f"{number % KEYS:02}", seen.count)
    return result, wallaroo.DELETE if deletes(number) else True


def deletes(number: int) -> bool:
    """Return whether this number ends the count of its key; the last ones of some keys do."""
    return number // KEYS % 10 == 9 and number % KEYS % DELETES_EACH == 0


def be_there() -> None:
    if (TARGET / "away").exists():
        raise OSError("the target is away")


class Batches(wallaroo.OnceSink[Any]):
    """Keeps each batch as a file that is named by its slot and number."""

    name = "batches"

    def open(self, slot: str, /) -> None:
        be_there()
        self.slot = slot

    def last(self) -> int | None:
        found = TARGET.glob(f"{self.slot}@*.batch")
        return max((int(path.stem.rpartition("@")[2]) for path in found), default=None)

    def write(self, records: list[Any], number: int, /) -> None:
        be_there()
        write(TARGET / f"{self.slot}@{number}.batch", records)


class Parts(wallaroo.TwoPhaseSink[Any]):
    """Prepares hidden files, and makes them visible."""

    name = "parts"

    def open(self, slot: str, /) -> None:
        be_there()
        self.slot, self.rows = slot, list[Any]()

    def write(self, records: list[Any], /) -> None:
        self.rows += records

    def prepare(self) -> bytes | None:
        name = f"{self.slot}@{time.time_ns()}"
        write(TARGET / f"{name}.prepared", self.rows)
        self.rows = []
        return name.encode()

    def commit(self, token: bytes, /) -> None:
        be_there()
        prepared = TARGET / f"{token.decode()}.prepared"
        if prepared.exists():
            prepared.rename(prepared.with_suffix(".part"))

    def abort(self, token: bytes, /) -> None:
        (TARGET / f"{token.decode()}.prepared").unlink(missing_ok=True)

    def prepared(self) -> list[bytes]:
        return [path.stem.encode() for path in TARGET.glob(f"{self.slot}@*.prepared")]


def write(path: Path, records: list[Any]) -> None:
    writing = path.with_suffix(".writing")
    writing.write_bytes(pickle.dumps(records))
    os.replace(writing, path)


def application_setup(args: list[str]) -> wallaroo.Application:
    TARGET.mkdir(exist_ok=True)
    return (
        wallaroo.ApplicationBuilder("stored counts")
        .new_pipeline("numbers", Numbers(0.15 if "--slow" in args else 0.0))
        .to_state_partition(count, Count, "counts", key_of)
        .to_sinks([Batches(), Parts()])
        .build()
    )
