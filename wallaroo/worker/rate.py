"""How fast a count goes up, over the last few seconds."""

from collections import deque

SAMPLES_EVERY_S = 1.0
WINDOW_SAMPLES = 5


class Rate:
    """Samples a count now and then, and says by how much it grows each second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW_SAMPLES)

    def sample(self, now_s: float, count: int) -> None:
        """Note the count; of several samples in one second the first is kept."""
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLES_EVERY_S:
            self._samples.append((now_s, count))

    def per_second(self, now_s: float, count: int) -> float:
        """Return the growth since the oldest sample that is kept; 0 without one."""
        if not self._samples:
            return 0.0
        before_s, before_count = self._samples[0]
        return (count - before_count) / (now_s - before_s) if now_s > before_s else 0.0
