"""Counts numbered lines by key, into a folder that keeps each batch as one file, exactly once.

A slot is a folder, and a batch is a file in it, named by its number. Opening a slot renames the
folder, so a process that opened it before finds it no more. ``--die POINT`` ends the process with
SIGKILL at a point of the sink, once for each point; ``--die-all POINT`` ends the initializer.
"""

import argparse
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import decode_text


class Seen:
    def __init__(self) -> None:
        self.count = 0


class Batches(wallaroo.OnceSink[tuple[str, int]]):
    """Rows and number are one file, and its name appears in one step."""

    def __init__(self, folder: Path, points: list[str], points_of_all: list[str]) -> None:
        self.folder, self.points, self.points_of_all = folder, points, points_of_all

    def open(self, slot: str, /) -> None:
        self.at("opening again")
        if not self.folder.exists():
            raise OSError("the target is away")
        found = [path for path in self.folder.iterdir() if path.name.rpartition("@")[0] == slot]
        self.slot = self.folder / f"{slot}@{time.time_ns()}"
        if found:
            found[0].rename(self.slot)
        else:
            self.slot.mkdir()
        self.at("opened again")

    def last(self) -> int | None:
        numbers = [int(path.name) for path in self.slot.iterdir() if path.name.isdecimal()]
        return max(numbers, default=None)

    def write(self, records: list[tuple[str, int]], number: int, /) -> None:
        self.at("begun")
        written = self.slot / "written"
        with written.open("wb") as file:
            file.write(pickle.dumps(records)[:20])
            file.flush()
            self.at("half")
            file.seek(0)
            file.write(pickle.dumps(records))
        self.at("all")
        written.rename(self.slot / f"{number}")
        self.at("committed")

    def close(self) -> None:
        self.at("closed")

    def at(self, point: str) -> None:
        """End a process, if that is wanted here and has not been done before."""
        folder = self.folder.parent
        if point not in (*self.points, *self.points_of_all):
            return
        if point.endswith("again") and not [*folder.glob("done-*")]:
            return
        try:
            (folder / f"done-{point}").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid() if point in self.points else os.getppid(), signal.SIGKILL)
        time.sleep(60)  # a worker without initializer ends by itself


def rows_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield all rows of all slots, in the order in which they were written."""
    batches = [path for path in folder.glob("*@*/*") if path.name.isdecimal()]
    for path in sorted(batches, key=lambda each: (each.stat().st_mtime_ns, int(each.name))):
        yield from pickle.loads(path.read_bytes())


@wallaroo.partition
def key_of(line: str) -> str:
    return line.split()[0]


@wallaroo.state_computation("count")
def count(line: str, seen: Seen) -> tuple[tuple[str, int], bool]:
    # Slow enough for several checkpoints.
    time.sleep(0.0003)
    seen.count += 1
    return (line.split()[0], seen.count), True


def application_setup(args: list[str]) -> wallaroo.Application:
    parser = argparse.ArgumentParser()
    parser.add_argument("--die", action="append", default=[])
    parser.add_argument("--die-all", action="append", default=[])
    parser.add_argument("--target", default="target")
    options, _ = parser.parse_known_args(args)
    target = Path(options.target).absolute()
    sink: Any = Batches(target, options.die, options.die_all)
    source: Any = wallaroo.FileSourceConfig("lines.txt", decode_text, "newline")
    if "--in" in args:
        (address,) = wallaroo.tcp_parse_input_addrs(args)
        source = wallaroo.TCPSourceConfig(*address, decode_text)
    return (
        wallaroo.ApplicationBuilder("once")
        .new_pipeline("lines", source)
        .to_state_partition(count, Seen, "seen", key_of)
        .to_sink(sink)
        .build()
    )
