"""Sinks for the checks of `check_sink`: some that keep their promise, and some that do not."""

import os
import sqlite3
import uuid
from pathlib import Path
from typing import Any

from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink


class Rows(OnceSink[str]):
    """Writes rows and number in one transaction of SQLite; an opener fences off earlier ones."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, slot: str, /) -> None:
        self.slot, self.opener = slot, uuid.uuid4().hex
        self.db = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        self.db.execute("create table if not exists rows (slot, row)")
        self.db.execute("create table if not exists slots (slot primary key, number, opener)")
        self.db.execute(
            "insert into slots values (?, 0, ?) on conflict do update set opener = excluded.opener",
            (slot, self.opener),
        )

    def last(self) -> int:
        (number,) = self.db.execute(
            "select number from slots where slot = ?", (self.slot,)
        ).fetchone()
        return int(number)

    def write(self, records: list[Any], number: int, /) -> None:
        with self.db:
            self.db.execute("begin immediate")
            self.check_opener(number)
            self.db.executemany(
                "insert into rows values (?, ?)", [(self.slot, row) for row in records]
            )

    def check_opener(self, number: int) -> None:
        changed = self.db.execute(
            "update slots set number = ? where slot = ? and opener = ?",
            (number, self.slot, self.opener),
        )
        if changed.rowcount != 1:
            raise RuntimeError("another process has opened this slot")

    def close(self) -> None:
        self.db.close()


class Unfenced(Rows):
    """Lets a process write that another one has replaced."""

    def check_opener(self, number: int) -> None:
        self.db.execute("update slots set number = ? where slot = ?", (number, self.slot))


class NumberLater(Rows):
    """Writes the number after the rows, in a transaction of its own."""

    def write(self, records: list[Any], number: int, /) -> None:
        for row in records:
            self.db.execute("insert into rows values (?, ?)", (self.slot, row))
        self.check_opener(number)


class Forgetful(Rows):
    """Knows no number after it was opened again."""

    def last(self) -> int:
        return 0


def read_rows(path: Path) -> list[str]:
    with sqlite3.connect(path, timeout=60) as db:
        return [row for (row,) in db.execute("select row from rows order by rowid")]


class Parts(TwoPhaseSink[str]):
    """Writes files that become visible by a rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, slot: str, /) -> None:
        self.slot = slot
        self.rows: list[str] = []

    def write(self, records: list[Any], /) -> None:
        self.rows += records

    def prepare(self) -> bytes:
        name = f"{self.slot}.{uuid.uuid4().hex}"
        hidden = self.folder / f".{name}.writing"
        hidden.write_text("\n".join(self.rows))
        os.replace(hidden, self.folder / f".{name}")
        self.rows = []
        return name.encode()

    def commit(self, token: bytes, /) -> None:
        prepared = self.folder / f".{token.decode()}"
        if prepared.exists():
            os.replace(prepared, self.folder / token.decode())

    def abort(self, token: bytes, /) -> None:
        (self.folder / f".{token.decode()}").unlink(missing_ok=True)

    def prepared(self) -> list[bytes]:
        hidden = self.folder.glob(f".{self.slot}.*")
        return [path.name[1:].encode() for path in hidden if path.suffix != ".writing"]


class CommitsAtOnce(Parts):
    """Shows what is prepared before any checkpoint names it."""

    def prepare(self) -> bytes:
        token = super().prepare()
        self.commit(token)
        return token


class CommitsOnlyOnce(Parts):
    """Fails if it is asked again to commit."""

    def commit(self, token: bytes, /) -> None:
        os.replace(self.folder / f".{token.decode()}", self.folder / token.decode())


def read_parts(folder: Path) -> list[str]:
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return [row for path in sorted(shown) for row in path.read_text().splitlines()]


class Lines(Sink[str]):
    """Appends lines to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def write(self, records: list[Any], /) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{row}\n" for row in records)


class Lazy(Lines):
    """Says that it has written what it writes only with the next batch."""

    kept: list[str]

    async def open(self) -> None:
        self.kept = []

    async def write(self, records: list[Any], /) -> None:
        now, self.kept = self.kept, records
        await super().write(now)

    async def close(self) -> None:
        await super().write(self.kept)


def read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
