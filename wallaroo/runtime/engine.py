"""Runs records in slices between looks at the sockets; the one place where records are processed.

What a socket read delivers is queued by its source, what a link delivers by the inbox. One turn of
the engine takes slices from both in alternation for a few milliseconds, sends what came out, and
lets the event loop look at the sockets again. There are no timers: with little to do a record runs
in the very turn of the loop in which it came.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wallaroo.metrics.deliveries import Deliveries
from wallaroo.metrics.probe import EVERY_S as WATCHED_EVERY_S
from wallaroo.names import SinkId, WorkerName
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import Dataflow, OutgoingBatch
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.operators.pacing import Pacer
from wallaroo.runtime.inbox import Inbox, Link
from wallaroo.wire.data_frames import Barrier, MovingFrame, NumberedFrame

TURN_S = 0.008

SLICES_BEFORE_SAVING = 2
"""While a checkpoint is written, every third slice is its."""


class SourceRunner(Protocol):
    """Where the engine takes records from, a slice at a time."""

    @property
    def pipeline(self) -> int:
        """The pipeline these records are for."""
        ...

    @property
    def has_records(self) -> bool:
        """Whether ``take`` would return any."""
        ...

    @property
    def delivered_ns(self) -> int:
        """When what ``take`` returns next came to this worker; 0 where that says nothing."""
        ...

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records; they are the engine's from now on."""
        ...

    def emptied(self) -> None:
        """Everything is taken and processed: read on."""
        ...


class BatchLink(Protocol):
    """The way to another worker."""

    def send_batch(self, batch: OutgoingBatch) -> None:
        """Send a batch, now or as soon as the link stands."""
        ...


