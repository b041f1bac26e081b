"""Log lines that outsiders can cause: some are written, the rest of the same second is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

SECOND_S = 1.0
LINES_EACH_S = 5
"""Lines of one event that are written in any second."""


class RateLimitedLog:
    """Logs one event at a limited rate, whatever unauthenticated peers do.

    ``write`` is a method of a logger. Events beyond the limit are counted, and one line reports
    their number when the second is over, as the event ``<event>_more``.
    """

    def __init__(self, write: Callable[..., Any], event: str) -> None:
        self._write = write
        self._event = event
        self._written_count = 0
        self._skipped_count = 0
        self._second: asyncio.TimerHandle | None = None

    def add(self, **facts: Any) -> None:
        """Log the event with ``facts``, or count it if the limit is reached."""
        if self._second is None:
            self._second = asyncio.get_running_loop().call_later(SECOND_S, self._next_second)
        if self._written_count < LINES_EACH_S:
            self._written_count += 1
            self._write(self._event, **facts)
        else:
            self._skipped_count += 1

    def _next_second(self) -> None:
        self._second = None
        if self._skipped_count:
            self._write(f"{self._event}_more", count=self._skipped_count)
        self._written_count = self._skipped_count = 0
