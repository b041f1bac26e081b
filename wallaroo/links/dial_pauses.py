"""How long a worker waits before it dials another one.

At the start all workers dial each other. If a worker is lost, all others notice that at the same
time, and all of them dial its successor until it is there. If they did so in step, a large cluster
would send each port hundreds of connections within a millisecond. Each of them has to prove the
secret, and a port rejects more than ``UNAUTHENTICATED_MAX`` that have not done so yet.

So the pauses are partly random, and are spread over a time that grows with the number of workers.
"""

from collections.abc import Callable

BACK_OFF_FIRST_S = 0.02
BACK_OFF_MAX_S = 1.0
APART_S = 0.002
"""Time between two connections to the same worker, on average; enough for a proof with TLS."""


class DialPauses:
    """The pauses of one link."""

    def __init__(self, dialer_count: int, chance: Callable[[], float]) -> None:
        """``dialer_count`` workers dial the same one; ``chance`` draws a number from 0 to 1."""
        self._spread_s = (dialer_count - 1) * APART_S
        self._chance = chance
        self._back_off_s = 0.0

    def next_s(self) -> float:
        """Return how long to wait before the next attempt; attempts become less frequent."""
        fixed_s = self._back_off_s / 2
        pause_s = fixed_s + self._chance() * max(fixed_s, self._spread_s)
        self._back_off_s = min(max(2 * self._back_off_s, BACK_OFF_FIRST_S), BACK_OFF_MAX_S)
        return pause_s

    def connected(self) -> None:
        """Start again with short pauses, since the link was connected."""
        self._back_off_s = BACK_OFF_FIRST_S
