"""The last day in numbers, in bounded memory: finer the younger it is.

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
"""Seconds of one point, and how many points are kept."""

WORKERS_MAX = 64
"""Workers with a line of their own; what others took is in the totals only."""

NODES_MAX = 32
PIPELINES_MAX = 8
"""Sources, steps and sinks, and pipelines, with lines of their own."""


def until_look_s(now_s: float) -> float:
    """Return how long to wait until the middle of the next second.

    Whoever calls ``add`` there leaves no second out and hits none twice, even if each call is late
    by a little less than half a second. With a fixed wait lateness would add up, and now and then a
    second would be shown without records.
    """
    return 1.0 - (now_s - 0.5) % 1.0


NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class _Span:
    """What came in the seconds that make up one point."""

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
    """When it begins, in seconds since 1970."""
    rate_in: float
    rate_out: float
    rate_failed: float
    p50: float | None
    p99: float | None
    by_worker: Mapping[str, tuple[float, float]]
    """Into and out of each."""
    by_node: Mapping[str, float]
    by_pipeline: Mapping[str, tuple[float | None, float | None]]
    """``p50`` and ``p99`` of each."""


class _Level:
    """Points of one length; the present one is still open."""

    def __init__(self, point_s: int, point_count: int) -> None:
        self.point_s = point_s
        self.points: deque[Point] = deque(maxlen=point_count)
        self._index: int | None = None
        self._open = _Span()

    @property
    def covered_s(self) -> int:
        """How far back it can reach."""
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
        # Of a long silence only what is kept is worth making.
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
    """What ``add`` was told, for as long as 24 hours."""

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
        """Note what came since the last call; to be called once a second, also for nothing.

        ``counts`` has records ``in``, ``out`` and ``failed``; ``by_worker`` records in and out,
        ``by_node`` those in; ``latency`` all nanoseconds from source to sinks, ``by_pipeline``
        those of each.
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
        """Return the points of the last ``window_s`` seconds, as finely as they are known."""
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
    """Return the median and what 99 % do not exceed, in seconds."""
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
