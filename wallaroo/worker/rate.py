"""How fast a count grows, over the last few seconds."""

from collections import deque

SAMPLES_EVERY_S = 1.0
WINDOW_SAMPLES = 5


class Rate:
    """Samples a count from time to time, and returns by how much it grows each second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW_SAMPLES)

    def sample(self, now_s: float, count: int) -> None:
        """Note the count, unless there is a sample of the last second."""
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLES_EVERY_S:
            self._samples.append((now_s, count))

    def per_second(self, now_s: float, count: int) -> float:
        """Return the growth since the oldest sample; 0 if there is none."""
        if not self._samples:
            return 0.0
        before_s, before_count = self._samples[0]
        return (count - before_count) / (now_s - before_s) if now_s > before_s else 0.0
