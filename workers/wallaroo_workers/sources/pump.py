"""Reads a connector in a thread, and hands batches to the event loop.

    reader --poll--> pump --queue of at most 16 batches--> loop: WorkerSplits --take--> engine

If the engine does not take, the queue is full, so nothing polls: the client and its server feel
the back-pressure. Pauses (a replay, a hand-over, too many unprocessed bytes) work in the same way.

**What can go wrong**

* *A reader raises.* It is closed, and after a pause a new one continues behind what was handed
  over. The loop is not involved, because the pump knows the position behind each batch it gave.
* *A reader never returns.* A thread cannot be interrupted in a native call. ``StuckWatch``
  sees how long the call lasts, and the process is replaced if that is too long.
* *A partition is removed while its batch is on the way.* The batch names the reading to which it
  belongs, so the loop recognises it and drops it.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo_workers.sources.author_methods import (
    checked_item,
    checked_reader,
    polled_items,
    read_state,
)
from wallaroo_workers.sources.connector_thread import ConnectorThread, ThreadStopped
from wallaroo_workers.sources.partition_reader import PartitionReader
from wallaroo_workers.sources.reading import POLL_S, Ended, Failed, Message

QUEUED_BATCHES_MAX = 16
"""Enough that the two threads seldom alternate: to change between them costs more than a batch."""

Deliver = Callable[[Message], None]


class Pump(Protocol):
    """Reads splits until it is stopped; all calls come from the loop's thread."""

    def start(self) -> None:
        """Start to read."""
        ...

    def add(self, split: str, reading: int, position: Any, /) -> None:
        """Read a split from now on."""
        ...

    def remove(self, split: str, /) -> None:
        """Read a split no more."""
        ...

    def batch_left(self) -> None:
        """One batch of the queue is processed."""
        ...

    def pause(self) -> None:
        """Read nothing until ``resume``."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    async def close(self) -> None:
        """Close the reader; return once it reads no more."""
        ...


class ThreadPump:
    """Reads in a thread. Other blocking methods of the source run in the same thread."""

    def __init__(
        self,
        source: PartitionedSource[Any],
        pipeline: str,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
    ) -> None:
        self._source = source
        self._state = read_state(source, pipeline)
        self._deliver = deliver
        self._reader: Any = None
        self._messages: deque[Message] = deque()
        self._is_reported = False
        """Whether the loop is going to look at the messages anyway."""
        self._given_count = 0
        """Batches that were handed over; only the thread changes it."""
        self._left_count = 0
        """Those that are processed; only the loop changes it."""
        self._is_paused = False
        self.thread = ConnectorThread(f"source {pipeline}", loop, self._turn, self._close_reader)

    # Called by the loop

    def start(self) -> None:
        """Start to read."""
        self.thread.start()

    def add(self, split: str, reading: int, position: Any) -> None:
        """Read a split from now on."""
        self.thread.submit(lambda: self._add(split, reading, position))
        self.thread.wake()

    def remove(self, split: str) -> None:
        """Read a split no more."""
        self.thread.submit(lambda: self._remove(split))

    def batch_left(self) -> None:
        """One batch of the queue is processed."""
        self._left_count += 1
        # Not for each batch: threads that alternate push each other out of the caches.
        if self._given_count - self._left_count <= QUEUED_BATCHES_MAX // 2:
            self.thread.wake()

    def pause(self) -> None:
        """Read nothing until ``resume``."""
        self._is_paused = True

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        self.thread.wake()

    async def close(self) -> None:
        """Close the reader; return once the thread has ended."""
        await self.thread.close()

    def _arrived(self) -> None:
        # First: a message that comes from now on has to be reported again.
        self._is_reported = False
        while self._messages:
            self._deliver(self._messages.popleft())

    # Called in the thread

    def _say(self, message: Message) -> None:
        self._messages.append(message)
        if not self._is_reported:
            self._is_reported = True
            self.thread.on_loop(self._arrived)

    def _may_read(self) -> bool:
        is_full = self._given_count - self._left_count >= QUEUED_BATCHES_MAX
        return not is_full and not self._is_paused

    def _turn(self) -> float:
        """Ask the reader once; return for how long there is nothing to do."""
        if not self._state.places or not self._may_read():
            return math.inf
        delay_s = self._state.retry_at_s - time.monotonic()
        if delay_s > 0:
            return delay_s
        try:
            reader = self._reader or self._open()
            items = self.thread.watched(lambda: polled_items(self._source, reader.poll(POLL_S)))
            while (item := self.thread.watched(next, items, None)) is not None:
                self._hand_over(item)
            for message in self._state.answered():
                self._say(message)
        except ThreadStopped:
            raise
        except BaseException as error:  # noqa: BLE001  the author's code may raise anything
            return self._failed(error)
        return 0.0

    def _hand_over(self, item: Any) -> None:
        message = self._state.message(*checked_item(self._source, item))
        if message is None:
            return
        if not isinstance(message, Ended):
            self.thread.wait_until(self._may_read)
            self._given_count += 1
        self._say(message)

    def _open(self) -> Any:
        self._reader = self.thread.watched(self._new_reader)
        return self._reader

    def _new_reader(self) -> Any:
        reader = self._source.reader()
        reader = (
            PartitionReader(self._source)
            if reader is None
            else checked_reader(self._source, reader)
        )
        for split, (_, position) in self._state.places.items():
            reader.add(split, position)
        return reader

    def _failed(self, error: BaseException) -> float:
        message = self._state.failed(error)
        self._say(message)
        if isinstance(message, Ended):
            self._forget(message.split)
            return 0.0
        self._close_reader()
        if isinstance(message, Failed):
            self._state.places.clear()
        return 0.0

    def _add(self, split: str, reading: int, position: Any) -> None:
        self._state.add(split, reading, position)
        if self._reader is not None:
            self._guarded(lambda: self._reader.add(split, position))

    def _remove(self, split: str) -> None:
        if self._state.places.pop(split, None) is not None:
            self._forget(split)

    def _forget(self, split: str) -> None:
        if self._reader is not None:
            self._guarded(lambda: self._reader.remove(split))

    def _guarded(self, call: Callable[[], Any]) -> None:
        try:
            self.thread.watched(call)
        except BaseException as error:  # noqa: BLE001  the author's code may raise anything
            self._failed(error)

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            # It has failed, or is not needed any more: what its end says helps nobody.
            with suppress(BaseException):
                self.thread.watched(reader.close)
