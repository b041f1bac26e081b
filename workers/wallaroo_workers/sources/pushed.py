"""Runs a ``PushedSource``: asks it for deliveries, and acknowledges those that are safe.

    open --> receive, receive, ... --> returns: the source has ended
      ^            |
      +-- close <--+ raises

What becomes of a delivery is in ``wallaroo.ingest.pushed_records``. Here the author's methods are
called: coroutines and asynchronous generators on the event loop, all others in the source's own
thread. In the thread ``ack`` waits for the present ``next`` of ``receive``, so an iterator that
blocks should give up after a moment and yield ``None``.
"""

import asyncio
import inspect
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from wallaroo.connectors.custom import Pushed
from wallaroo.connectors.pushed_frames import UnjournalableRecordError
from wallaroo.connectors.source_classes import Delivery, PushedSource, SourceError
from wallaroo.describing import a_type
from wallaroo.errors import ClusterError, StoreError, WallarooError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.pushed_records import PushedRecords
from wallaroo.ingest.split_batches import Method
from wallaroo_workers.logs import get_logger
from wallaroo_workers.loop_watch import watched_source
from wallaroo_workers.sources.connector_calls import ConnectorCalls, WaitingLog
from wallaroo_workers.sources.context import SourceContext
from wallaroo_workers.sources.pushed_acks import Acks
from wallaroo_workers.sources.reading import ASKED_AGAIN_S, Backoff, run_error
from wallaroo_workers.sources.stuck_watch import StuckWatch

log = get_logger()

DRAIN_ACKS_S = 5.0
"""How long a stop waits for acknowledgements; what is not acknowledged is delivered again."""
CLOSE_S = 5.0
HEALTHY_S = 5.0
"""A connection that lived for so long is opened again soon; others after growing pauses."""
TAKEN_IN_THREAD_MAX = 1_000
ACK_TURN_S = 0.002
"""The thread takes deliveries for so long before ``ack`` has its turn, if it does not block."""


