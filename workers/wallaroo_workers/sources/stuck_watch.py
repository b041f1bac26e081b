"""Finds out that a connector does not return, which nothing but the end of its process can end."""

import asyncio
import time
from collections.abc import Callable

from wallaroo_workers.logs import get_logger
from wallaroo_workers.sources.connector_thread import ConnectorThread

log = get_logger()

STUCK_S = 10.0
"""A worker whose reader does not return for so long is replaced."""
WATCH_EVERY_S = 1.0


class StuckWatch:
    """Looks every second whether the author's code in the thread returns."""

    def __init__(
        self,
        thread: ConnectorThread,
        pipeline: str,
        on_stuck: Callable[[], None],
        stuck_s: float = STUCK_S,
    ) -> None:
        self._thread = thread
        self._pipeline = pipeline
        self._on_stuck = on_stuck
        self._looks_max = max(1, round(stuck_s / WATCH_EVERY_S))
        self._since_s: float | None = None
        self._look_count = 0

    async def run(self) -> None:
        """Look until the process ends."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if self.look():
                return

    def look(self) -> bool:
        """Return whether the thread is stuck.

        Looks are counted, not seconds: a process that was stopped for a while has looked at nothing
        meanwhile, and its thread did nothing either.
        """
        since_s = self._thread.busy_since_s
        if since_s is None or since_s != self._since_s:
            self._since_s, self._look_count = since_s, 0
            return False
        self._look_count += 1
        if self._look_count < self._looks_max:
            return False
        log.error(
            "source.stuck",
            pipeline=self._pipeline,
            for_s=round(time.monotonic() - since_s),
            stack=self._thread.stack(),
            hint="a call that blocks cannot be interrupted; let poll and read return in time",
            next="this worker ends, and is started again",
        )
        self._on_stuck()
        return True
