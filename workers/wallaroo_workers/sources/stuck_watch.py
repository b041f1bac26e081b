"""Finds out that a connector does not return, which nothing but the end of its process can end."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from wallaroo_workers.logs import get_logger
from wallaroo_workers.loop_watch import STUCK_S, WATCH_EVERY_S

log = get_logger()


class Busy(Protocol):
    """What runs an author's code in a thread."""

    @property
    def busy_since_s(self) -> float | None:
        """When the present call began, by the monotonic clock."""
        ...

    def stack(self) -> str:
        """Return where the thread is."""
        ...


class StuckWatch:
    """Looks every second whether the author's code in the thread returns."""

    def __init__(
        self,
        thread: Busy,
        pipeline: str,
        on_stuck: Callable[[], None],
        is_waited_for: Callable[[], bool] = lambda: True,
        hint: str = "a call that blocks cannot be interrupted; let poll and read return in time",
    ) -> None:
        """A call counts as stuck only if something ``is_waited_for``."""
        self._thread = thread
        self._is_waited_for = is_waited_for
        self._hint = hint
        self._pipeline = pipeline
        self._on_stuck = on_stuck
        self._looks_max = round(STUCK_S / WATCH_EVERY_S)
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
        if since_s is None or since_s != self._since_s or not self._is_waited_for():
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
            hint=self._hint,
            next="this worker ends, and is started again",
        )
        self._on_stuck()
        return True
