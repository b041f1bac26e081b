"""Makes the calls that an outbox asks for, and writes and reads its objects."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.outbox_objects import read_blocks_of
from wallaroo.checkpoint.store import ObjectStore, create_or_find
from wallaroo.connectors.sink_classes import Rejected
from wallaroo.describing import a_type, writable
from wallaroo.errors import DamagedFileError, MissingObjectError, StoreError, WallarooError
from wallaroo.worker.outbox import Outbox
from wallaroo.worker.sink_port import OutboxSetup, SinkContext
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.author_sink import AuthorSink, SinkFailed
from wallaroo_workers.sinks.runner import is_set_within

log = get_logger()

UNKNOWN_HINT = (
    'look whether its results are there; start with on_unknown="again" to write them, or with an '
    "empty --resilience-dir"
)
READ_AT_A_TIME = 2000
"""Results that are unpickled before records and heartbeats have their turn."""


class Delivery:
    """What one outbox asks for, see ``OutboxPorts``."""

    def __init__(
        self,
        author: AuthorSink,
        context: SinkContext,
        store: ObjectStore,
        setup: OutboxSetup,
        on_written: Callable[[], None],
    ) -> None:
        """``on_written`` is called after each batch."""
        self._author = author
        self._context = context
        self._store = store
        self._setup = setup
        self._on_written = on_written
        self._tasks: set[asyncio.Task[None]] = set()
        self._call: asyncio.Task[None] | None = None
        """The call of the author's sink that is under way."""
        self._discarded = asyncio.Event()
        self._is_open = False
        self.changed = asyncio.Event()
        """Set with each progress."""
        self.open_count = 0
        self.outbox = Outbox(setup.owner, setup.pickler, self, setup.limits)

    @property
    def is_open(self) -> bool:
        """Whether a slot is open."""
        return self._is_open

    def put(self, name: str, data: bytes, after_s: float) -> None:
        """Put an object into the store after a pause."""
        self._start(self._put(name, data, after_s))

    async def _put(self, name: str, data: bytes, after_s: float) -> None:
        if after_s and await is_set_within(after_s, self._discarded):
            return
        self.outbox.stored(name, await create_or_find(self._store, name, data))

    def open(self, slot: str, after_s: float) -> None:
        """Open a slot after a pause, instead of the one that is open, and ask for its number."""
        self._call = self._start(self._open(slot, after_s))

    def write(self, batch: OutboxBatch, data: bytes | None) -> None:
        """Write a batch in the open slot."""
        self._call = self._start(self._write(batch, data))

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            what = f"sink {self._context.name} cannot go on: {error!r}"
            self._context.events.sink_failed(WallarooError(what))

    async def _open(self, slot: str, after_s: float) -> None:
        if await is_set_within(after_s, self._discarded):
            return
        await self._close()
        method, name = "open", self._setup.slot_of(slot)
        try:
            await self._author.call("open", name)
            self._is_open = True
            method = "last"
            last = self._checked_number(await self._author.call("last"))
        except SinkFailed as error:
            self._author.end_run(error)
            return
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            await self._failed(method, error)
            return
        self.open_count += 1
        self._author.works()
        log.info("sink.connected", sink=self._context.name, slot=name, next="batches are delivered")
        self.outbox.opened(slot, last)

    async def _write(self, batch: OutboxBatch, data: bytes | None) -> None:
        file = self._store.describe(batch.name)
        rows: list[Any] = []
        try:
            data = data if data is not None else await self._store.get(batch.name)
            pause_at = READ_AT_A_TIME
            for block in read_blocks_of(data, batch, file):
                rows += block
                if len(rows) >= pause_at:
                    pause_at += READ_AT_A_TIME
                    await asyncio.sleep(0)
        except (DamagedFileError, MissingObjectError) as error:
            self._context.events.sink_failed(error)
            return
        except StoreError as error:
            await self._failed("write", error)
            return
        try:
            await self._author.write(rows, batch.number)
        except SinkFailed as error:
            self._author.end_run(error)
            return
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            await self._failed("write", error)
            return
        self._author.wrote()
        self._on_written()
        self.outbox.written()

    async def _failed(self, method: str, error: Exception) -> None:
        following = "the sink is closed and opened again; results are kept in the checkpoint store"
        self._author.failed(method, error, self.outbox.undelivered_bytes, following)
        await self._close(is_broken=True)
        self.outbox.failed()

    async def _close(self, *, is_broken: bool = False) -> None:
        self._is_open = False
        await self._author.close(is_broken=is_broken)

    async def end(self) -> None:
        """Make no further call; wait for the one that is under way, and close the slot."""
        self.outbox.discard()
        self._discarded.set()
        if self._call is not None:
            await asyncio.wait([self._call])
        await self._close()

    def refuse(self, result: Any, reason: str) -> None:
        """Make a dead letter of a result that cannot be pickled."""
        self._author.refused([result], Rejected({0: reason}))

    def number_missing(self, batch: OutboxBatch) -> bool:
        """Report that the target knows no number; end the run if its author wants that."""
        slot, again = self._setup.slot_of(batch.slot), self._author.writes_unknown
        log.warning(
            "sink.unknown",
            sink=self._context.name,
            slot=slot,
            number=batch.number,
            reason="the target has no number for this slot, although it had earlier batches",
            hint="if the number was deleted or has expired, look for results that are there twice"
            if again
            else UNKNOWN_HINT,
            next="the batch is written" if again else "the cluster stops",
        )
        if not again:
            what = (
                f"the sink {self._context.name!r} cannot tell whether batch {batch.number} was "
                f"written: the target has no number for {slot}"
            )
            self._author.end_run(SinkFailed(writable(what), UNKNOWN_HINT))
        return again

    def progressed(self) -> None:
        """Look again at what is waited for."""
        self.changed.set()
        self._setup.progressed()
        self._context.events.backlog_changed()

    def _checked_number(self, last: object) -> int | None:
        if last is None or (type(last) is int and last >= 0):
            return last
        shown = last if type(last) is int else a_type(last)
        hint = "return the number of the last batch of this slot as an int, or None"
        raise self._author.mistake("last", f"returned {shown}", hint)
