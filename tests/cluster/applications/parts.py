"""Counts numbered lines by key, into files that become visible by a rename, exactly once.

``killed_sinks`` has its options.
"""

import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import wallaroo
from killed_sinks import Killed, application


class Parts(Killed, wallaroo.TwoPhaseSink[tuple[str, int]]):
    """A part is a hidden file until it is committed."""

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


def rows_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield all rows that are visible."""
    for path in folder.iterdir():
        if not path.name.startswith("."):
            yield from pickle.loads(path.read_bytes())


def application_setup(args: list[str]) -> wallaroo.Application:
    return application("parts", Parts, args)
