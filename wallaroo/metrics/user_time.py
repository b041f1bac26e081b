"""Estimates the time that a worker spends in the user's functions, from a sample of records."""

from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.tally import IN, Counts

SMOOTHING = 0.3
"""Weight of the newest sample in the mean time of a function."""


class UserTime:
    """Seconds by node: the number of records, times the mean time of one in the sample."""

    def __init__(self, nodes: Nodes, overhead_ns: float) -> None:
        self._nodes = nodes
        self._overhead_ns = overhead_ns
        """The time that measuring takes, which is part of every value."""
        self._mean_ns: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def add_sample(self, times: list[list[int]], beside: list[int]) -> dict[str, Histogram]:
        """Add a sample of the probe; return a histogram for each node in it."""
        histograms: dict[str, Histogram] = {}
        for node, values, more in zip(self._nodes.all, times, beside, strict=True):
            if not values:
                continue
            histogram = histograms[node.id] = Histogram()
            histogram.record_all(values)
            mean = max((histogram.total + more) / len(values) - self._overhead_ns, 0.0)
            before = self._mean_ns.get(node.id, mean)
            self._mean_ns[node.id] = before + SMOOTHING * (mean - before)
        return histograms

    def update(self, counts: Counts) -> dict[str, float]:
        """Add the records since the last call; return the seconds until now.

        ``counts`` are those of this process.
        """
        for node, values in counts.items():
            before, self._seen[node] = self._seen.get(node, 0), values[IN]
            mean_ns = self._mean_ns.get(node)
            if mean_ns is not None:
                gained = max(values[IN] - before, 0)
                self.seconds[node] = self.seconds.get(node, 0.0) + gained * mean_ns / 1e9
        return dict(self.seconds)
