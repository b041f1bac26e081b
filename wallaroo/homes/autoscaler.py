"""Decides when a cluster gets one worker more or less, by how busy its workers are.

A worker has one thread for records, so its share of a core says how close it is to its limit. The
cluster grows when the mean of a minute is above three quarters: adding a worker takes seconds, and
records wait meanwhile. It shrinks only after ten quiet minutes, because load that returns would
cost two resizes. After each change the shares are measured anew.

Times are seconds from any origin.
"""

from collections import deque
from collections.abc import Sequence

BUSY = 0.75
"""The cluster grows above this mean share of a core."""
QUIET = 0.3
"""It shrinks if no mean was above this."""
GROW_AFTER_S = 60.0
SHRINK_AFTER_S = 600.0


class Autoscaler:
    """Chooses the number of workers between two limits."""

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most
        self._samples: deque[tuple[float, float]] = deque()
        """Time and mean share of a core, the oldest first."""

    def sample(self, now_s: float, shares: Sequence[float]) -> int:
        """Note the share of a core of each worker; return how many workers to add: -1, 0 or 1."""
        count = len(shares)
        if not count:
            return 0
        self._samples.append((now_s, sum(shares) / count))
        # The oldest one that is kept shows that ten minutes were measured.
        while len(self._samples) > 1 and now_s - self._samples[1][0] >= SHRINK_AFTER_S:
            self._samples.popleft()
        change = self._change(now_s, count)
        if change:
            self.forget()
        return change

    def forget(self) -> None:
        """Measure anew: the cluster has changed."""
        self._samples.clear()

    def _change(self, now_s: float, count: int) -> int:
        since_s = now_s - self._samples[0][0]
        if count < self.least:
            return 1
        if count > self.most:
            return -1
        recent = [share for at_s, share in self._samples if now_s - at_s <= GROW_AFTER_S]
        if since_s >= GROW_AFTER_S and sum(recent) / len(recent) > BUSY:
            return 1 if count < self.most else 0
        is_quiet = since_s >= SHRINK_AFTER_S and all(share < QUIET for _, share in self._samples)
        return -1 if is_quiet and count > self.least else 0
