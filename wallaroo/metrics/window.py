"""Rates of counters, and histograms of values, over the last few seconds."""

from collections import deque
from collections.abc import Hashable, Mapping

from wallaroo.metrics.histogram import Histogram, merged

RATE_S = 5.0
LATENCY_S = 10.0


class Rates:
    """Rates of counters per second, over the last seconds.

    A counter that is lower than before was reset, so its value is the gain.
    """

    def __init__(self, window_s: float = RATE_S) -> None:
        self._window_s = window_s
        self._last: dict[Hashable, float] = {}
        self._last_s: float | None = None
        self._gains: deque[tuple[float, float, dict[Hashable, float]]] = deque()

    def sample(self, now_s: float, values: Mapping[Hashable, float]) -> dict[Hashable, float]:
        """Add the current values of counters; return the gain of each since the last call.

        The first call sets the initial values.
        """
        gains: dict[Hashable, float] = {}
        for key, value in values.items():
            before = self._last.get(key, 0)
            gains[key] = value - before if value >= before else value
        last_s, self._last_s = self._last_s, now_s
        self._last = dict(values)
        if last_s is None:
            return dict.fromkeys(values, 0.0)
        self._gains.append((last_s, now_s, gains))
        while self._gains and self._gains[0][1] <= now_s - self._window_s:
            self._gains.popleft()
        return gains

    def rate(self, key: Hashable) -> float:
        """Return the rate of one counter; 0 if it is unknown."""
        if not self._gains:
            return 0.0
        elapsed_s = self._gains[-1][1] - self._gains[0][0]
        gained = sum(gains.get(key, 0) for _, _, gains in self._gains)
        return gained / elapsed_s if elapsed_s > 0 else 0.0


class RecentHistogram:
    """The values of the last seconds."""

    def __init__(self, window_s: float = LATENCY_S) -> None:
        self._window_s = window_s
        self._parts: deque[tuple[float, Histogram]] = deque()

    def add(self, now_s: float, histogram: Histogram) -> None:
        """Add the newest values."""
        if histogram.count:
            self._parts.append((now_s, histogram))

    def merged(self, now_s: float) -> Histogram:
        """Return one histogram of all values within the window."""
        while self._parts and self._parts[0][0] <= now_s - self._window_s:
            self._parts.popleft()
        return merged(histogram for _, histogram in self._parts)
