"""What the clocks of a worker do when a resize moves splits or connections of sources.

A split may be far behind what its new reader has read so far, whose watermark would make its
records late. So its last reader reports where its source was, and all workers go back to that. Each
holds the clocks of its own by its own watermark, so it does not matter whose watermarks reach it
first, and that those of a worker that leaves count no more.
"""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from wallaroo.names import EdgeId, WorkerName
from wallaroo.timing.clocks import Clock, ClockSender
from wallaroo.timing.source_times import SourceTimes
from wallaroo.topology.clock_graph import ClockGraph


class Sender(NamedTuple):
    """A worker that sends watermarks one way: over an edge, or, if negative, inside the worker."""

    place: int
    worker: WorkerName


class MovedSources:
    """Lets the clocks of one worker wait for what has moved."""

    def __init__(
        self,
        me: WorkerName,
        graph: ClockGraph,
        sources: Mapping[int, SourceTimes[Hashable]],
        senders: Mapping[EdgeId, ClockSender],
    ) -> None:
        """``sources`` are by pipeline."""
        self._me = me
        self._graph = graph
        self._sources = sources
        self._senders = senders

    def wait(
        self, moved: Mapping[int, int], clocks: Mapping[int, Clock[Sender]], now_ns: int
    ) -> None:
        """Wait where sources were, by pipeline; ``clocks`` are by point, and none are there on a
        worker that joins."""
        for index, point in enumerate(self._graph.points):
            if point.source is not None and point.source in moved:
                self._sources[point.source].wait_for_moved(moved[point.source], now_ns)
                self._wait_behind(index, moved[point.source], clocks)

    def _wait_behind(self, point: int, time: int, clocks: Mapping[int, Clock[Sender]]) -> None:
        """Wait at this time in all clocks behind a point.

        What gets watermarks from all workers stays where it is: that of the worker which had the
        source has held it back so far.
        """
        for way in self._graph.ways:
            if way.start != point:
                continue
            clock = clocks.get(way.end)
            if clock is not None:
                clock.wait_again(Sender(way.place, self._me), time)
            if way.edge is not None:
                self._senders[way.edge].restart()
            elif clock is not None and self._graph.points[way.end].state is None:
                clock.go_back(time)
                self._wait_behind(way.end, time, clocks)
