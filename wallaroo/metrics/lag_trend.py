"""Finds out whether a source falls behind: whether its lag goes up and up."""

from itertools import pairwise

SPAN_S = 20.0
SPAN_COUNT = 3


class LagTrend:
    """The lag of one source over the last minute.

    The end of a partition is asked every few seconds, and meanwhile the lag goes down with each
    record. So the smallest lags of spans of 20 s are compared, not the lags of two moments.
    """

    def __init__(self) -> None:
        self._smallest: list[int] = []
        """Of the last spans that are over, the latest one last."""
        self._span_start_s: float | None = None
        self._smallest_now = 0
        self.lag = 0
        """The latest one."""

    def add(self, now_s: float, lag: int) -> None:
        """Note the lag at a time."""
        self.lag = lag
        if self._span_start_s is None:
            self._span_start_s, self._smallest_now = now_s, lag
        elif now_s < self._span_start_s + SPAN_S:
            self._smallest_now = min(self._smallest_now, lag)
        else:
            self._smallest = [*self._smallest, self._smallest_now][-SPAN_COUNT:]
            self._span_start_s, self._smallest_now = now_s, lag

    @property
    def is_rising(self) -> bool:
        """Whether the lag has gone up for three spans, thus for a minute."""
        spans = self._smallest
        return len(spans) == SPAN_COUNT and all(before < after for before, after in pairwise(spans))
