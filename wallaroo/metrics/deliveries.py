"""Counts and times the results that the sinks of one worker have received.

A result counts as out when the sink has it: when the TCP of the other side has acknowledged it, or
when it is written to the file. Queued results do not count, so a sink that is disconnected shows at
once in the records out, in their rates and in the latencies.

All records of one read of a socket have the same time. A batch to another worker carries the time
of its oldest record. The output of each turn to a sink is one entry here, with its size and the
times of the slices that produced it, so nothing is done for a single record. An entry is delivered
when the sink has taken all bytes that were queued until then.

The kernel does not report when the other side acknowledges something. The worker polls ten times a
second, with a timer that it has anyway; timers of their own soon after output made batches smaller,
and cost 3 % to 10 % of all CPU time. What is found delivered within ``GRACE_NS`` counts as
delivered when it was queued, so that latencies do not contain the time until the poll. Anything
else counts until the poll. So a latency may be up to ``GRACE_NS`` too short, and up to one turn of
the engine (8 ms) too long for each exchange.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wallaroo.metrics.histogram import Histogram

GRACE_NS = 150_000_000
"""The interval of polls, and some time by which a poll may be late under load."""

UNKNOWN_NS = 0
"""The time of records for which the time of arrival is unknown."""


_Slice = tuple[int, int, Sequence[int]]
"""When the source received the records of a slice, the number of results after it, and the
pipelines for which its latencies count."""


@dataclass(slots=True)
class _QueuedOutput:
    """The output of one turn for one sink."""

    end_bytes: int
    """Bytes that the sink has taken when it has all of this, counted since the process started."""
    count: int
    queued_ns: int
    slices: list[_Slice]


class _Sink:
    """The entries of one sink."""

    __slots__ = ("pending", "pending_count", "queued_bytes", "slices")

    def __init__(self) -> None:
        self.queued_bytes = 0
        """Bytes ever queued for it."""
        self.pending: deque[_QueuedOutput] = deque()
        self.pending_count = 0
        self.slices: list[_Slice] = []
        """Slices of this turn, whose output is not queued yet."""


class Deliveries:
    """The deliveries of one worker process.

    ``ends_of`` has, for each pipeline, the sinks that its records reach, and for each of them the
    pipelines that end in it on their way: its latencies count for all of these. ``clock_ns``
    returns the time of day, because times of other workers are compared with it.
    """

    def __init__(
        self,
        sink_count: int,
        ends_of: Sequence[Mapping[int, Sequence[int]]],
        clock_ns: Callable[[], int],
    ) -> None:
        self.clock_ns = clock_ns
        self.histograms = [Histogram() for _ in ends_of]
        """Latencies in nanoseconds by pipeline, since the last ``take``."""
        self._sinks = [_Sink() for _ in range(sink_count)]
        self._ends_of = [
            [(self._sinks[sink], pipelines) for sink, pipelines in ends.items()] for ends in ends_of
        ]
        self._oldest_ns: dict[int, int] = {}

    @property
    def oldest_ns(self) -> Mapping[int, int]:
        """By pipeline in which slices of this turn began: when their oldest record was received."""
        return self._oldest_ns

    def restart(self) -> None:
        """Forget all entries, because the worker goes back to a checkpoint.

        The sinks keep their queues, so the numbers of bytes continue.
        """
        self._oldest_ns.clear()
        for sink in self._sinks:
            sink.pending.clear()
            sink.pending_count = 0
            sink.slices.clear()

    # Output of the engine

    def slice_processed(self, pipeline: int, delivered_ns: int, counts: Sequence[int]) -> None:
        """Note that a slice of records was processed.

        ``counts`` holds, for each sink that its records reach, the results of this turn so far.
        """
        if delivered_ns and delivered_ns < self._oldest_ns.get(pipeline, delivered_ns + 1):
            self._oldest_ns[pipeline] = delivered_ns
        for (sink, pipelines), count in zip(self._ends_of[pipeline], counts, strict=True):
            if count:
                sink.slices.append((delivered_ns, count, pipelines))

    def output_queued(self, sink: int, byte_count: int, count: int) -> None:
        """Note that ``count`` results, all of this turn, are queued for a sink."""
        entry = self._sinks[sink]
        entry.queued_bytes += byte_count
        entry.pending_count += count
        slices, entry.slices = entry.slices, []
        entry.pending.append(_QueuedOutput(entry.queued_bytes, count, self.clock_ns(), slices))

    def turn_flushed(self) -> None:
        """Note that all output of this turn is queued."""
        self._oldest_ns.clear()

    # Progress of the sinks

    def pending_count(self, sink: int) -> int:
        """Return the number of results that are queued for a sink."""
        return self._sinks[sink].pending_count

    def oldest_pending_s(self, sink: int) -> float:
        """Return how long the oldest of these has waited, in seconds; 0 if there are none."""
        pending = self._sinks[sink].pending
        return max(self.clock_ns() - pending[0].queued_ns, 0) / 1e9 if pending else 0.0

    def settled(self, sink: int, byte_count: int) -> None:
        """Note that a sink has taken ``byte_count`` bytes since the process started."""
        entry = self._sinks[sink]
        pending = entry.pending
        if not pending or pending[0].end_bytes > byte_count:
            return
        now_ns = self.clock_ns()
        while pending and pending[0].end_bytes <= byte_count:
            queued = pending.popleft()
            entry.pending_count -= queued.count
            is_quick = now_ns - queued.queued_ns <= GRACE_NS
            taken_ns = queued.queued_ns if is_quick else now_ns
            before = 0
            for delivered_ns, count, pipelines in queued.slices:
                if count > before and delivered_ns != UNKNOWN_NS:
                    for pipeline in pipelines:
                        self.histograms[pipeline].record(taken_ns - delivered_ns, count - before)
                before = count

    def take(self) -> list[Histogram]:
        """Return the histograms since the last call."""
        taken, self.histograms = self.histograms, [Histogram() for _ in self.histograms]
        return taken
