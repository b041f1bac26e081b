"""The initializer's end of the control links."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import (
    FRAME_BYTES_MAX,
    ControlFrame,
    Failed,
    Join,
    Pulse,
    decode_control_frame,
    encode_control_frame,
)
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.initializer.control.clients import Clients
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection, join_address
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.network.unauthenticated import UnauthenticatedPeers
from wallaroo_workers.rate_limited_log import RateLimitedLog

log = get_logger()


class Guest(Protocol):
    """An authenticated peer that is neither a worker nor a client, such as an agent."""

    def received(self, frame: ControlFrame) -> None:
        """Handle a frame; raise ``ProtocolError`` to close the connection."""
        ...

    def lost(self, reason: str) -> None:
        """Handle the end of the connection."""
        ...


Invite = Callable[[FrameConnection, ControlFrame], Guest]
"""Makes a guest of a connection and its first frame."""


class WorkerLinks(Protocol):
    """Handles what arrives over the links of workers."""

    def received(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Handle a frame from a worker."""
        ...

    def link_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        """Handle the end of a process's link; a process is known by the epoch of its start."""
        ...

    def heartbeat(self, worker: WorkerName, incarnation: Epoch) -> None:
        """Note that a process is alive."""
        ...


class ControlServer:
    """One link for each worker; if a worker connects again, the new link replaces the older one.

    A peer whose first frame is a ``Request`` is a client from then on.
    """

    def __init__(
        self,
        secret: bytes,
        workers: WorkerLinks,
        clients: Clients,
        guests: Mapping[type[ControlFrame], Invite],
        tls: Tls | None = None,
    ) -> None:
        """``guests`` are by the type of a connection's first frame."""
        self.workers = workers
        self.clients = clients
        self.guests = guests
        self._secret = secret
        self._tls = tls
        self.unauthenticated = UnauthenticatedPeers(RateLimitedLog(log.warning, "control.rejected"))
        self._links: dict[WorkerName, FrameConnection] = {}
        self._joined_epochs: dict[WorkerName, Epoch] = {}
        """By worker: the epoch in which the process at the other end of the link was started."""
        self._server: asyncio.Server | None = None
        self.address = ""

    async def listen(self, host: str, port: int) -> None:
        """Listen, and set ``address``. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port)
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Send a frame to a worker; do nothing if its link is closed."""
        if worker in self._links:
            self._links[worker].write(encode_control_frame(frame))

    def close(self) -> None:
        """Stop listening, and close each link once everything is written to it."""
        if self._server is not None:
            self._server.close()
        for link in self._links.values():
            link.close()

    def _accept(self) -> FrameConnection:
        connection = FrameConnection(
            Side.LISTENER,
            Purpose.CONTROL,
            self._secret,
            FRAME_BYTES_MAX,
            _ControlHandler(self),
            self._tls,
        )
        self.unauthenticated.connected(connection)
        return connection

    def joined(self, connection: FrameConnection, frame: ControlFrame) -> tuple[WorkerName, Epoch]:
        """Return the worker of a new link, and the epoch in which its process was started."""
        match frame:
            case Join(epoch, name):
                if epoch < self._joined_epochs.get(name, epoch):
                    # The frames of an ended process may be read after those of its successor.
                    raise ProtocolError(f"{name} of epoch {epoch} was replaced")
                self._joined_epochs[name] = epoch
                self._links[name] = connection
                return name, epoch
            case Failed(epoch, name):
                # A worker that cannot load the application sends this instead of Join.
                return name, epoch
            case _:
                raise ProtocolError(f"a worker begins with Join, not {type(frame).__name__}")

    def disconnected(
        self, connection: FrameConnection, worker: WorkerName, epoch: Epoch, why: str
    ) -> None:
        """Report the end of a worker's link, unless a newer link has replaced it."""
        if self._links.get(worker) is connection:
            del self._links[worker]
            self.workers.link_lost(worker, epoch, f"its control link broke: {why}")


class _ControlHandler:
    """One connection. Its first frame shows whether it is a worker's, a guest's or a client's."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._worker: tuple[WorkerName, Epoch] | None = None
        self._guest: Guest | None = None
        self._is_pulse = False

    def opened(self, connection: FrameConnection) -> None:
        """Note that the peer has proven that it knows the secret."""
        self._server.unauthenticated.authenticated(connection)

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        """Pass a frame to the handler of this kind of connection."""
        self._decoded(connection, decode_control_frame(frame))

    def _decoded(self, connection: FrameConnection, frame: ControlFrame) -> None:
        server = self._server
        if self._guest is not None:
            self._guest.received(frame)
            return
        if self._worker is None and server.clients.take(connection, frame):
            return
        if isinstance(frame, Pulse):
            self._is_pulse = True
            server.workers.heartbeat(frame.name, frame.epoch)
            return
        if self._worker is None:
            if (invite := server.guests.get(type(frame))) is not None:
                self._guest = invite(connection, frame)
                return
            self._worker = server.joined(connection, frame)
        server.workers.received(self._worker[0], frame)

    def lost(self, connection: FrameConnection, reason: str) -> None:
        """Handle the end of the connection."""
        server = self._server
        if self._guest is not None:
            self._guest.lost(reason)
        elif self._worker is not None:
            server.disconnected(connection, *self._worker, reason)
        elif not (self._is_pulse or server.clients.disconnected(connection, reason)):
            server.unauthenticated.rejected(connection, reason)
