"""How fast a count goes up, over the last few seconds."""

from collections import deque

SAMPLES_EVERY_S = 1.0
WINDOW_SAMPLES = 5


class Rate:
    """Looks at a count now and then, and says by how much it grows each second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW_SAMPLES)

    def look(self, now_s: float, count: int) -> None:
        """The count is this now; called more often than once a second it remembers less."""
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLES_EVERY_S:
            self._samples.append((now_s, count))

    def per_second(self, now_s: float, count: int) -> float:
        """Return the growth from the oldest look that is remembered until now; 0 without one."""
        if not self._samples:
            return 0.0
        then_s, then_count = self._samples[0]
        return (count - then_count) / (now_s - then_s) if now_s > then_s else 0.0
