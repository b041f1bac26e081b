"""The listening end of the links from all other workers."""

import asyncio

from wallaroo.links.incoming import IncomingLink, IncomingLinks
from wallaroo.wire.data_frames import FRAME_BYTES_MAX
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection, join_address
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.network.unauthenticated import Strangers
from wallaroo_workers.rate_limited_log import BoundedLog

log = get_logger()


class LinkListener:
    """Accepts connections; what comes over them is for ``links``."""

    def __init__(self, links: IncomingLinks, secret: bytes, tls: Tls | None = None) -> None:
        self._links = links
        self._secret = secret
        self._tls = tls
        self._strangers = Strangers(BoundedLog(log.warning, "link.refused"))
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, advertised_host: str = "") -> str:
        """Listen on a free port; return the address, with the host that others are to dial."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, 0)
        return join_address(advertised_host or host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    def _accept(self) -> FrameConnection:
        handler = _IncomingHandler(self._links, self._strangers)
        connection = FrameConnection(
            Side.LISTENER, Purpose.DATA, self._secret, FRAME_BYTES_MAX, handler, self._tls
        )
        self._strangers.came(connection)
        return connection


class _IncomingHandler:
    """One connection of another worker; its first frame says which link it is of."""

    def __init__(self, links: IncomingLinks, strangers: Strangers) -> None:
        self._links = links
        self._strangers = strangers
        self._link: IncomingLink | None = None

    def opened(self, connection: FrameConnection) -> None:
        """The other side has proven the secret."""
        self._strangers.proven(connection)

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        """Pass a frame to the links."""
        self._link = self._links.received(self._link, connection, frame)

    def lost(self, connection: FrameConnection, reason: str) -> None:
        """The connection has ended; the link may go on over another one."""
        if self._link is not None:
            self._link.detach(connection)
        else:
            self._strangers.refused(connection, reason)
