"""Looks what the sinks have taken, while something is on its way to them.

The kernel tells nobody when the other side acknowledges bytes, so this looks: first a moment after
output was handed over, then less and less often while it is not taken. Without output there is no
timer. Output of a turn costs one look at most, so the cost goes with turns, never with records.
"""

import asyncio
from collections.abc import Callable

from wallaroo.metrics.deliveries import Deliveries

FIRST_LOOK_S = 0.002
LOOK_MAX_S = 0.1


class DeliveryWatch:
    """Of one worker process. ``settled`` looks, and returns by sink the bytes that it has taken."""

    def __init__(self, deliveries: Deliveries, settled: Callable[[], list[int]]) -> None:
        self._deliveries = deliveries
        self._settled = settled
        self._timer: asyncio.TimerHandle | None = None
        self._after_s = FIRST_LOOK_S
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
        if self._timer is not None:
            if self._after_s == FIRST_LOOK_S:
                return
            # The next look would come too late for what was handed over just now.
            self._timer.cancel()
        self._after_s = FIRST_LOOK_S
        self._timer = asyncio.get_running_loop().call_later(FIRST_LOOK_S, self._came)

    def _came(self) -> None:
        self._timer = None
        self.look()
        if self._deliveries.has_pending():
            self._after_s = min(2 * self._after_s, LOOK_MAX_S)
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self._came)
