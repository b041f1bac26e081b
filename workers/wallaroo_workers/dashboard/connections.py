"""Limits the connections to the page: their number, and how long one may send no request.

Otherwise a request sent byte by byte would keep its connection for as long as its sender likes.
"""

import asyncio
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

CONNECTIONS_MAX = 256
FIRST_REQUEST_S = 10.0
"""How long the first request of a connection may take, TLS included. Between requests
the server's own limit for idle connections applies."""


class Connections:
    """Accepts connections for a server. ``keep_watch`` is to be among its middlewares."""

    def __init__(self) -> None:
        self._new: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        """Connections that have not sent a request yet."""

    def accept(self, server: web.Server) -> asyncio.BaseProtocol:
        """Return the protocol for a new connection; one that closes it if there are too many."""
        # The server does not know connections whose TLS handshake is not finished.
        unknown_count = sum(1 for connection in self._new if connection.transport is None)
        if len(server.connections) + unknown_count >= CONNECTIONS_MAX:
            return _Refused()
        connection = server()
        loop = asyncio.get_running_loop()
        self._new[connection] = loop.call_later(FIRST_REQUEST_S, self._give_up, connection)
        return connection

    def close(self) -> None:
        """Stop waiting for first requests."""
        for timer in self._new.values():
            timer.cancel()
        self._new.clear()

    def keep_watch(self) -> Middleware:
        """Return the middleware that sees requests."""

        @web.middleware
        async def seen(request: web.Request, handler: Handler) -> web.StreamResponse:
            timer = self._new.pop(request.protocol, None)
            if timer is not None:
                timer.cancel()
            return await handler(request)

        return seen

    def _give_up(self, connection: web.RequestHandler) -> None:
        del self._new[connection]
        connection.force_close()


class _Refused(asyncio.Protocol):
    """Closes a connection above the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not recognised by its class, since uvloop's transports are not asyncio's.
        cast(asyncio.Transport, transport).abort()
