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
        connection = FrameConnection(
            Side.LISTENER, Purpose.DATA, self._secret, FRAME_BYTES_MAX, self._tls
        )
        self._strangers.came(connection)
        link: IncomingLink | None = None

        def received(data: bytes) -> None:
            nonlocal link
            link = self._links.received(link, connection, data)

        def lost(reason: str) -> None:
            if link is not None:
                link.detach(connection)
            else:
                self._strangers.refused(connection, reason)

        connection.on_open = lambda: self._strangers.proven(connection)
        connection.on_frame = received
        connection.on_lost = lost
        return connection
