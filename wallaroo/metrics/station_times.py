"""How long records wait at a step, and how long the calls for them take."""

from wallaroo.metrics.histogram import Histogram


class StationTimes:
    """Nanoseconds that calls have taken, and for which records have waited, since ``take``."""

    def __init__(self) -> None:
        self.calls = Histogram()
        self.waits = Histogram()

    def take(self) -> tuple[Histogram, Histogram]:
        """Return the times of calls and of waits since the last time."""
        taken = self.calls, self.waits
        self.calls, self.waits = Histogram(), Histogram()
        return taken
