"""The metrics of the last day, in bounded memory; newer ones are finer.

Five minutes by seconds, an hour by ten seconds, 24 hours by minutes. Time goes on when nothing
happens: a second without records is a second with zeros. Percentiles of a longer span come from the
merged histograms of its seconds.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any

from wallaroo.metrics.histogram import Histogram

LEVELS = ((1, 300), (10, 360), (60, 1440))
"""Seconds of one point, and the number of points kept."""

WORKERS_MAX = 64
"""Workers with values of their own; all others are in the totals only."""

NODES_MAX = 32
PIPELINES_MAX = 8
"""Nodes and pipelines with values of their own."""


def seconds_to_next_sample(now_s: float) -> float:
    """Return how long to wait until the middle of the next second.

    If ``add`` is called there, each second gets one call, even if each call is late by a little
    less than half a second. With a fixed wait, delays would add up, and now and then a second would
    be shown without records.
    """
    return 1.0 - (now_s - 0.5) % 1.0


NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class _Span:
    """The records of the seconds that make up one point."""

    count_in: float = 0
    count_out: float = 0
    count_failed: float = 0
    by_worker: dict[str, tuple[float, float]] = field(default_factory=dict)
    by_node: dict[str, float] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    by_pipeline: dict[str, Histogram] = field(default_factory=dict)

    def add(self, other: "_Span") -> None:
        self.count_in += other.count_in
        self.count_out += other.count_out
        self.count_failed += other.count_failed
        for worker, (count_in, count_out) in other.by_worker.items():
            before_in, before_out = self.by_worker.get(worker, (0, 0))
            self.by_worker[worker] = before_in + count_in, before_out + count_out
        for node, count in other.by_node.items():
            self.by_node[node] = self.by_node.get(node, 0) + count
        self.latency.merge(other.latency)
        for pipeline, latency in other.by_pipeline.items():
            self.by_pipeline.setdefault(pipeline, Histogram()).merge(latency)


@dataclass(frozen=True, slots=True)
class Point:
    """One point: rates per second, and percentiles in seconds."""

    at_s: int
    """Its start, in seconds since 1970."""
    rate_in: float
    rate_out: float
    rate_failed: float
    p50: float | None
    p99: float | None
    by_worker: Mapping[str, tuple[float, float]]
    """Rates into and out of each worker."""
    by_node: Mapping[str, float]
    by_pipeline: Mapping[str, tuple[float | None, float | None]]
    """The p50 and p99 of each pipeline."""


class _Level:
    """Points of one length; the newest one is still open."""

    def __init__(self, point_s: int, point_count: int) -> None:
        self.point_s = point_s
        self.points: deque[Point] = deque(maxlen=point_count)
        self._index: int | None = None
        self._open = _Span()

    @property
    def covered_s(self) -> int:
        """The time that its points can cover."""
        assert self.points.maxlen is not None
        return self.point_s * self.points.maxlen

    def add(self, at_s: float, span: _Span) -> None:
        index = int(at_s // self.point_s)
        if self._index is None:
            self._index = index
        self._close_until(index)
        self._open.add(span)

    def _close_until(self, index: int) -> None:
        assert self._index is not None and self.points.maxlen is not None
        if index <= self._index:
            return
        # After a long silence, only the points that are kept are created.
        skipped_count = index - self._index - 1 - self.points.maxlen
        self._close()
        self._index += max(skipped_count, 0)
        while self._index < index:
            self._close()

    def _close(self) -> None:
        assert self._index is not None
        span, self._open = self._open, _Span()
        p50, p99 = _percentiles(span.latency)
        self.points.append(
            Point(
                at_s=self._index * self.point_s,
                rate_in=span.count_in / self.point_s,
                rate_out=span.count_out / self.point_s,
                rate_failed=span.count_failed / self.point_s,
                p50=p50,
                p99=p99,
                by_worker={
                    worker: (count_in / self.point_s, count_out / self.point_s)
                    for worker, (count_in, count_out) in span.by_worker.items()
                },
                by_node={node: count / self.point_s for node, count in span.by_node.items()},
                by_pipeline={
                    name: _percentiles(latency) for name, latency in span.by_pipeline.items()
                },
            )
        )
        self._index += 1


class History:
    """The history of one run, for up to 24 hours."""

    def __init__(self) -> None:
        self._levels = [_Level(point_s, count) for point_s, count in LEVELS]

    def add(
        self,
        at_s: float,
        counts: Mapping[str, float],
        by_worker: Mapping[str, tuple[float, float]],
        latency: Histogram,
        by_node: Mapping[str, float] = NOTHING,
        by_pipeline: Mapping[str, Histogram] = NOTHING,
    ) -> None:
        """Add the records since the last call; call it once a second, also without records.

        ``counts`` has records ``in``, ``out`` and ``failed``; ``by_worker`` has records in and out,
        and ``by_node`` records in. ``latency`` has nanoseconds from source to sinks, and
        ``by_pipeline`` has those of each pipeline.
        """
        workers = dict(sorted(by_worker.items())[:WORKERS_MAX])
        span = _Span(
            counts["in"],
            counts["out"],
            counts["failed"],
            workers,
            dict(islice(by_node.items(), NODES_MAX)),
            latency,
            dict(islice(by_pipeline.items(), PIPELINES_MAX)),
        )
        for level in self._levels:
            level.add(at_s, span)

    def last(self, window_s: float) -> dict[str, Any]:
        """Return the points of the last ``window_s`` seconds, at the finest level that covers
        them."""
        level = next(
            (level for level in self._levels if level.covered_s >= window_s), self._levels[-1]
        )
        points = [*level.points][-max(round(window_s / level.point_s), 1) :]
        workers = sorted({worker for point in points for worker in point.by_worker})
        return {
            "step_s": level.point_s,
            "t": [point.at_s for point in points],
            "in": [point.rate_in for point in points],
            "out": [point.rate_out for point in points],
            "failed": [point.rate_failed for point in points],
            "p50": [point.p50 for point in points],
            "p99": [point.p99 for point in points],
            "workers": {
                worker: {
                    kind: [point.by_worker.get(worker, (0.0, 0.0))[index] for point in points]
                    for index, kind in enumerate(("in", "out"))
                }
                for worker in workers
            },
            "nodes": {
                node: {"in": [point.by_node.get(node, 0.0) for point in points]}
                for node in dict.fromkeys(name for point in points for name in point.by_node)
            },
            "pipelines": _by_pipeline(points),
        }


def _percentiles(latency: Histogram) -> tuple[float | None, float | None]:
    """Return the p50 and the p99, in seconds."""
    p50, p99 = latency.quantiles([0.5, 0.99])
    return None if p50 is None else p50 / 1e9, None if p99 is None else p99 / 1e9


def _by_pipeline(points: Sequence[Point]) -> dict[str, dict[str, list[float | None]]]:
    names = dict.fromkeys(name for point in points for name in point.by_pipeline)
    unknown = (None, None)
    return {
        name: {
            label: [point.by_pipeline.get(name, unknown)[index] for point in points]
            for index, label in enumerate(("p50", "p99"))
        }
        for name in names
    }
