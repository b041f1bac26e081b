"""Reads a connector whose methods are coroutines in a task, as ``ThreadPump`` does in a thread."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo_workers.loop_watch import watched_source
from wallaroo_workers.sources.author_methods import (
    checked_item,
    complete_reader,
    polled_items,
    read_state,
    settled,
)
from wallaroo_workers.sources.connector_thread import CLOSE_S
from wallaroo_workers.sources.partition_reader import AsyncPartitionReader
from wallaroo_workers.sources.pump import QUEUED_BATCHES_MAX, Deliver
from wallaroo_workers.sources.reading import POLL_S, Ended, Failed


class TaskPump:
    """Reads in a task of the event loop."""

    def __init__(self, source: PartitionedSource[Any], pipeline: str, deliver: Deliver) -> None:
        self._source = source
        self._state = read_state(source, pipeline)
        self.watched = watched_source(pipeline)
        self._deliver = deliver
        self._reader: Any = None
        self._jobs: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._changed = asyncio.Event()
        self._room = QUEUED_BATCHES_MAX
        self._is_paused = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to read."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, split: str, reading: int, position: Any) -> None:
        """Read a split from now on."""
        self._jobs.append(lambda: self._add(split, reading, position))
        self._changed.set()

    def remove(self, split: str) -> None:
        """Read a split no more."""
        self._jobs.append(lambda: self._remove(split))
        self._changed.set()

    def batch_left(self) -> None:
        """One batch of the queue is processed."""
        self._room += 1
        self._changed.set()

    def pause(self) -> None:
        """Read nothing until ``resume``."""
        self._is_paused = True

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        self._changed.set()

    async def close(self) -> None:
        """Close the reader; return once it reads no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._close_reader()

    def _may_read(self) -> bool:
        return self._room > 0 and not self._is_paused

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            while self._jobs:
                await self._jobs.popleft()()
            wait_s = self._state.retry_at_s - time.monotonic()
            if not self._state.places or not self._may_read():
                await self._changed.wait()
            elif wait_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
            else:
                await self._poll()

    async def _poll(self) -> None:
        try:
            reader = self._reader or await self._open()
            polled = reader.poll(POLL_S)
            if hasattr(polled, "__aiter__"):
                async for item in polled:
                    await self._hand_over(item)
            else:
                for item in polled_items(self._source, await settled(polled)):
                    await self._hand_over(item)
            for message in self._state.answered():
                self._deliver(message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  the author's code may raise anything
            await self._failed(error)

    async def _hand_over(self, item: Any) -> None:
        message = self._state.message(*checked_item(self._source, item))
        if message is None:
            return
        if not isinstance(message, Ended):
            while not self._may_read():
                self._changed.clear()
                await self._changed.wait()
            self._room -= 1
        self._deliver(message)

    async def _open(self) -> Any:
        reader = await settled(self._source.reader())
        reader = (
            AsyncPartitionReader(self._source, self.watched)
            if reader is None
            else complete_reader(self._source, reader)
        )
        for split, (_, position) in self._state.places.items():
            await settled(reader.add(split, position))
        self._reader = reader
        return reader

    async def _failed(self, error: BaseException) -> None:
        message = self._state.failed(error)
        self._deliver(message)
        if isinstance(message, Ended):
            await self._forget(message.split)
            return
        await self._close_reader()
        if isinstance(message, Failed):
            self._state.places.clear()

    async def _add(self, split: str, reading: int, position: Any) -> None:
        self._state.add(split, reading, position)
        if self._reader is not None:
            await self._guarded(lambda: self._reader.add(split, position))

    async def _remove(self, split: str) -> None:
        if self._state.places.pop(split, None) is not None:
            await self._forget(split)

    async def _forget(self, split: str) -> None:
        if self._reader is not None:
            await self._guarded(lambda: self._reader.remove(split))

    async def _guarded(self, call: Callable[[], Any]) -> None:
        try:
            await settled(call())
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  the author's code may raise anything
            await self._failed(error)

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(Exception):
                await settled(reader.close())
