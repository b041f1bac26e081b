"""Opens and closes the dashboard of a run, if the run has one."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.tls import TlsFiles, page_server_context
from wallaroo_workers.run_file import RunFile

if TYPE_CHECKING:
    from wallaroo_workers.dashboard.observed import Observed, Steering
    from wallaroo_workers.dashboard.server import Dashboard

log = get_logger()

READY_AWAITED_S = 3.0
"""If a start takes longer, the page opens before it is done, to show what delays it."""


class Page:
    """Opens the page once the workers are ready, and closes it when everything else has ended."""

    def __init__(
        self, settings: DashboardSettings | None, run_file: RunFile, tls: TlsFiles | None = None
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._run_file = run_file
        self._dashboard: Dashboard | None = None
        self._is_over = False

    async def open_when(
        self,
        ready: asyncio.Event,
        observed: "Observed",
        steering: "Steering",
        secret: bytes,
    ) -> None:
        """Open the page when this no longer delays the start, and record its address.

        Its modules take half a second of CPU time to load, which starting workers need more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_AWAITED_S):
                await ready.wait()
        await self.open(observed, steering, secret)
        if self._is_over:
            await self.close()

    async def open(self, observed: "Observed", steering: "Steering", secret: bytes) -> None:
        """Listen and record the address, if there is a page and its port is free."""
        if self._settings is None:
            return
        from wallaroo_workers.dashboard.server import Dashboard

        tls = None if self._tls is None else page_server_context(self._tls)
        dashboard = Dashboard(self._settings, observed, steering, secret, tls)
        if await dashboard.start():
            self._dashboard = dashboard
            # Before the log line: a script that waits for the line reads the file next.
            self._run_file.write(dashboard=dashboard.address)
            log.info("dashboard.listening", url=dashboard.url)

    @property
    def url(self) -> str:
        """The URL for a browser; empty if there is no page."""
        return self._dashboard.url if self._dashboard is not None else ""

    async def close(self) -> None:
        """Stop listening, and finish the answers that are under way."""
        self._is_over = True
        if self._dashboard is not None:
            await self._dashboard.close()
            self._dashboard = None
