"""Runs the splits of a source of an author, with an engine that only notes the records."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import msgpack

from wallaroo.checkpoint.split_positions import NEW, SplitPosition
from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo.errors import WallarooError
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo_workers.sources.partitioned import PartitionedRunner

PATIENCE_S = 30.0
"""Longer than anything here takes, so a test that fails ends."""


class NotingEngine:
    """Takes records a few at a time, and notes them."""

    timing = None

    def __init__(self, changed: "Changes") -> None:
        self.records: list[Any] = []
        self.slice_count = 3
        self.is_held = False
        self._changed = changed
        self._queue: list[Any] = []

    def source_ready(self, source: Any) -> None:
        """Take from this source in the next turn."""
        self._queue.append(source)
        self._changed.note()
        asyncio.get_running_loop().call_soon(self._turn)

    def release(self) -> None:
        """Take records again."""
        self.is_held = False
        asyncio.get_running_loop().call_soon(self._turn)

    def forget(self) -> None:
        """Take from no source that has records now."""
        self._queue.clear()

    def _turn(self) -> None:
        if self.is_held or not self._queue:
            return
        source = self._queue.pop()
        self.records += source.take(self.slice_count)
        if source.has_records:
            self.source_ready(source)
        else:
            source.batch_consumed()
        self._changed.note()


class Changes:
    """Wakes a test whenever something has happened."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def note(self) -> None:
        """Something has happened."""
        self._event.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so``; look at each change."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                self._event.clear()
                await self._event.wait()


class Played:
    """One runner and all that it reports."""

    def __init__(self, source: PartitionedSource[Any]) -> None:
        self.changes = Changes()
        self.engine = NotingEngine(self.changes)
        self.intake = ReadBudget()
        self.errors: list[WallarooError] = []
        self.stuck_count = 0
        self.runner = PartitionedRunner(
            source, 0, "numbers", cast(Engine, self.engine), self.intake, self, self._stuck
        )

    @property
    def records(self) -> list[Any]:
        """All records in the order in which they were taken."""
        return self.engine.records

    def split_ended(self, pipeline: int, split: str, problem: str) -> None:
        """One more split has ended."""
        self.changes.note()

    def source_failed(self, error: WallarooError) -> None:
        """The run has to end."""
        self.errors.append(error)
        self.changes.note()

    def _stuck(self) -> None:
        self.stuck_count += 1
        self.changes.note()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so``."""
        await self.changes.until(is_so)

    async def until_failed(self) -> str:
        """Wait until the run has to end; return why."""
        await self.until(lambda: bool(self.errors))
        return f"{self.errors[0].what}; {self.errors[0].hint}"

    async def until_ended(self, *splits: str) -> None:
        """Wait until these splits have ended."""
        await self.until(lambda: {*splits} <= {*self.runner.ended})


@contextlib.asynccontextmanager
async def running(
    source: PartitionedSource[Any], positions: dict[str, SplitPosition] | None = None
) -> AsyncIterator[Played]:
    """Run these splits of a source; by default all, from their beginning."""
    played = Played(source)
    played.runner.start()
    if positions is None:
        positions = dict.fromkeys(await played.runner.discover(), NEW)
    for split, position in positions.items():
        played.runner.add(split, position)
    try:
        yield played
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await played.runner.close()


def stored(positions: dict[str, SplitPosition]) -> dict[str, SplitPosition]:
    """Return positions as a checkpoint gives them back."""
    return {
        split: SplitPosition.from_wire(msgpack.unpackb(msgpack.packb(position.to_wire())))
        for split, position in positions.items()
    }
