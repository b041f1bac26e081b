"""Counts numbered lines by key, into files that become visible by a rename, exactly once.

``--die POINT`` ends the process with SIGKILL at a point of the sink, once for each point;
``--die-all POINT`` ends the initializer.
"""

import argparse
import os
import pickle
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import decode_text


class Seen:
    def __init__(self) -> None:
        self.count = 0


class Parts(wallaroo.TwoPhaseSink[tuple[str, int]]):
    """A part is a hidden file until it is committed."""

    def __init__(self, folder: Path, points: list[str], points_of_all: list[str]) -> None:
        self.folder, self.points, self.points_of_all = folder, points, points_of_all

    def open(self, slot: str, /) -> None:
        self.at("opening again")
        self.slot = slot
        self.rows: list[tuple[str, int]] = []
        if not self.folder.exists():
            raise OSError("the target is away")
        self.at("opened again")

    def write(self, records: list[tuple[str, int]], /) -> None:
        self.at("write")
        self.rows += records

    def prepare(self) -> bytes:
        self.at("before prepare")
        name = f"{self.slot}.{uuid.uuid4().hex}"
        writing = self.folder / f".{name}.writing"
        writing.write_bytes(pickle.dumps(self.rows))
        writing.rename(self.folder / f".{name}")
        self.rows = []
        self.at("prepared")
        return name.encode()

    def commit(self, token: bytes, /) -> None:
        self.at("before commit")
        hidden = self.folder / f".{token.decode()}"
        if hidden.exists():
            hidden.rename(self.folder / token.decode())
        elif not self.folder.exists():
            raise OSError("the target is away")
        self.at("committed")

    def abort(self, token: bytes, /) -> None:
        (self.folder / f".{token.decode()}").unlink(missing_ok=True)

    def prepared(self) -> list[bytes]:
        hidden = self.folder.glob(f".{self.slot}.*")
        return [path.name[1:].encode() for path in hidden if path.suffix != ".writing"]

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
    """Yield all rows that are visible."""
    for path in folder.iterdir():
        if not path.name.startswith("."):
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
    options, _ = parser.parse_known_args(args)
    target = Path("target").absolute()
    sink: Any = Parts(target, options.die, options.die_all)
    source: Any = wallaroo.FileSourceConfig("lines.txt", decode_text, "newline")
    if "--in" in args:
        (address,) = wallaroo.tcp_parse_input_addrs(args)
        source = wallaroo.TCPSourceConfig(*address, decode_text)
    return (
        wallaroo.ApplicationBuilder("parts")
        .new_pipeline("lines", source)
        .to_state_partition(count, Seen, "seen", key_of)
        .to_sink(sink)
        .build()
    )
