"""TCP sources: listen, cut what arrives into payloads, stop without leaving any behind."""

import array
import asyncio
import contextlib
import fcntl
import socket
import termios
from typing import Any, cast

import structlog

from wallaroo.codec.framing import LengthFramer
from wallaroo.connectors.tcp import TCPSource
from wallaroo_workers.engine import Engine
from wallaroo_workers.intake import Intake
from wallaroo_workers.network.frames import join_address, split_address

log = structlog.get_logger()

BACKLOG_CONNECTIONS = 1024
ACCEPTED_AT_ONCE = 16
"""Each may deliver one read before it is known whether there is room for more."""
ACCEPT_AGAIN_S = 1.0
DRAIN_LOOK_S = 0.05
DRAIN_BYTES_MAX = 8 << 20
"""More than a sender's kernel keeps back (4 MiB unless its system is tuned)."""


class TCPSourceListener:
    """One source of one pipeline on this worker, with all its connections."""

    def __init__(
        self, source: TCPSource, pipeline: int, engine: Engine, intake: Intake, frame_bytes_max: int
    ) -> None:
        self.source = source
        self.pipeline = pipeline
        self.engine = engine
        self.intake = intake
        self.frame_bytes_max = frame_bytes_max
        self.connections: set[SourceConnection] = set()
        self.drain_bytes: float = float("inf")
        """What a connection may still deliver once the source is being drained."""
        self.address = source.address
        self._socket: socket.socket | None = None
        self._being_made: set[asyncio.Task[Any]] = set()

    async def listen(self, address: str) -> None:
        """Accept connections at ``address``, which every worker of this host shares."""
        self.address = address
        self._socket = bound_socket(address)
        self._socket.listen(BACKLOG_CONNECTIONS)
        self.intake.add(self)
        self.resume()

    # Accepting is done here and not by the loop's own server: uvloop's takes one connection in each
    # turn, and reads from it at least once, however little room there is.

    def resume(self) -> None:
        """Accept, unless all connections together have too much already."""
        if self._socket is not None and not self.intake.is_full:
            asyncio.get_running_loop().add_reader(self._socket, self._accept_some)

    def pause(self) -> None:
        """Let those who come wait, with what they send, in the kernel."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)

    def _accept_some(self) -> None:
        self._accept_waiting(ACCEPTED_AT_ONCE)

    def _accept_waiting(self, connection_count_max: int) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for _ in range(connection_count_max):
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # this one is gone; others may wait behind it
            except OSError as error:
                log.error("source.not_accepting", address=self.address, reason=str(error))
                self.pause()
                loop.call_later(ACCEPT_AGAIN_S, self.resume)
                return
            making = loop.create_task(self._connect(accepted))
            self._being_made.add(making)
            making.add_done_callback(self._being_made.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: SourceConnection(self), accepted)
        except OSError as error:
            log.debug("source.connection_failed", address=self.address, reason=str(error))
            accepted.close()

    async def drain(self) -> None:
        """Take what senders had sent when this was called, then close everything.

        Sent means: handed to the sender's kernel. What lies in our receive buffers is read, and
        with it what a sender's kernel still holds back: once our buffers have stayed empty for two
        looks, nothing is on its way. A sender that goes on at full speed is cut off
        ``DRAIN_BYTES_MAX`` behind what had arrived.
        """
        looks_empty: dict[SourceConnection, int] = {}
        self.drain_bytes = DRAIN_BYTES_MAX
        for connection in self.connections:
            connection.drain(self.drain_bytes)
        await asyncio.sleep(DRAIN_LOOK_S)
        self._accept_waiting(BACKLOG_CONNECTIONS)
        self.close()
        await asyncio.gather(*self._being_made)
        while self.connections:
            for connection in list(self.connections):
                looks = looks_empty.get(connection, 0) + 1 if connection.is_empty() else 0
                looks_empty[connection] = looks
                if looks >= 2:
                    connection.close()
            await asyncio.sleep(DRAIN_LOOK_S)

    def close(self) -> None:
        """Accept no more; connections stay."""
        if self._socket is not None:
            self.intake.remove(self)
            self.pause()
            self._socket.close()
            self._socket = None


class SourceConnection(asyncio.Protocol):
    """One sender. Reads one piece, waits until the engine has taken it, then reads on."""

    def __init__(self, listener: TCPSourceListener) -> None:
        self._listener = listener
        self._engine = listener.engine
        self._intake = listener.intake
        self._pending_bytes = 0
        source = listener.source
        self._framer = LengthFramer(
            source.header_length, source.payload_length, listener.frame_bytes_max
        )
        self._transport: asyncio.Transport
        self._payloads: list[bytes] = []
        self._position = 0
        self._is_open = False
        self._peer = ""
        self.byte_count = 0
        self.byte_count_last = listener.drain_bytes
        """Where a drain ends at the latest."""

    @property
    def pipeline(self) -> int:
        """The pipeline these payloads are for."""
        return self._listener.pipeline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = join_address(*peer[:2]) if peer else "a sender that is gone"
        self._is_open = True
        self._listener.connections.add(self)
        self._intake.add(self)
        log.debug("source.connected", address=self._listener.address, peer=self._peer)

    def data_received(self, data: bytes) -> None:
        """Cut into payloads; no more is read until they are processed."""
        self.byte_count += len(data)
        self._payloads = self._framer.receive_data(data)
        self._position = 0
        if self._framer.error is not None:
            self._refuse()
        if self._payloads:
            self.pause()
            self._pending_bytes = len(data)
            self._intake.took(len(data))
            self._engine.source_ready(self)
        elif self.byte_count >= self.byte_count_last:
            self.close()

    def _refuse(self) -> None:
        assert self._framer.error is not None
        log.error(
            "source.refused",
            address=self._listener.address,
            peer=self._peer,
            reason=self._framer.error.what,
            hint="the connection is closed; what came before is processed",
        )
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Payloads that wait are still the engine's to take."""
        self._is_open = False
        self._intake.remove(self)
        cut_off = self._framer.receive_eof()
        if cut_off and self._framer.error is None:
            log.warning(
                "source.frame_cut_off",
                address=self._listener.address,
                peer=self._peer,
                byte_count=cut_off,
            )
        if not self.has_records:
            self._listener.connections.discard(self)

    # For the engine

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._position < len(self._payloads)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next payloads."""
        start = self._position
        self._position = min(start + record_count_max, len(self._payloads))
        if start == 0 and self._position == len(self._payloads):
            return self._payloads
        return self._payloads[start : self._position]

    def emptied(self) -> None:
        """Read on, or be gone."""
        self._payloads = []
        self._position = 0
        pending_bytes, self._pending_bytes = self._pending_bytes, 0
        self._intake.gave(pending_bytes)
        if not self._is_open:
            self._listener.connections.discard(self)
        elif self.byte_count >= self.byte_count_last:
            self.close()
        else:
            self.resume()

    # For the intake

    def pause(self) -> None:
        """Read no more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless payloads wait here or all connections together have too many."""
        if not (self.has_records or self._intake.is_full or self._transport.is_closing()):
            self._transport.resume_reading()

    # For a drain

    def drain(self, byte_count_max: float) -> None:
        """Read what has arrived, and so much more at most."""
        if self._is_open:
            self.byte_count_last = self.byte_count + self._bytes_in_kernel() + byte_count_max

    def is_empty(self) -> bool:
        """Whether neither we nor our kernel hold anything of this sender."""
        return not self.has_records and (not self._is_open or self._bytes_in_kernel() == 0)

    def _bytes_in_kernel(self) -> int:
        count = array.array("i", [0])
        # The socket may have been closed already by an error that nobody has told us of yet.
        with contextlib.suppress(OSError, ValueError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
        return count[0]

    def close(self) -> None:
        """Hang up."""
        if self._is_open:
            self._transport.close()


def bound_socket(address: str) -> socket.socket:
    """Return a socket bound to ``address`` together with those of the other workers."""
    host, port = split_address(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(where)
    bound.setblocking(False)
    return bound
