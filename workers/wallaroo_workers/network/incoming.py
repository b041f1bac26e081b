"""The listening end of the links from all other workers."""

import asyncio

from wallaroo.links.incoming import IncomingLink, IncomingLinks
from wallaroo.wire.data_frames import FRAME_BYTES_MAX
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection, join_address
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.network.unauthenticated import UnauthenticatedPeers
from wallaroo_workers.rate_limited_log import RateLimitedLog

log = get_logger()


class LinkListener:
    """Accepts connections and passes their frames to ``links``."""

    def __init__(self, links: IncomingLinks, secret: bytes, tls: Tls | None = None) -> None:
        self._links = links
        self._secret = secret
        self._tls = tls
        self._unauthenticated = UnauthenticatedPeers(RateLimitedLog(log.warning, "link.rejected"))
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, advertised_host: str = "") -> str:
        """Listen on a free port; return the address that other workers dial."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, 0)
        return join_address(advertised_host or host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop accepting connections."""
        if self._server is not None:
            self._server.close()

    def _accept(self) -> FrameConnection:
        handler = _IncomingHandler(self._links, self._unauthenticated)
        connection = FrameConnection(
            Side.LISTENER, Purpose.DATA, self._secret, FRAME_BYTES_MAX, handler, self._tls
        )
        self._unauthenticated.connected(connection)
        return connection


class _IncomingHandler:
    """Handles one connection of another worker; its first frame names the link."""

    def __init__(self, links: IncomingLinks, peers: UnauthenticatedPeers) -> None:
        self._links = links
        self._unauthenticated = peers
        self._link: IncomingLink | None = None

    def opened(self, connection: FrameConnection) -> None:
        """The other side has proven the secret."""
        self._unauthenticated.authenticated(connection)

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        """Pass a frame to the links."""
        self._link = self._links.received(self._link, connection, frame)

    def lost(self, connection: FrameConnection, reason: str) -> None:
        """The connection has ended; the link may go on over another one."""
        if self._link is not None:
            self._link.detach(connection)
        else:
            self._unauthenticated.rejected(connection, reason)
