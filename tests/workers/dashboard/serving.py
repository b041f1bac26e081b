"""A page on a free port, in the loop of the test or in a thread of its own; runs by hand too.

python -m tests.workers.dashboard.serving [PORT]    serves the made-up cluster until Ctrl-C
"""

import asyncio
import contextlib
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator

from tests.workers.dashboard.lively import LivelyCluster
from wallaroo_workers.dashboard.server import Dashboard
from wallaroo_workers.dashboard.settings import DashboardSettings

SECRET = b"a secret of 32 bytes for a test."


@contextlib.asynccontextmanager
async def served(
    cluster: LivelyCluster,
    settings: DashboardSettings | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Dashboard]:
    """The page of a cluster, until the end of the block."""
    chosen = settings or DashboardSettings(address="127.0.0.1:0")
    dashboard = Dashboard(chosen, cluster, cluster, SECRET, tls)
    assert await dashboard.start()
    try:
        yield dashboard
    finally:
        await dashboard.close()


class ServedInThread:
    """The page in a loop of its own, for tests that drive a browser and wait."""

    def __init__(
        self, cluster: LivelyCluster, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.cluster = cluster
        self._tls = tls
        self._settings = DashboardSettings(address=f"127.0.0.1:{port}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._dashboard: Dashboard | None = None
        self.start()

    @property
    def url(self) -> str:
        """Without the slash at its end."""
        assert self._dashboard is not None
        return self._dashboard.url.rstrip("/")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def start(self) -> None:
        """Listen."""
        self._dashboard = Dashboard(self._settings, self.cluster, self.cluster, SECRET, self._tls)
        assert asyncio.run_coroutine_threadsafe(self._dashboard.start(), self._loop).result(10)

    def go_away(self) -> None:
        """End as a cluster that has ended does; ``start`` then listens at the same port again."""
        assert self._dashboard is not None
        self._settings = DashboardSettings(address=f"127.0.0.1:{self.port}")
        asyncio.run_coroutine_threadsafe(self._dashboard.close(), self._loop).result(10)
        self._dashboard = None

    def close(self) -> None:
        """End for good."""
        if self._dashboard is not None:
            self.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def served_in_thread(
    cluster: LivelyCluster, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[ServedInThread]:
    """The same, until the end of the block."""
    page = ServedInThread(cluster, port, tls)
    try:
        yield page
    finally:
        page.close()


if __name__ == "__main__":
    with served_in_thread(LivelyCluster(), int(sys.argv[1]) if sys.argv[1:] else 0) as shown:
        print(f"{shown.url}/  secret {SECRET.decode()!r}", flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
