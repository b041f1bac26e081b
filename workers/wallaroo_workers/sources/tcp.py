"""TCP sources: listen, split what arrives into payloads, and stop without losing any."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.tcp import TCPSource
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address, split_address
from wallaroo_workers.rate_limited_log import RateLimitedLog
from wallaroo_workers.sources.context import SourceContext
from wallaroo_workers.sources.frame_limits import IntakeLimits
from wallaroo_workers.sources.tcp_connection import SourceConnection

log = get_logger()

BACKLOG_CONNECTIONS = 1024
ACCEPTED_AT_ONCE = 16
"""Each of these may deliver one read before the read budget is checked again."""
ACCEPT_AGAIN_S = 1.0
FULL_LOGGED_EVERY_S = 10.0
DRAIN_POLL_S = 0.05
DRAIN_BYTES_MAX = 8 << 20
"""More than a sender's kernel buffers (4 MiB unless its system is tuned)."""


_BACKLOG_FIELD = slice(24, 28)
"""``tcpi_unacked`` in Linux's ``tcp_info``; for a listening socket it is the queue's length."""


class TCPSourceListener:
    """One source of one pipeline on this worker, with all its connections."""

    end = None
    """It has no end: more senders may connect."""

    def __init__(
        self,
        source: TCPSource,
        pipeline: int,
        engine: Engine,
        intake: ReadBudget,
        limits: IntakeLimits,
        journal: Journal | None = None,
        own_address: str | None = None,
    ) -> None:
        self.journal = journal
        """What is read is written here before it is processed; ``None`` without checkpoints."""
        self.source = source
        self.pipeline = pipeline
        self.engine = engine
        self.intake = intake
        self.limits = limits
        self.refusals = RateLimitedLog(log.error, "source.rejected")
        self.cut_off = RateLimitedLog(log.warning, "source.frame_truncated")
        self.connections: set[SourceConnection] = set()
        self.received_bytes = 0
        """Bytes from all connections, including closed ones."""
        self.drain_bytes: float = float("inf")
        """How much a connection may still deliver while the source drains."""
        self.address = source.address
        self._own_address = own_address
        """Where this host listens. Empty: nowhere; ``None``: at the initializer's address."""
        self._socket: socket.socket | None = None
        self._is_full = False
        self._full_logged_s = float("-inf")
        self._failed = RateLimitedLog(log.warning, "source.connection_failed")
        self._being_made: set[asyncio.Task[Any]] = set()

    def opened(self, connection: SourceConnection) -> None:
        """Add an established connection."""
        self.connections.add(connection)

    def finished(self, connection: SourceConnection) -> None:
        """Remove a closed connection whose payloads have all been taken."""
        self.connections.discard(connection)
        if self._is_full:
            self._is_full = False
            self.resume()

    @property
    def connection_count(self) -> int:
        """The number of connected senders."""
        return len(self.connections)

    async def listen(self, address: str) -> None:
        """Accept connections at ``address``, which every worker of this host shares.

        A host that joined listens at the address of its own command line, with the port of
        ``address`` if its own port is 0. After a drain, even an aborted one, this reopens the
        source.
        """
        if self._own_address == "":
            return
        if self._own_address is not None:
            host, port = split_address(self._own_address)
            address = join_address(host, port or split_address(address)[1])
        self.address = address
        self.drain_bytes = float("inf")
        for connection in self.connections:
            connection.end_drain()
        if self._socket is not None:
            return
        self._socket = bound_socket(address)
        self._socket.listen(BACKLOG_CONNECTIONS)
        self.intake.add(self)
        self.resume()

    # Accept here, not with the loop's own server: uvloop's server accepts one connection each turn
    # and reads from it at least once, however little room there is.

    def resume(self) -> None:
        """Accept connections, unless the read budget or the connection limit is exhausted."""
        if self._socket is not None and not (self.intake.is_full or self._is_full):
            asyncio.get_running_loop().add_reader(self._socket, self._accept_some)

    def pause(self) -> None:
        """Stop accepting; new connections and their data wait in the kernel."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)

    def _accept_some(self) -> None:
        self._accept_waiting(ACCEPTED_AT_ONCE)

    def _accept_waiting(self, connection_count_max: int) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        for _ in range(connection_count_max):
            if not self._has_room():
                self._wait_for_room()
                return
            try:
                accepted, _ = self._socket.accept()
                ours(accepted)
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # this client has gone; others may wait behind it
            except OSError as error:
                log.error("source.accept_failed", address=self.address, reason=str(error))
                self.pause()
                loop.call_later(ACCEPT_AGAIN_S, self.resume)
                return
            self._make(accepted)

    def _has_room(self) -> bool:
        count = self._connection_count()
        # Always allow one connection: otherwise nothing would ever be read.
        return not count or (
            count < self.limits.connections_max and self.limits.has_free_descriptor()
        )

    def _connection_count(self) -> int:
        return len(self.connections) + len(self._being_made)

    def _wait_for_room(self) -> None:
        """Let senders wait in the kernel until a connection ends or other files are closed."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._full_logged_s >= FULL_LOGGED_EVERY_S:
            self._full_logged_s = loop.time()
            log.warning(
                "source.connection_limit_reached",
                address=self.address,
                connections=self._connection_count(),
                hint="raise the limit of open files (ulimit -n), or start more workers",
                next="further senders wait until some of these connections end",
            )
        self._is_full = True
        self.pause()
        loop.call_later(ACCEPT_AGAIN_S, self._check_for_room)

    def _check_for_room(self) -> None:
        if self._is_full and self._socket is not None:
            if self._has_room():
                self._is_full = False
                self.resume()
            else:
                self._wait_for_room()

    def _make(self, accepted: socket.socket, partial_frame: bytes | None = None) -> None:
        making = asyncio.get_running_loop().create_task(self._connect(accepted, partial_frame))
        self._being_made.add(making)
        making.add_done_callback(self._being_made.discard)

    async def _connect(self, accepted: socket.socket, partial_frame: bytes | None) -> None:
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.connect_accepted_socket(
                lambda: SourceConnection(self, partial_frame), accepted
            )
        except OSError as error:
            self._failed.add(
                address=self.address, reason=str(error), next="the sender has to reconnect"
            )
            accepted.close()
            return
        if self.intake.is_full:
            # The budget may have run out meanwhile, and a new transport starts reading by itself.
            connection.pause()

    def rewind(self) -> None:
        """Drop payloads that wait to be processed: the journal has them and is replayed."""
        for connection in list(self.connections):
            connection.rewind()

    async def drain(self) -> None:
        """Read what senders had sent when this was called, then close all connections.

        "Sent" means accepted by the sender's kernel. Our receive buffers are read, and with them
        what a sender's kernel still holds: once our buffers are empty in two polls in a row,
        nothing more is on the way. A sender that keeps sending at full speed is cut off
        ``DRAIN_BYTES_MAX`` after what had arrived.
        """
        empty_polls: dict[SourceConnection, int] = {}
        self.drain_bytes = DRAIN_BYTES_MAX
        for connection in self.connections:
            connection.drain(self.drain_bytes)
        await asyncio.sleep(DRAIN_POLL_S)
        self._accept_waiting(BACKLOG_CONNECTIONS)
        # Connections that find no room now are accepted as others end, but only those that wait
        # already: otherwise senders that keep reconnecting could delay a stop for ever.
        late_count = self._waiting_count()
        while True:
            if late_count:
                late_count = self._accept_late(late_count)
            if not late_count:
                await self.stop_accepting()
                if not self.connections:
                    return
            for connection in list(self.connections):
                polls = empty_polls.get(connection, 0) + 1 if connection.is_empty() else 0
                empty_polls[connection] = polls
                if polls >= 2:
                    connection.close()
            await asyncio.sleep(DRAIN_POLL_S)

    def _accept_late(self, late_count: int) -> int:
        """Accept as many connections as there is room for; return how many still wait."""
        while late_count and self._has_room():
            waited = self._waiting_count()
            self._is_full = False
            self._accept_waiting(1)
            if self._waiting_count() >= waited and not self._connection_count():
                return 0  # not even one can be accepted, and no connection is left to end
            late_count = min(late_count - 1, self._waiting_count())
        return late_count

    # For other workers

    async def stop_accepting(self) -> None:
        """Accept the connections that wait, and no others until ``listen``.

        A client that connects between the last accept and the close is cut off, unless the system
        moves such connections to other listeners (``net.ipv4.tcp_migrate_req``).
        """
        self._accept_waiting(BACKLOG_CONNECTIONS)
        if waiting_count := self._waiting_count():
            log.warning(
                "source_connections.closed",
                address=self.address,
                connections=waiting_count,
                reason="they were waiting to be accepted, and no file descriptor was free",
                hint="raise the limit of open files (ulimit -n)",
                next="these senders have to reconnect",
            )
        self.close()
        if self._being_made:
            # wait() does not cancel these tasks if this call is cancelled, unlike gather().
            await asyncio.wait(self._being_made)

    def _waiting_count(self) -> int:
        """Return how many connections wait to be accepted; 0 if the system does not say."""
        if self._socket is None or not hasattr(socket, "TCP_INFO"):
            return 0
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BACKLOG_FIELD.stop)
        return int.from_bytes(info[_BACKLOG_FIELD], sys.byteorder)

    def copies(self) -> Iterator[ConnectionCopy]:
        """Yield copies of all connections, which must be paused; may raise ``OSError``."""

        for connection in self.connections:
            if (each := connection.copy()) is not None:
                yield each

    def detach(self) -> None:
        """Drop all connections; copies of them stay open elsewhere."""
        for connection in list(self.connections):
            connection.detach()

    def take_over(self, copy: ConnectionCopy) -> None:
        """Continue to read a connection of another worker, as if the sender had connected here."""
        assert isinstance(copy.stream, socket.socket)
        self._make(copy.stream, copy.partial_frame)

    def close(self) -> None:
        """Stop listening; existing connections stay open."""
        if self._socket is not None:
            self.intake.remove(self)
            self.pause()
            self._socket.close()
            self._socket = None


def new_runner(context: SourceContext) -> TCPSourceListener:
    """Return the listener of a TCP source."""
    source, limits = context.source, context.limits
    assert isinstance(source, TCPSource)
    if source.payload_bytes_max is not None:
        limits = replace(
            limits, frame_bytes_max=min(source.payload_bytes_max, limits.frame_bytes_max)
        )
    return TCPSourceListener(
        source,
        context.index,
        context.engine,
        context.intake,
        limits,
        context.journal,
        context.own_address if source.listens else "",
    )


def bound_socket(address: str) -> socket.socket:
    """Return a socket bound to ``address``, which it shares with the other workers."""
    host, port = split_address(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = ours(socket.socket(family, kind, protocol))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(where)
    bound.setblocking(False)
    return bound
