"""The end of a stop that takes too long: whoever is waited for in vain is waited for no more."""

import asyncio
from collections.abc import Callable

from wallaroo.coordinator.coordinator import Coordinator
from wallaroo_workers.logs import get_logger

log = get_logger()


class StopLimit:
    """From the moment somebody asks for a stop it has ``timeout_s``; ``None`` is for ever."""

    def __init__(self, timeout_s: float | None, give_up: Callable[[], None]) -> None:
        self._timeout_s = timeout_s
        self._give_up = give_up
        self._has_begun = False

    def look(self, coordinator: Coordinator) -> None:
        """Something has happened, perhaps that."""
        if self._timeout_s is None or self._has_begun or not coordinator.ending.is_requested:
            return
        self._has_begun = True
        asyncio.get_running_loop().call_later(self._timeout_s, self._end, coordinator)

    def _end(self, coordinator: Coordinator) -> None:
        workers = ", ".join(coordinator.waiting_for) or "none"
        lost, following = "what was not delivered", "all processes end at once"
        log.warning("cluster.stop_timed_out", workers=workers, lost=lost, next=following)
        self._give_up()
