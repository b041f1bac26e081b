"""TCP sources: listen, cut what arrives into payloads, stop without leaving any behind."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.tcp import TCPSource
from wallaroo.ingest.connection_handover import Handed
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address, split_address
from wallaroo_workers.rate_limited_log import BoundedLog
from wallaroo_workers.sources.frame_limits import IntakeLimits
from wallaroo_workers.sources.tcp_connection import SourceConnection

log = get_logger()

BACKLOG_CONNECTIONS = 1024
ACCEPTED_AT_ONCE = 16
"""Each may deliver one read before it is known whether there is room for more."""
ACCEPT_AGAIN_S = 1.0
FULL_TOLD_EVERY_S = 10.0
DRAIN_LOOK_S = 0.05
DRAIN_BYTES_MAX = 8 << 20
"""More than a sender's kernel keeps back (4 MiB unless its system is tuned)."""


_BACKLOG_FIELD = slice(24, 28)
"""Of Linux's ``tcp_info``: ``tcpi_unacked``, which of a listening socket is its queue's length."""


class TCPSourceListener:
    """One source of one pipeline on this worker, with all its connections."""

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
        """Where everything is written down before it is processed; ``None`` without checkpoints."""
        self.source = source
        self.pipeline = pipeline
        self.engine = engine
        self.intake = intake
        self.limits = limits
        self.refusals = BoundedLog(log.error, "source.refused")
        self.cut_off = BoundedLog(log.warning, "source.frame_cut_off")
        self.connections: set[SourceConnection] = set()
        self.received_bytes = 0
        """From all connections, those that are gone included."""
        self.drain_bytes: float = float("inf")
        """What a connection may still deliver once the source is being drained."""
        self.address = source.address
        self._own_address = own_address
        """Where this host listens, empty for nowhere; ``None``: where the initializer says."""
        self._socket: socket.socket | None = None
        self._is_full = False
        self._full_told_s = float("-inf")
        self._failed = BoundedLog(log.warning, "source.connection_failed")
        self._being_made: set[asyncio.Task[Any]] = set()

    def opened(self, connection: SourceConnection) -> None:
        """A connection stands."""
        self.connections.add(connection)

    def done_with(self, connection: SourceConnection) -> None:
        """A connection is gone, and all it delivered is taken."""
        self.connections.discard(connection)
        if self._is_full:
            self._is_full = False
            self.resume()

    @property
    def connection_count(self) -> int:
        """Senders that are connected."""
        return len(self.connections)

    async def listen(self, address: str) -> None:
        """Accept connections at ``address``, which every worker of this host shares.

        A host of its own listens where its own command line says; at the port of ``address``, if
        that says 0. After a drain, or in the middle of one that was given up, all is as before it.
        """
        if self._own_address == "":
            return
        if self._own_address is not None:
            host, port = split_address(self._own_address)
            address = join_address(host, port or split_address(address)[1])
        self.address = address
        self.drain_bytes = float("inf")
        for connection in self.connections:
            connection.byte_count_last = self.drain_bytes
        if self._socket is not None:
            return
        self._socket = bound_socket(address)
        self._socket.listen(BACKLOG_CONNECTIONS)
        self.intake.add(self)
        self.resume()

    # Accepting is done here and not by the loop's own server: uvloop's takes one connection in each
    # turn, and reads from it at least once, however little room there is.

    def resume(self) -> None:
        """Accept, unless all connections together have too much already."""
        if self._socket is not None and not (self.intake.is_full or self._is_full):
            asyncio.get_running_loop().add_reader(self._socket, self._accept_some)

    def pause(self) -> None:
        """Let those who come wait, with what they send, in the kernel."""
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
                continue  # this one is gone; others may wait behind it
            except OSError as error:
                log.error("source.not_accepting", address=self.address, reason=str(error))
                self.pause()
                loop.call_later(ACCEPT_AGAIN_S, self.resume)
                return
            self._make(accepted)

    def _has_room(self) -> bool:
        count = self._connection_count()
        # One at a time is accepted however few files there are: else nothing would ever be read.
        return not count or (
            count < self.limits.connections_max and self.limits.has_free_descriptor()
        )

    def _connection_count(self) -> int:
        return len(self.connections) + len(self._being_made)

    def _wait_for_room(self) -> None:
        """Let senders wait in the kernel until a connection ends, or other files are closed."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._full_told_s >= FULL_TOLD_EVERY_S:
            self._full_told_s = loop.time()
            log.warning(
                "source.full",
                address=self.address,
                connections=self._connection_count(),
                hint="raise the limit of open files (ulimit -n), or start more workers",
                next="other senders wait until some of these have ended",
            )
        self._is_full = True
        self.pause()
        loop.call_later(ACCEPT_AGAIN_S, self._look_for_room)

    def _look_for_room(self) -> None:
        if self._is_full and self._socket is not None:
            if self._has_room():
                self._is_full = False
                self.resume()
            else:
                self._wait_for_room()

    def _make(self, accepted: socket.socket, begin: bytes | None = None) -> None:
        making = asyncio.get_running_loop().create_task(self._connect(accepted, begin))
        self._being_made.add(making)
        making.add_done_callback(self._being_made.discard)

    async def _connect(self, accepted: socket.socket, begin: bytes | None) -> None:
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.connect_accepted_socket(
                lambda: SourceConnection(self, begin), accepted
            )
        except OSError as error:
            self._failed.add(
                address=self.address, reason=str(error), next="the sender has to connect again"
            )
            accepted.close()
            return
        if self.intake.is_full:
            # The loop has it read once, whatever was said before.
            connection.pause()

    def rewind(self) -> None:
        """Forget what waits to be processed: it stands in the journal, which is replayed."""
        for connection in list(self.connections):
            connection.rewind()

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
        # Those that find no room now are let in as others end, but no more than wait already:
        # otherwise senders that come and go could keep a stop from ending.
        late_count = self._waiting_count()
        while True:
            if late_count:
                late_count = self._accept_late(late_count)
            if not late_count:
                await self.stop_accepting()
                if not self.connections:
                    return
            for connection in list(self.connections):
                looks = looks_empty.get(connection, 0) + 1 if connection.is_empty() else 0
                looks_empty[connection] = looks
                if looks >= 2:
                    connection.close()
            await asyncio.sleep(DRAIN_LOOK_S)

    def _accept_late(self, late_count: int) -> int:
        """Accept as many as there is room for; return how many are still to be accepted."""
        while late_count and self._has_room():
            waited = self._waiting_count()
            self._is_full = False
            self._accept_waiting(1)
            if self._waiting_count() >= waited and not self._connection_count():
                return 0  # not even one can be accepted, and nothing is left that could end
            late_count = min(late_count - 1, self._waiting_count())
        return late_count

    # For other workers

    async def stop_accepting(self) -> None:
        """Accept those who wait, and nobody more until ``listen``.

        Who connects between the last accept and the close is cut off, unless the system gives such
        connections to other listeners (``net.ipv4.tcp_migrate_req``).
        """
        self._accept_waiting(BACKLOG_CONNECTIONS)
        if waiting_count := self._waiting_count():
            log.warning(
                "senders.closed",
                address=self.address,
                connections=waiting_count,
                reason="they waited to be accepted, and there was no free file for them",
                hint="raise the limit of open files (ulimit -n)",
                next="these senders have to connect again",
            )
        self.close()
        if self._being_made:
            # Should nobody wait any more, they are made all the same.
            await asyncio.wait(self._being_made)

    def _waiting_count(self) -> int:
        """Return how many connections wait to be accepted; 0 if the system does not say."""
        if self._socket is None or not hasattr(socket, "TCP_INFO"):
            return 0
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BACKLOG_FIELD.stop)
        return int.from_bytes(info[_BACKLOG_FIELD], sys.byteorder)

    def handed(self) -> Iterator[Handed]:
        """Copy all connections, which nobody reads; to go through them raises ``OSError``."""
        for connection in self.connections:
            if (each := connection.handed()) is not None:
                yield each

    def let_go(self) -> None:
        """Forget all connections; copies of them stay open."""
        for connection in list(self.connections):
            connection.let_go()

    def take_over(self, handed: Handed) -> None:
        """Read on where another worker has stopped, as if the sender had connected here."""
        assert isinstance(handed.stream, socket.socket)
        self._make(handed.stream, handed.begin)

    def close(self) -> None:
        """Accept no more; connections stay."""
        if self._socket is not None:
            self.intake.remove(self)
            self.pause()
            self._socket.close()
            self._socket = None


def bound_socket(address: str) -> socket.socket:
    """Return a socket bound to ``address`` together with those of the other workers."""
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
