"""The page of a run, where there is to be one."""

import ssl
from typing import TYPE_CHECKING

import structlog

from wallaroo_workers.dashboard.settings import DashboardSettings

if TYPE_CHECKING:
    from wallaroo_workers.dashboard.observed import Observed, Steering
    from wallaroo_workers.dashboard.server import Dashboard

log = structlog.get_logger()


class Page:
    """Opens the page while the workers start, and closes it when all else has ended."""

    def __init__(self, settings: DashboardSettings | None) -> None:
        self._settings = settings
        self._dashboard: Dashboard | None = None

    async def open(
        self,
        observed: "Observed",
        steering: "Steering",
        secret: bytes,
        tls: ssl.SSLContext | None = None,
    ) -> str:
        """Listen; return the address. Empty where there is no page, or its port is taken."""
        if self._settings is None:
            return ""
        # Loaded now, when workers are on their way, since it takes a quarter of a second.
        from wallaroo_workers.dashboard.server import Dashboard

        dashboard = Dashboard(self._settings, observed, steering, secret, tls)
        if await dashboard.start():
            self._dashboard = dashboard
            log.info("dashboard.listening", url=dashboard.url)
        return dashboard.address

    @property
    def url(self) -> str:
        """What to open in a browser; empty where there is none."""
        return self._dashboard.url if self._dashboard is not None else ""

    async def close(self) -> None:
        """Let answers that are under way end, and stop listening."""
        if self._dashboard is not None:
            await self._dashboard.close()
            self._dashboard = None
