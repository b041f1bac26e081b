"""TCP sinks: connect, write whole records, and reconnect without losing any."""

import array
import asyncio
import fcntl
import socket
import termios
from collections.abc import Callable
from typing import cast

from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.connectors.tcp import TCPSink
from wallaroo_workers.logs import get_logger

log = get_logger()

CONNECT_TIMEOUT_S = 5.0
BACK_OFF_FIRST_S = 0.05
BACK_OFF_MAX_S = 1.0
WAITING_LOG_EVERY_S = 10.0
WRITE_BYTES_MAX = 1 << 18
SETTLE_EVERY_BYTES = 1 << 20


class TCPSinkRunner:
    """This worker's connection to one sink, and the output that the sink still has to receive."""

    def __init__(self, sink: TCPSink, on_progress: Callable[[], None]) -> None:
        """``on_progress`` is called when the backlog has become smaller."""
        self._sink = sink
        self._on_progress = on_progress
        self.written_bytes = 0
        self.connection_count = 0
        """How many connections there were, one after the other."""
        self.queue = SinkQueue()
        self._connection: _SinkConnection | None = None
        self._lost = asyncio.Event()
        self._handed_out_since_settled = 0
        self._is_closed = False
        self.connected = asyncio.Event()
        self.waiting_since_s: float | None = None
        """Loop time since which the sink is disconnected; ``None`` while it is connected."""

    @property
    def address(self) -> str:
        """The address of the sink."""
        return self._sink.address

    @property
    def backlog_bytes(self) -> int:
        """How many bytes the kernel has not accepted yet."""
        buffered = self._connection.buffered_bytes() if self._connection is not None else 0
        return self.queue.unsent_bytes + buffered

    @property
    def queued_bytes(self) -> int:
        """How many bytes the receiver has not acknowledged."""
        return self.queue.queued_bytes

    def write(self, chunk: bytes) -> None:
        """Queue whole records and write what the connection accepts."""
        self.written_bytes += len(chunk)
        self.queue.append(chunk)
        self.write_waiting()

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever written here the receiver's TCP has acknowledged."""
        return self.written_bytes - self.queue.queued_bytes

    async def run(self) -> None:
        """Keep the sink connected until it is closed or this is cancelled."""
        loop = asyncio.get_running_loop()
        back_off_s = 0.0
        while not self._is_closed:
            self.waiting_since_s = loop.time()
            await self._connect(back_off_s)
            connected_s = loop.time()
            self.waiting_since_s = None
            self.connected.set()
            self.write_waiting()
            self._on_progress()
            await self._lost.wait()
            self.connected.clear()
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
                        lambda: _SinkConnection(self.write_waiting, self._connection_lost),
                        self._sink.host,
                        self._sink.port,
                    )
                self.connection_count += 1
                log.info("sink.connected", address=self.address, next="queued output is sent")
                return
            except (OSError, TimeoutError) as error:
                if loop.time() - logged_s >= WAITING_LOG_EVERY_S:
                    logged_s = loop.time()
                    log.warning(
                        "sink.waiting",
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
        while connection is not None and connection.is_writable and self.queue.waiting_bytes:
            chunk = self.queue.take(WRITE_BYTES_MAX)
            self._handed_out_since_settled += len(chunk)
            connection.write(chunk)
        if self._handed_out_since_settled >= SETTLE_EVERY_BYTES:
            self.settle()
        if self.queue.waiting_bytes == 0:
            self._on_progress()

    def settle(self) -> None:
        """Forget what the receiver's TCP has acknowledged."""
        self._handed_out_since_settled = 0
        connection = self._connection
        if (
            connection is None
            or connection.is_closing()
            or self.queue.queued_bytes == self.queue.unsent_bytes
        ):
            return
        # In this order, because a reset makes the kernel forget what was not acknowledged.
        unacknowledged_bytes = connection.unacknowledged_bytes()
        if connection.abort_if_reset():
            return
        self.queue.unsettled(unacknowledged_bytes)

    def _connection_lost(self, reason: str) -> None:
        self._connection = None
        self.queue.connection_lost()
        self._lost.set()
        if self._is_closed and not self.queue.queued_bytes:
            return
        log.warning(
            "sink.lost",
            address=self.address,
            reason=reason,
            bytes_queued=self.queued_bytes,
            next="reconnects; queued output is kept",
        )

    def close(self) -> None:
        """Close the connection for good, since everything is delivered."""
        self._is_closed = True
        self.waiting_since_s = None
        if self._connection is not None:
            self._connection.close()


class _SinkConnection(asyncio.Protocol):
    """One connection. It holds at most one unwritten piece, so that we know what the kernel has."""

    def __init__(self, on_writable: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        self._on_writable = on_writable
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._has_eof = False
        self.is_writable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self.is_writable = True

    def write(self, chunk: bytes) -> None:
        self._transport.write(chunk)

    def buffered_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def unacknowledged_bytes(self) -> int:
        """How many bytes of ``write`` the receiver's TCP has not acknowledged."""
        count = array.array("i", [0])
        fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, count)
        return count[0] + self.buffered_bytes()

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        self._on_writable()

    def data_received(self, data: bytes) -> None:
        """Ignore what a receiver sends."""

    def eof_received(self) -> bool:
        """Go on writing: some receivers close their sending side at the start and go on reading."""
        self._has_eof = True
        return True

    def abort_if_reset(self) -> bool:
        """Return whether the receiver has reset the connection; if so, abort it.

        After an end of file the event loop no longer reads, so it does not notice the reset that
        answers what is written to a receiver that has ended.
        """
        if not self._has_eof:
            return False
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._transport.abort()
        return error != 0

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_writable = False
        self._on_lost(str(exc) if exc else "the sink closed the connection")

    def close(self) -> None:
        self._transport.close()
