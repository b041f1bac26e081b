"""The server of the page: listens, has limits, and ends with the cluster."""

import asyncio
import ssl
from pathlib import Path

from aiohttp import web

from wallaroo_workers.dashboard.access import Access
from wallaroo_workers.dashboard.connections import FIRST_REQUEST_S, Connections
from wallaroo_workers.dashboard.exposition import Exposition
from wallaroo_workers.dashboard.guards import add_headers, guards
from wallaroo_workers.dashboard.interface import Interface
from wallaroo_workers.dashboard.observed import Observed, Steering
from wallaroo_workers.dashboard.refusals import AIOHTTP, Refusals
from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address, split_address

log = get_logger()

STATIC = Path(__file__).parent / "static"
BODY_BYTES_MAX = 64 << 10
KEEP_ALIVE_S = 30.0
END_WAITED_S = 1.0
"""How long answers may go on when the cluster ends."""

PAGES = ("/", "/pipelines/{name:.+}", "/steps/{name:.+}", "/workers/{name:.+}", "/states/{name:.+}")
"""All of them serve one file, which chooses what to show by the address."""


class Dashboard:
    """Serves the page of one cluster on the running event loop, without blocking it."""

    def __init__(
        self,
        settings: DashboardSettings,
        observed: Observed,
        steering: Steering,
        secret: bytes,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._host, self._port = split_address(settings.address)
        self._interface = Interface(observed, steering)
        access = Access(self._host, settings.names, secret)
        self._connections = Connections()
        application = web.Application(
            middlewares=[self._connections.keep_watch(), *guards(access)],
            client_max_size=BODY_BYTES_MAX,
        )
        application.on_response_prepare.append(add_headers)
        application.add_routes([web.get(page, _serve_page) for page in PAGES])
        application.add_routes(self._interface.routes())
        application.add_routes([web.get("/metrics", Exposition(observed).serve)])
        application.router.add_static("/static/", STATIC)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=END_WAITED_S,
        )
        self._server: asyncio.Server | None = None
        self._refusals = Refusals()
        self.address = ""
        """The address where it listens; empty if it does not."""

    async def start(self) -> bool:
        """Listen. If that fails, log a warning, and the cluster runs without its page."""
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._accept,
                self._host,
                self._port,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else FIRST_REQUEST_S,
            )
        except OSError as error:
            await self._runner.cleanup()
            log.warning(
                "dashboard.listen_failed",
                address=self._settings.address,
                reason=error.strerror or str(error),
                hint="choose another address with --dashboard H:P, or leave it out with "
                "--no-dashboard",
            )
            return False
        AIOHTTP.addFilter(self._refusals)
        port = self._server.sockets[0].getsockname()[1]
        self.address = join_address(self._host, port)
        return True

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"{'https' if self._tls else 'http'}://{self.address}/"

    async def close(self) -> None:
        """Stop listening and end what is under way."""
        if self._server is None:
            return
        self._server.close()
        self._connections.close()
        self._interface.live.close()
        await self._runner.cleanup()
        AIOHTTP.removeFilter(self._refusals)
        self._server = None
        self.address = ""

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return self._connections.accept(server)


async def _serve_page(_request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / "index.html")