class Engine:
    """The record path of one worker; begins with ``restart``.

    ``clock`` gives seconds from any origin; ``call_soon`` has a function called in the next
    iteration of whatever loop drives this.
    """

    def __init__(
        self, clock: Callable[[], float], call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._dataflow: Dataflow
        self.clock = clock
        """Asked before and after each slice of records."""
        self._call_soon = call_soon
        self.inbox = Inbox()
        self._sources: deque[SourceRunner] = deque()
        self._links: Mapping[WorkerName, BatchLink] = {}
        self._pacers: defaultdict[Any, Pacer] = defaultdict(Pacer)
        self._is_scheduled = False
        self._is_stopped = False
        self._inbox_has_turn = True
        self.holds_sources = False
        """A barrier is on its way through this worker: sources are behind it, and wait."""
        self._save: Callable[[], bool] | None = None
        self.record_count = 0
        """Records taken from sources so far."""
        self.deliveries: Deliveries | None = None
        """Where results on their way to sinks are noted; ``None`` if nobody wants to know."""
        self._watch_s = 0.0
        """When some records are to be watched again."""
        self.must_pause: Callable[[], bool] = lambda: False
        self.before_flush: Callable[[], None] = lambda: None
        """Called before anything leaves this worker."""
        self.on_output: Callable[[SinkId, bytes], None] = lambda _sink, _chunk: None
        self.on_barrier: Callable[[Link, Barrier], None] = lambda _link, _barrier: None
        self.on_moving: Callable[[Link, MovingFrame], None] = lambda _link, _frame: None
        """Called at once with states that move: they are no records, and wait for none."""
        self.on_failures: Callable[[list[Failure]], None] = lambda _: None
        self.on_stop: Callable[[Failure], None] = lambda _: None
        self.on_turn: Callable[[], None] = lambda: None
        """Called after each turn, when everything that came out is handed on."""

    def restart(self, dataflow: Dataflow) -> None:
        """Forget everything that waits; from now on records run through ``dataflow``."""
        self._dataflow = dataflow
        if self.deliveries is not None:
            self.deliveries.restart()
        self.inbox = Inbox()
        self._sources.clear()
        self._links = {}
        self.holds_sources = False
        self._save = None

    def connect(self, links: Mapping[WorkerName, BatchLink]) -> None:
        """Send batches over these links from now on."""
        self._links = links

    def save_with(self, save_some: Callable[[], bool] | None) -> None:
        """Write a checkpoint between the batches, a slice with each call, until it returns False.

        ``None`` stops that.
        """
        self._save = save_some
        # Keys that are about to change are written first: records take many times as long as just
        # before, so slices begin small.
        self._pacers.clear()

    # What comes in

    def frame_arrived(self, link: Link, frame: NumberedFrame) -> None:
        """Queue a frame from another worker."""
        if isinstance(frame, MovingFrame):
            self.on_moving(link, frame)
            return
        self.inbox.append(link, frame)
        self.schedule()

    def source_ready(self, source: SourceRunner) -> None:
        """Queue a source that has records and is not queued yet."""
        self._sources.append(source)
        self.schedule()

    def schedule(self) -> None:
        """Have a turn at the end of this iteration of the loop, if there is anything to do."""
        if not self._is_scheduled and self._has_work():
            self._is_scheduled = True
            self._call_soon(self._turn)

    def _has_work(self) -> bool:
        if self._is_stopped:
            return False
        return self._has_records() or self._save is not None

    def _has_records(self) -> bool:
        return self.inbox.first is not None or self._may_take_source()

    def _may_take_source(self) -> bool:
        return bool(self._sources) and not self.holds_sources and not self.must_pause()

    # A turn

    def _turn(self) -> None:
        self._is_scheduled = False
        deadline = self.clock() + TURN_S
        slice_count = 0
        try:
            while self._has_work():
                if self._has_records() and slice_count < SLICES_BEFORE_SAVING:
                    self._slice()
                    slice_count += self._save is not None
                elif self._save is not None:
                    slice_count = 0
                    self._save_some()
                    if not self._has_records():
                        break  # perhaps some wait in sockets
                if self.clock() >= deadline:
                    break
        except StopOnError as stop:
            self._stop(stop.failure)
            return
        self.flush()
        self.on_turn()
        self.schedule()

    def flush(self) -> None:
        """Hand on everything that came out so far."""
        self.before_flush()
        try:
            # All at once: a turn's records make few large batches, which are cheap.
            oldest_ns = {} if self.deliveries is None else self.deliveries.oldest_ns
            for batch in self._dataflow.take_batches(oldest_ns):
                self._links[batch.worker].send_batch(batch)
        except StopOnError as stop:
            # A record that cannot be serialised is found here.
            self._stop(stop.failure)
        for sink, chunk in self._dataflow.take_output():
            if self.deliveries is not None:
                # Before the sink has it, which may say at once how far it is.
                self.deliveries.handed(sink, len(chunk), self._dataflow.output_count(sink))
            self.on_output(sink, chunk)
        if self.deliveries is not None:
            self.deliveries.flushed()
        failures = self._dataflow.take_failures()
        if failures:
            self.on_failures(failures)

    def _stop(self, failure: Failure) -> None:
        # The record that failed still stands first in its queue: no other turn may find it there.
        self._is_stopped = True
        self.on_stop(failure)

    def _save_some(self) -> None:
        assert self._save is not None
        if not self._save():
            self._save = None

    def _slice(self) -> None:
        may_take_source = self._may_take_source()
        if self.inbox.first is not None and (self._inbox_has_turn or not may_take_source):
            self._inbox_has_turn = False
            self._inbox_slice()
        else:
            self._inbox_has_turn = True
            self._source_slice()

    def _source_slice(self) -> None:
        source = self._sources.popleft()
        pipeline = source.pipeline
        pacer = self._pacers["source", pipeline]
        delivered_ns = source.delivered_ns
        records = source.take(pacer.record_count)
        started = self.clock()
        self._dataflow.run_source(pipeline, records, is_watched=self._may_watch(started))
        pacer.observe(len(records), self.clock() - started)
        self._note_results(pipeline, delivered_ns)
        self.record_count += len(records)
        if source.has_records:
            self._sources.append(source)
        else:
            source.emptied()

    def _inbox_slice(self) -> None:
        waiting = self.inbox.first
        assert waiting is not None
        frame = waiting.frame
        if isinstance(frame, Barrier):
            self.inbox.remove_first()
            self.on_barrier(waiting.link, frame)
            return
        if waiting.batch is None:
            waiting.batch = self._dataflow.unpack(frame.edge, BatchFormat(frame.form), frame.body)
        batch = waiting.batch
        pacer = self._pacers["edge", frame.edge]
        count = min(pacer.record_count, len(batch.keys) - waiting.position)
        pipeline = self._dataflow.pipeline_of(frame.edge)
        started = self.clock()
        is_watched = self._may_watch(started)
        self._dataflow.run_batch(frame.edge, batch, waiting.position, count, is_watched=is_watched)
        pacer.observe(count, self.clock() - started)
        self._note_results(pipeline, frame.delivered_ns)
        waiting.position += count
        if waiting.position == len(batch.keys):
            self.inbox.remove_first()

    def _may_watch(self, now_s: float) -> bool:
        """Say whether some records of the next slice are to be watched."""
        if now_s < self._watch_s or self._dataflow.probe is None:
            return False
        self._watch_s = now_s + WATCHED_EVERY_S
        return True

    def _note_results(self, pipeline: int, delivered_ns: int) -> None:
        if self.deliveries is not None:
            counts = self._dataflow.output_counts(pipeline)
            self.deliveries.ran(pipeline, delivered_ns, counts)
