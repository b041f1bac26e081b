"""Looks what the sinks have taken, while something is on its way to them.

The kernel tells nobody when the other side acknowledges bytes, so this looks: at most once each
``LOOK_S`` however many turns there are, less and less often while nothing comes or goes, and never
when nothing is on its way. So the cost goes neither with records nor with turns.
"""

import asyncio
from collections.abc import Callable

from wallaroo.metrics.deliveries import Deliveries

LOOK_S = 0.008
"""With a turn of the engine on top of it well below ``GRACE_NS``."""
LOOK_MAX_S = 0.1


class DeliveryWatch:
    """Of one worker process. ``settled`` looks, and returns by sink the bytes that it has taken."""

    def __init__(self, deliveries: Deliveries, settled: Callable[[], list[int]]) -> None:
        self._deliveries = deliveries
        self._settled = settled
        self._timer: asyncio.TimerHandle | None = None
        self._after_s = LOOK_S
        self._has_more = False
        """Whether output was handed over since the last look."""
        deliveries.has_handed = self._look_soon

    def look(self) -> None:
        """Note what the sinks have taken by now."""
        for sink, byte_count in enumerate(self._settled()):
            self._deliveries.settled(sink, byte_count)

    def end(self) -> None:
        """Look no more."""
        self._deliveries.has_handed = lambda: None
        if self._timer is not None:
            self._timer.cancel()

    def _look_soon(self) -> None:
        self._has_more = True
        if self._timer is None:
            self._wait(LOOK_S)
        elif self._after_s > LOOK_S:
            # The next look would come too late for what was handed over just now.
            self._timer.cancel()
            self._wait(LOOK_S)

    def _wait(self, after_s: float) -> None:
        self._after_s = after_s
        self._timer = asyncio.get_running_loop().call_later(after_s, self._came)

    def _came(self) -> None:
        self._timer = None
        self.look()
        has_more, self._has_more = self._has_more, False
        if self._deliveries.has_pending():
            self._wait(LOOK_S if has_more else min(2 * self._after_s, LOOK_MAX_S))
