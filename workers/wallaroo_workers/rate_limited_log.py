"""Log lines that others can cause: some are told, the rest of the same second is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

SECOND_S = 1.0
TOLD_EACH_S = 5
"""Lines told one by one in any second."""


class BoundedLog:
    """Tells of one kind of event at a bounded rate, whatever strangers do.

    ``tell`` is a method of a logger. Of what is not told one line says how often it was, once the
    second is over, as the event ``<event>_more``.
    """

    def __init__(self, tell: Callable[..., Any], event: str) -> None:
        self._tell = tell
        self._event = event
        self._told_count = 0
        self._untold_count = 0
        self._second: asyncio.TimerHandle | None = None

    def add(self, **facts: Any) -> None:
        """It happened once more."""
        if self._second is None:
            self._second = asyncio.get_running_loop().call_later(SECOND_S, self._next_second)
        if self._told_count < TOLD_EACH_S:
            self._told_count += 1
            self._tell(self._event, **facts)
        else:
            self._untold_count += 1

    def _next_second(self) -> None:
        self._second = None
        if self._untold_count:
            self._tell(f"{self._event}_more", count=self._untold_count)
        self._told_count = self._untold_count = 0
