"""Results on their way to the sinks of one worker: how many have arrived, and after how long.

A result counts as out when the sink has it: acknowledged by the TCP of the other side, or written
to the file. What is only queued does not count, so a sink that is gone shows at once in the records
out, in their rates and in the latencies.

What a socket read delivers has one time, which goes with its records: with each batch to other
workers travels that of its oldest record. Each turn's output to a sink is one entry here, with its
size and the times of the slices that made it; nothing is done for a single record. An entry is
delivered when the sink has taken as many bytes as were handed over until then.

The kernel does not tell when the other side acknowledges something: the worker looks ten times a
second, with a timer that it has anyway. Timers of their own soon after output made batches smaller
and cost 3 % to 10 % of all CPU time. What is found delivered within ``GRACE_NS`` counts as
delivered when it was handed over, so that latencies do not contain the wait for the look; anything
else counts until the look. So a latency may be shown ``GRACE_NS`` too short, and up to one turn of
the engine (8 ms) too long for each exchange.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wallaroo.metrics.histogram import Histogram

GRACE_NS = 150_000_000
"""From one look to the next, and some time by which a look may be late under load."""

UNKNOWN_NS = 0
"""The time of records of which nobody noted when they were delivered to their source."""


@dataclass(slots=True)
class _Handed:
    """What one turn has handed to one sink."""

    end_bytes: int
    """Bytes that the sink has taken when it has all of this, counted since the process began."""
    count: int
    handed_ns: int
    slices: list[tuple[int, int]]
    """Of each slice, when its records were delivered to their source, and how many results there
    were when it had run."""


class _OfSink:
    """One sink's part. A sink belongs to one pipeline."""

    __slots__ = ("handed_bytes", "pending", "pending_count", "pipeline", "slices")

    def __init__(self, pipeline: int) -> None:
        self.pipeline = pipeline
        self.handed_bytes = 0
        self.pending: deque[_Handed] = deque()
        self.pending_count = 0
        self.slices: list[tuple[int, int]] = []
        """Of this turn; not handed over yet."""


class Deliveries:
    """Of one worker process.

    ``pipelines`` says for each sink which pipeline it ends, by index. ``clock_ns`` gives the time
    of the day, since what it gave on other workers is compared with it.
    """

    def __init__(
        self, pipelines: Sequence[int], pipeline_count: int, clock_ns: Callable[[], int]
    ) -> None:
        self.clock_ns = clock_ns
        self.histograms = [Histogram() for _ in range(pipeline_count)]
        """By pipeline, in nanoseconds, since they were last taken."""
        self._sinks = [_OfSink(pipeline) for pipeline in pipelines]
        self._sinks_of: list[list[_OfSink]] = [
            [sink for sink in self._sinks if sink.pipeline == pipeline]
            for pipeline in range(pipeline_count)
        ]
        self._oldest_ns: dict[int, int] = {}

    @property
    def oldest_ns(self) -> Mapping[int, int]:
        """By pipeline: when the oldest record of this turn was delivered to its source."""
        return self._oldest_ns

    def restart(self) -> None:
        """The worker goes back to a checkpoint: what is still on its way counts for nothing.

        The sinks keep their queues, so the numbers of bytes go on.
        """
        self._oldest_ns.clear()
        for sink in self._sinks:
            sink.pending.clear()
            sink.pending_count = 0
            sink.slices.clear()

    # What comes out

    def ran(self, pipeline: int, delivered_ns: int, counts: Sequence[int]) -> None:
        """A slice of records ran.

        ``counts`` says, for each sink of the pipeline, how many results of this turn it has now.
        """
        if delivered_ns and delivered_ns < self._oldest_ns.get(pipeline, delivered_ns + 1):
            self._oldest_ns[pipeline] = delivered_ns
        for sink, count in zip(self._sinks_of[pipeline], counts, strict=True):
            if count:
                sink.slices.append((delivered_ns, count))

    def handed(self, sink: int, byte_count: int, count: int) -> None:
        """All results of a sink until now go to it as ``byte_count`` bytes; ``count`` they are."""
        of_sink = self._sinks[sink]
        of_sink.handed_bytes += byte_count
        of_sink.pending_count += count
        slices, of_sink.slices = of_sink.slices, []
        of_sink.pending.append(_Handed(of_sink.handed_bytes, count, self.clock_ns(), slices))

    def flushed(self) -> None:
        """Everything of this turn is handed on."""
        self._oldest_ns.clear()

    # What the sinks say

    def pending_count(self, sink: int) -> int:
        """Return how many results were handed to a sink that it has not taken."""
        return self._sinks[sink].pending_count

    def oldest_pending_s(self, sink: int) -> float:
        """Return for how many seconds the oldest of these has waited; 0 if there are none."""
        pending = self._sinks[sink].pending
        return max(self.clock_ns() - pending[0].handed_ns, 0) / 1e9 if pending else 0.0

    def settled(self, sink: int, byte_count: int) -> None:
        """A sink has taken ``byte_count`` bytes since the process began."""
        of_sink = self._sinks[sink]
        pending = of_sink.pending
        if not pending or pending[0].end_bytes > byte_count:
            return
        now_ns = self.clock_ns()
        histogram = self.histograms[of_sink.pipeline]
        while pending and pending[0].end_bytes <= byte_count:
            handed = pending.popleft()
            of_sink.pending_count -= handed.count
            is_quick = now_ns - handed.handed_ns <= GRACE_NS
            taken_ns = handed.handed_ns if is_quick else now_ns
            before = 0
            for delivered_ns, count in handed.slices:
                if count > before and delivered_ns != UNKNOWN_NS:
                    histogram.record(taken_ns - delivered_ns, count - before)
                before = count

    def take(self) -> list[Histogram]:
        """Return the histograms since the last call."""
        taken, self.histograms = self.histograms, [Histogram() for _ in self.histograms]
        return taken
