"""TCP sinks: connect, write whole records, and reconnect without losing any."""

import asyncio
from typing import Any

from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.connectors.tcp import TCPSink
from wallaroo.names import CheckpointId
from wallaroo.worker.sink_port import FinishCut, SinkContext, nothing_to_name
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.runner import ProcessSinkRunner, SinkWait, cut_when_settled, flush_queue
from wallaroo_workers.sinks.tcp_connection import SinkConnection

log = get_logger()

CONNECT_TIMEOUT_S = 5.0
BACK_OFF_FIRST_S = 0.05
BACK_OFF_MAX_S = 1.0
WAITING_LOG_EVERY_S = 10.0
WRITE_BYTES_MAX = 1 << 18
SETTLE_EVERY_BYTES = 1 << 20


def new_runner(sink: TCPSink, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of this sink."""
    return TCPSinkRunner(sink, context)


class TCPSinkRunner:
    """This worker's connection to one sink, and the output that the sink still has to receive."""

    def __init__(self, sink: TCPSink, context: SinkContext) -> None:
        self._sink = sink
        self.name = context.name
        self._on_progress = context.events.backlog_changed
        self.written_bytes = 0
        self.connection_count = 0
        """How many connections there were, one after the other."""
        self.stream = self
        self.outbox = None
        self.batches = None
        self.preparing = None
        self._queue = SinkQueue()
        self._connection: SinkConnection | None = None
        self._lost = asyncio.Event()
        self._handed_out_since_settled = 0
        self._is_closed = False
        self._connected = asyncio.Event()
        self._waiting_since_s: float | None = None
        """Loop time since which the sink is disconnected; ``None`` while it is connected."""

    @property
    def address(self) -> str:
        """The address of the sink."""
        return self._sink.address

    @property
    def wait(self) -> SinkWait | None:
        """The wait for the receiver, while the sink is disconnected."""
        if (since_s := self._waiting_since_s) is None:
            return None
        hint = "start the receiver first, or give --sink-timeout more time"
        return SinkWait(since_s, f"the sink at {self.address} was not there", "", hint)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes the kernel has not accepted yet."""
        buffered = self._connection.buffered_bytes() if self._connection is not None else 0
        return self._queue.unsent_bytes + buffered

    @property
    def queued_bytes(self) -> int:
        """How many bytes the receiver has not acknowledged."""
        return self._queue.queued_bytes

    @property
    def is_connected(self) -> bool:
        """Whether the sink is there."""
        return self._connected.is_set()

    async def connected(self) -> None:
        """Wait until the sink is connected."""
        await self._connected.wait()

    def write(self, rows: list[Any]) -> int:
        """Queue whole records and write what the connection accepts."""
        chunk = b"".join(rows)
        self.written_bytes += len(chunk)
        self._queue.append(chunk)
        self.write_waiting()
        return len(chunk)

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever written here the receiver's TCP has acknowledged."""
        return self.written_bytes - self._queue.queued_bytes

    async def run(self) -> None:
        """Keep the sink connected until it is closed or this is cancelled."""
        loop = asyncio.get_running_loop()
        back_off_s = 0.0
        while not self._is_closed:
            self._waiting_since_s = loop.time()
            await self._connect(back_off_s)
            connected_s = loop.time()
            self._waiting_since_s = None
            self._connected.set()
            self.write_waiting()
            self._on_progress()
            await self._lost.wait()
            self._connected.clear()
            # Back off, so that a receiver that closes each connection is not dialed too often.

            is_stable = loop.time() - connected_s > BACK_OFF_MAX_S
            back_off_s = (
                0.0 if is_stable else min(2 * back_off_s + BACK_OFF_FIRST_S, BACK_OFF_MAX_S)
            )

    async def _connect(self, first_after_s: float) -> None:
        loop = asyncio.get_running_loop()
        back_off_s = BACK_OFF_FIRST_S
        logged_s = float("-inf")
        self._lost = asyncio.Event()
        await asyncio.sleep(first_after_s)
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    _, self._connection = await loop.create_connection(
                        lambda: SinkConnection(self.write_waiting, self._connection_lost),
                        self._sink.host,
                        self._sink.port,
                    )
                self.connection_count += 1
                log.info(
                    "sink.connected",
                    sink=self.name,
                    address=self.address,
                    next="queued output is sent",
                )
                return
            except (OSError, TimeoutError) as error:
                if loop.time() - logged_s >= WAITING_LOG_EVERY_S:
                    logged_s = loop.time()
                    log.warning(
                        "sink.waiting",
                        sink=self.name,
                        address=self.address,
                        reason=str(error) or "no answer",
                        bytes_queued=self.queued_bytes,
                        hint="start the receiver there",
                        next="tries again; queued output is kept",
                    )
            await asyncio.sleep(back_off_s)
            back_off_s = min(2 * back_off_s, BACK_OFF_MAX_S)

    def write_waiting(self) -> None:
        """Write what the queue does not hold back."""
        connection = self._connection
        while connection is not None and connection.is_writable and self._queue.waiting_bytes:
            chunk = self._queue.take(WRITE_BYTES_MAX)
            self._handed_out_since_settled += len(chunk)
            connection.write(chunk)
        if self._handed_out_since_settled >= SETTLE_EVERY_BYTES:
            self.settle()
        if self._queue.waiting_bytes == 0:
            self._on_progress()

    def settle(self) -> None:
        """Forget what the receiver's TCP has acknowledged."""
        self._handed_out_since_settled = 0
        connection = self._connection
        if (
            connection is None
            or connection.is_closing()
            or self._queue.queued_bytes == self._queue.unsent_bytes
        ):
            return
        # In this order, because a reset makes the kernel forget what was not acknowledged.
        unacknowledged_bytes = connection.unacknowledged_bytes()
        if connection.abort_if_reset():
            return
        self._queue.unsettled(unacknowledged_bytes)

    def _connection_lost(self, reason: str) -> None:
        self._connection = None
        self._queue.connection_lost()
        self._lost.set()
        if self._is_closed and not self._queue.queued_bytes:
            return
        log.warning(
            "sink.lost",
            sink=self.name,
            address=self.address,
            reason=reason,
            bytes_queued=self.queued_bytes,
            next="reconnects; queued output is kept",
        )

    # When keys change their worker

    def hold(self, number: int) -> None:
        """Hold back what is written from now on, until ``release(number)``."""
        self._queue.hold(number)

    def release(self, number: int) -> None:
        """Write what this hold keeps back, once no earlier hold does."""
        self._queue.release(number)
        self.write_waiting()

    def drop_held(self) -> None:
        """Forget everything that is held back, since a replay produces it again."""
        self._queue.drop_held()

    # For checkpoints, and at the end

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Wait until the receiver's TCP has acknowledged everything written so far."""
        return cut_when_settled(self)

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Do nothing: holds keep the order."""
        return nothing_to_name

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: what a checkpoint needed is delivered."""

    async def discard(self) -> None:
        """Do nothing: what is written is visible."""

    async def flush(self) -> None:
        """Wait until the receiver's TCP has acknowledged everything."""
        await flush_queue(self)

    def close(self) -> None:
        """Close the connection for good, since everything is delivered."""
        self._is_closed = True
        self._waiting_since_s = None
        if self._connection is not None:
            self._connection.close()
