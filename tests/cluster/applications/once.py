"""Counts numbered lines by key, into a folder that keeps each batch as one file, exactly once.

A slot is a folder, and a batch is a file in it, named by its number. Opening a slot renames the
folder, so a process that opened it before finds it no more. ``killed_sinks`` has its options. With
``--poison KEY`` the target refuses the third count of this key, after half of the batch.
"""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import wallaroo
from killed_sinks import Killed, application


class Batches(Killed, wallaroo.OnceSink[tuple[str, int]]):
    """Rows and number are one file, and its name appears in one step."""

    poison = ""
    has_refused = False

    def open(self, slot: str, /) -> None:
        self.at("opening again")
        if not self.folder.exists():
            raise OSError("the target is away")
        found = [path for path in self.folder.iterdir() if path.name.rpartition("@")[0] == slot]
        self.slot = self.folder / f"{slot}@{time.time_ns()}"
        if found:
            found[0].rename(self.slot)
            # The process that opened it before may still write into this file.
            (self.slot / "written").unlink(missing_ok=True)
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
            refused = {i: "poison" for i, row in enumerate(records) if row == (self.poison, 3)}
            if refused:
                self.has_refused = True
                raise wallaroo.Rejected(refused)
            self.at("half of the others" if self.has_refused else "half")
            file.seek(0)
            file.write(pickle.dumps(records))
        self.at("all")
        written.rename(self.slot / f"{number}")
        self.at("committed")

    def close(self) -> None:
        self.at("closed")


def rows_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield all rows of all slots, in the order in which they were written."""
    batches = [path for path in folder.glob("*@*/*") if path.name.isdecimal()]
    for path in sorted(batches, key=lambda each: (each.stat().st_mtime_ns, int(each.name))):
        yield from pickle.loads(path.read_bytes())


def application_setup(args: list[str]) -> wallaroo.Application:
    if "--poison" in args:
        Batches.poison = args[args.index("--poison") + 1]
    return application("once", Batches, args)
