"""How long records take from their source to their sinks, measured by batches.

What a socket read delivers has one time, which goes with its records: with each batch to other
workers travels that of its oldest record. When the results of a turn are handed to the sinks, each
slice that made some counts with as many values. So a latency is never shown shorter than it was;
under load it is shown up to one turn of the engine (8 ms) longer for each exchange.
"""

from collections.abc import Callable, Mapping

from wallaroo.metrics.histogram import Histogram


class Latencies:
    """By pipeline, in nanoseconds.

    ``clock_ns`` gives the time of the day, since what it gave on other workers is compared with it.
    """

    def __init__(self, pipeline_count: int, clock_ns: Callable[[], int]) -> None:
        self.clock_ns = clock_ns
        self.histograms = [Histogram() for _ in range(pipeline_count)]
        """Since they were last taken."""
        self._oldest_ns: dict[int, int] = {}
        self._results: list[tuple[int, int, int]] = []

    @property
    def oldest_ns(self) -> Mapping[int, int]:
        """By pipeline: when the oldest record of this turn was delivered to its source."""
        return self._oldest_ns

    def ran(self, pipeline: int, delivered_ns: int, result_count: int) -> None:
        """A slice of records ran; 0 for ``delivered_ns`` where nobody noted it."""
        if not delivered_ns:
            return
        if delivered_ns < self._oldest_ns.get(pipeline, delivered_ns + 1):
            self._oldest_ns[pipeline] = delivered_ns
        if result_count:
            self._results.append((pipeline, delivered_ns, result_count))

    def flushed(self) -> None:
        """What came of these slices is handed on."""
        self._oldest_ns.clear()
        if not self._results:
            return
        now_ns = self.clock_ns()
        for pipeline, delivered_ns, result_count in self._results:
            self.histograms[pipeline].record(now_ns - delivered_ns, result_count)
        self._results.clear()

    def take(self) -> list[Histogram]:
        """Return the histograms since the last call."""
        taken, self.histograms = self.histograms, [Histogram() for _ in self.histograms]
        return taken