class PushedRunner:
    """One pushed source on this worker, as ``SourceListener``."""

    connection_count = 0
    """Its connection is not one that another worker could take over."""

    def __init__(self, context: SourceContext, source: PushedSource[Any]) -> None:
        self._context = context
        self._source = source
        self._name = context.pipeline.name
        self.watched = watched_source(self._name)
        self._decodes = context.source.decoder is not None
        self._waits = WaitingLog(self._name)
        self._calls = ConnectorCalls(source, self._name, self._waits, None)
        self._acks = Acks(self._calls, self._waits, self._failed)
        self._records = PushedRecords(
            context.index, context.engine, context.intake, context.journal, self
        )
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._opening = 0
        """Counts connections: tags belong to the one over which they came."""
        self._has_to_close = False
        self._arrived: deque[tuple[int, Any, int]] = deque()
        """What the thread has received: over which connection, the delivery, and when."""
        self._closing: set[asyncio.Task[None]] = set()
        self.end: str | None = None

    # As a source that listens

    async def listen(self, address: str) -> None:
        """Connect, if that is not done, and ask for deliveries."""
        if self._task is None:
            self.end = None
            self._context.intake.add(self._records)
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._records.open()

    def rewind(self) -> None:
        """Give up what comes again."""
        self._records.rewind()

    async def drain(self) -> None:
        """Process and acknowledge what was received, then disconnect."""
        self._records.close()
        await self._stop_task()
        while not self._records.is_idle:
            self._room.clear()
            await self._room.wait()
        # Without a journal the last tags are safe at the end of the engine's turn.
        await asyncio.sleep(0)
        await self._acks.done(DRAIN_ACKS_S)
        await self._disconnect()

    async def stop_accepting(self) -> None:
        """Ask for no more, but stay connected."""
        self._records.close()

    def copies(self) -> Iterable[ConnectionCopy]:
        """Return nothing: another worker connects by itself."""
        return ()

    def detach(self) -> None:
        """Disconnect; what is not acknowledged is delivered to another worker."""
        self._records.close()
        self._records.drop_waiting()
        self._begin(self._detach())

    async def _detach(self) -> None:
        await self._stop_task()
        await self._disconnect()

    def take_over(self, copy: ConnectionCopy) -> NoReturn:
        """Nothing is handed over."""
        raise AssertionError("pushed sources hand over no connections")

    async def _stop_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_S)

    async def _disconnect(self) -> None:
        self._context.intake.remove(self._records)
        await self._close()
        await self._calls.close()

    # The connection

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            self._opening += 1
            method = "open"
            connected_s = math.inf
            try:
                self._has_to_close = True
                await self._calls.call("open")
                method, connected_s = "receive", time.monotonic()
                await self._receive()
            except asyncio.CancelledError:
                raise
            except SourceError as error:
                self._failed(error)
                return
            except WallarooError as error:
                self._context.events.source_failed(error)
                return
            except BaseException as error:  # noqa: BLE001  the author's code may raise anything
                # A connection that fails at once after each delivery is not a healthy one.
                if time.monotonic() - connected_s >= HEALTHY_S:
                    backoff.reset()
                delay_s = backoff.next_s()
                following = "it is opened again"
                self._waits.add(self._calls.failure(method, error, delay_s), following)
                self._arrived.clear()
                self._records.drop_waiting()
                self._acks.drop()
                await self._close()
                await asyncio.sleep(delay_s)
            else:
                break
        self.end = ""
        log.info("source.finished", pipeline=self._name)
        self._context.events.source_ended()

    async def _receive(self) -> None:
        """Receive until the author's iterator ends."""
        receive = self._source.receive
        if inspect.isasyncgenfunction(receive):
            received: Any = receive()
        else:
            received = await self._calls.call("receive")
        if hasattr(received, "__aiter__"):
            await self._receive_on_loop(received)
        elif not hasattr(received, "__iter__"):
            raise ClusterError(
                f"{Method(self._source, 'receive')} returned {a_type(received)}, not a generator",
                hint="write it with yield: yield wallaroo.Delivery(record, tag=...)",
            )
        else:
            await self._receive_in_thread(received)

    async def _receive_on_loop(self, received: Any) -> None:
        iterator = aiter(received)
        try:
            while True:
                await self._until_room()
                delivery = await anext(iterator)
                if delivery is None:
                    await asyncio.sleep(ASKED_AGAIN_S)
                else:
                    self._add(delivery, time.time_ns())
        except StopAsyncIteration:
            return
        finally:
            if hasattr(iterator, "aclose"):
                with suppress(Exception):
                    await iterator.aclose()

    async def _receive_in_thread(self, received: Any) -> None:
        iterator = await self._calls.in_thread(lambda: iter(received))
        loop = asyncio.get_running_loop()
        take_some = partial(self._take_some, iterator, self._opening, loop)
        # An iterator may wait for a quiet queue, but not while the thread has to acknowledge.
        watch = StuckWatch(
            self._calls,
            self._name,
            self._context.on_stuck,
            lambda: self._acks.wait,
            "receive and ack share a thread, and a call that blocks cannot be interrupted; let "
            "receive yield None after a moment",
        )
        watching = loop.create_task(watch.run())
        try:
            while True:
                await self._until_room()
                has_more, is_busy = await self._calls.in_thread(take_some)
                self._collect()
                if not has_more:
                    return
                if not is_busy:
                    await asyncio.sleep(ASKED_AGAIN_S)
        finally:
            watching.cancel()

    def _take_some(
        self, iterator: Iterator[Any], opening: int, loop: asyncio.AbstractEventLoop
    ) -> tuple[bool, bool]:
        """In the thread: take deliveries; return whether more may follow, and at once."""
        ack_from_s = time.monotonic() + ACK_TURN_S
        for _ in range(TAKEN_IN_THREAD_MAX):
            try:
                delivery = next(iterator)
            except StopIteration:
                return False, False
            if delivery is None:
                return True, False
            self._arrived.append((opening, delivery, time.time_ns()))
            if len(self._arrived) == 1:
                loop.call_soon_threadsafe(self._collect_or_fail)
            # The loop changes these meanwhile; a value that is late costs one more delivery.
            if not self._records.may_receive:
                break
            if self._acks.wait and time.monotonic() >= ack_from_s:
                break
        return True, True

    def _collect_or_fail(self) -> None:
        try:
            self._collect()
        except WallarooError as error:
            self._context.events.source_failed(error)

    def _collect(self) -> None:
        if self._task is None:
            # The source is closed, and the journal with it: what comes late is delivered again.
            self._arrived.clear()
        while self._arrived:
            opening, delivery, now_ns = self._arrived.popleft()
            # The thread may still have taken some over a connection that is given up.
            if opening == self._opening:
                self._add(delivery, now_ns)

    def _add(self, delivery: Any, now_ns: int) -> None:
        """Pass a delivery on. Raises ``ClusterError`` if it is none, or cannot be written down."""
        if not isinstance(delivery, Delivery):
            raise ClusterError(
                f"{Method(self._source, 'receive')} yielded {a_type(delivery)}",
                hint="yield wallaroo.Delivery(record, tag=...), or None if nothing is there",
            )
        record = delivery.record
        if self._decodes:
            if not isinstance(record, bytes | bytearray | memoryview):
                raise ClusterError(
                    f"{Method(self._source, 'receive')} yielded a delivery of {a_type(record)}",
                    hint="a source with a decoder delivers payloads: give bytes",
                )
            record = bytes(record)
        tag = self._opening, delivery.tag
        try:
            self._records.received(record, tag, delivery.key, delivery.time, now_ns)
        except UnjournalableRecordError as error:
            raise ClusterError(
                f"the source of pipeline {self._name!r} cannot keep its journal: {error}",
                hint="deliver records that can be pickled, or payloads with a decoder",
            ) from error

    async def _until_room(self) -> None:
        while not self._records.may_receive:
            self._room.clear()
            await self._room.wait()

    async def _close(self) -> None:
        """Call the author's ``close`` once for each ``open``, also if ``open`` raised."""
        if not self._has_to_close:
            return
        self._has_to_close = False
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._calls.call("close")
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            following = "it is not closed again; what it held may stay open"
            self._waits.add(self._calls.failure("close", error), following)

    def _failed(self, error: SourceError) -> None:
        self._context.events.source_failed(run_error(self._name, error))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # Called by the records

    def room_changed(self) -> None:
        """Ask for more, if there is room."""
        self._room.set()

    def safe(self, tags: list[Any]) -> None:
        """Acknowledge deliveries; those of an earlier connection come again."""
        self._acks.add([tag for opening, tag in tags if opening == self._opening])

    def connect_again(self) -> None:
        """Disconnect, and connect anew."""
        if self._task is not None:
            # At once: what this connection still brings comes again over the next one.
            self._opening += 1
            self._task.cancel()
            self._task = asyncio.get_running_loop().create_task(self._run_again(self._task))

    async def _run_again(self, cancelled: asyncio.Task[None]) -> None:
        await asyncio.wait([cancelled], timeout=CLOSE_S)
        self.end = None
        self._acks.drop()
        self._arrived.clear()
        self._records.drop_waiting()
        await self._close()
        await self._run()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call ``callback`` after a delay, or at the end of this turn of the loop."""
        loop = asyncio.get_running_loop()
        return loop.call_later(delay_s, callback) if delay_s else loop.call_soon(callback)

    def waits_for_journal(self, error: StoreError) -> None:
        """Log that the journal could not be written."""
        log.error(
            "journal.write_failed",
            address=self._context.source.describe(),
            peer="",
            reason=error.what,
            hint=error.hint,
            next="deliveries stay in memory, without an acknowledgement, and the write is retried",
        )


def new_runner(context: SourceContext) -> PushedRunner:
    """Return the runner of a pushed source."""
    assert isinstance(context.source, Pushed)
    return PushedRunner(context, context.source.source)
