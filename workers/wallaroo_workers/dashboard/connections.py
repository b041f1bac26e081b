"""Who holds connections to the page: so many, and none for long that asks for nothing.

A request that comes byte by byte would keep its connection for as long as its sender likes.
"""

import asyncio
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

CONNECTIONS_MAX = 256
FIRST_REQUEST_S = 10.0
"""How long a connection may take until its first request has come, TLS included. Between requests
it may last as long as the server keeps idle ones."""


class Connections:
    """Accepts connections for a server. ``keep_watch`` is to be among its middlewares."""

    def __init__(self) -> None:
        self._new: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        """Those that have not asked for anything yet."""

    def accept(self, server: web.Server) -> asyncio.BaseProtocol:
        """Return what answers a new connection, or what ends it where there are too many."""
        # Those that still shake hands for TLS are not known to the server.
        unknown_count = sum(1 for connection in self._new if connection.transport is None)
        if len(server.connections) + unknown_count >= CONNECTIONS_MAX:
            return _Refused()
        connection = server()
        loop = asyncio.get_running_loop()
        self._new[connection] = loop.call_later(FIRST_REQUEST_S, self._give_up, connection)
        return connection

    def close(self) -> None:
        """Wait for nobody any more."""
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
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not told apart by its class: uvloop's have none of asyncio's.
        cast(asyncio.Transport, transport).abort()
