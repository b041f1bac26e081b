"""Sources for the checks of `check_pushed_source`: some that keep their promise, some that do not.

The system behind them is a folder, in which each record is a file.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from wallaroo.connectors.source_classes import Delivery, PushedSource
from wallaroo_connectors.stdio import StdinSource, StdoutSink


def push(folder: Path, record: bytes) -> None:
    """Put a record into the folder; its name is its content, and it appears in one piece."""
    hidden = folder / f".{record.decode()}"
    hidden.write_bytes(record)
    hidden.rename(folder / record.decode())


class Spool(PushedSource[bytes]):
    """Takes files in a thread; deletes those that are safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        self.taken: set[Path] = set()

    def receive(self) -> Iterator[Delivery[bytes] | None]:
        while True:
            for path in self.new_files():
                yield self.delivery(path)
            yield None

    def new_files(self) -> list[Path]:
        new = {path for path in self.folder.iterdir() if not path.name.startswith(".")} - self.taken
        self.taken |= new
        return sorted(new)

    def delivery(self, path: Path) -> Delivery[bytes]:
        return Delivery(path.name.encode(), path)

    def ack(self, tags: Sequence[Any], /) -> None:
        for path in tags:
            path.unlink(missing_ok=True)


class SpoolOnLoop(Spool):
    """Takes files on the event loop."""

    async def receive(self) -> AsyncIterator[Delivery[bytes] | None]:  # type: ignore[override]
        while True:
            for path in self.new_files():
                yield self.delivery(path)
            await asyncio.sleep(0.01)

    async def ack(self, tags: Sequence[Any], /) -> None:  # type: ignore[override]
        super().ack(tags)


class DeletesFirst(Spool):
    """Deletes a file when it is delivered, and not when it is safe."""

    def delivery(self, path: Path) -> Delivery[bytes]:
        path.unlink()
        return super().delivery(path)


class NeverDeletes(Spool):
    """Acknowledges nothing."""

    def ack(self, tags: Sequence[Any], /) -> None: ...


class Remembers(Spool):
    """Thinks that it has taken what was given up when it is opened again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.taken = set()

    def open(self) -> None: ...


class AcksOnce(Spool):
    """Cannot acknowledge a file that another process has acknowledged."""

    def ack(self, tags: Sequence[Any], /) -> None:
        for path in tags:
            path.unlink()


class Locked(Spool):
    """Lets one process alone take files, and does not notice when that one ends."""

    has_lock = False

    def open(self) -> None:
        super().open()
        self.lock = self.folder / ".lock"
        self.lock.touch(exist_ok=False)
        self.has_lock = True

    def close(self) -> None:
        if self.has_lock:
            self.lock.unlink()
            self.has_lock = False


class Garbled(Spool):
    """Delivers something else than what it took."""

    def delivery(self, path: Path) -> Delivery[bytes]:
        return Delivery(path.name.encode().upper(), path)


class EndsEarly(Spool):
    """Returns although more is there."""

    def receive(self) -> Iterator[Delivery[bytes] | None]:
        for path in self.new_files()[:3]:
            yield self.delivery(path)


def stdin_over(fifo: Path) -> StdinSource:
    """Return a source whose standard input, in this process, is a named pipe."""
    os.dup2(os.open(fifo, os.O_RDWR), 0)
    return StdinSource(bytes)


def stdout_over(fifo: Path) -> StdoutSink:
    """Return a sink whose standard output, in this process, is a named pipe."""
    os.dup2(os.open(fifo, os.O_RDWR), 1)
    return StdoutSink()
