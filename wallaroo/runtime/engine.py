"""Runs records in slices; the one place where records are processed.

Sources queue what they read from sockets, and the inbox queues what arrives over links. One turn of
the engine takes slices from both in alternation for a few milliseconds, sends the results, and lets
the event loop poll the sockets again. There are no timers: with little to do, a record is processed
in the same turn of the loop in which it was read.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from wallaroo.metrics.deliveries import Deliveries
from wallaroo.metrics.probe import SAMPLE_INTERVAL_S
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.operators.pacing import Pacer
from wallaroo.runtime.engine_ports import BatchLink, EngineEvents, SourceRunner
from wallaroo.runtime.inbox import Inbox, Link
from wallaroo.wire.data_frames import Barrier, MovingFrame, NumberedFrame

TURN_S = 0.008

SLICES_BEFORE_SAVING = 2
"""While a checkpoint is written, every third slice of the time is for that."""


class Engine:
    """The record path of one worker; call ``restart`` first.

    ``clock`` returns seconds from any origin. ``call_soon`` calls a function in the next iteration
    of the event loop. ``deliveries`` measures the latency of results; it is ``None`` if nothing is
    measured.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        events: EngineEvents,
        deliveries: Deliveries | None = None,
    ) -> None:
        self._dataflow: Dataflow
        self._clock = clock
        """Called before and after each slice of records."""
        self._call_soon = call_soon
        self._events = events
        self.inbox = Inbox()
        self._sources: deque[SourceRunner] = deque()
        self._links: Mapping[WorkerName, BatchLink] = {}
        self._pacers: defaultdict[Any, Pacer] = defaultdict(Pacer)
        self._is_scheduled = False
        self._is_stopped = False
        self._inbox_has_turn = True
        self._holds_sources = False
        self._save: Callable[[], bool] | None = None
        self.record_count = 0
        """Records taken from sources so far."""
        self._deliveries = deliveries
        self._slices_before_saving = SLICES_BEFORE_SAVING
        """Over the end of a turn: with slow functions a turn has one slice."""
        self._watch_s = 0.0
        """When the next records are to be watched by the probe."""

    def restart(self, dataflow: Dataflow) -> None:
        """Forget everything that waits, and run records through ``dataflow`` from now on."""
        self._dataflow = dataflow
        if self._deliveries is not None:
            self._deliveries.restart()
        self.inbox = Inbox()
        self._sources.clear()
        self._links = {}
        self._holds_sources = False
        self.save_with(None)

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Use this clock from now on."""
        self._clock = clock

    @property
    def holds_sources(self) -> bool:
        """Whether sources wait behind a barrier."""
        return self._holds_sources

    def hold_sources(self) -> None:
        """Take nothing from sources, which are behind a barrier from now on."""
        self._holds_sources = True

    def release_sources(self) -> None:
        """Take from sources again, from the next turn on."""
        self._holds_sources = False

    def connect(self, links: Mapping[WorkerName, BatchLink]) -> None:
        """Send batches over these links from now on."""
        self._links = links

    def save_with(self, save_some: Callable[[], bool] | None) -> None:
        """Write a checkpoint between batches: call ``save_some`` until it returns ``False``.

        ``None`` stops that.
        """
        self._save = save_some
        self._slices_before_saving = SLICES_BEFORE_SAVING
        # While a checkpoint is written, a key is pickled before its first change, so records take
        # many times as long as before. Slices therefore begin small again.
        for pacer in self._pacers.values():
            pacer.begin_again()

    # Input

    def frame_arrived(self, link: Link, frame: NumberedFrame) -> None:
        """Queue a frame from another worker."""
        if isinstance(frame, MovingFrame):
            self._events.states_received(link, frame)
            return
        self.inbox.append(link, frame)
        self.schedule()

    def source_ready(self, source: SourceRunner) -> None:
        """Queue a source that has records and is not queued yet."""
        self._sources.append(source)
        self.schedule()

    def schedule(self) -> None:
        """Take a turn in the next iteration of the event loop, if there is anything to do."""
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
        return bool(self._sources) and not self._holds_sources and not self._events.must_pause

    # A turn

    def _turn(self) -> None:
        self._is_scheduled = False
        deadline = self._clock() + TURN_S
        try:
            while self._has_work():
                if self._has_records() and self._slices_before_saving > 0:
                    self._slice()
                    self._slices_before_saving -= self._save is not None
                elif self._save is not None:
                    self._slices_before_saving = SLICES_BEFORE_SAVING
                    self._save_some()
                    if not self._has_records():
                        break  # let the event loop look for records in the sockets
                if self._clock() >= deadline:
                    break
        except StopOnError as stop:
            self._stop(stop.failure)
            return
        self.flush()
        self._events.turn_ended()
        self.schedule()

    def flush(self) -> None:
        """Send all results so far to other workers and to the sinks."""
        self._events.flushing()
        try:
            # Once a turn, since a few large batches are cheaper than many small ones.
            oldest_ns = {} if self._deliveries is None else self._deliveries.oldest_ns
            for batch in self._dataflow.take_batches(oldest_ns):
                self._links[batch.worker].send_batch(batch)
        except StopOnError as stop:
            # Records that cannot be serialised are found here.
            self._stop(stop.failure)
        for sink, rows in self._dataflow.take_output():
            count = len(rows)
            byte_count = self._events.output_made(sink, rows)
            if self._deliveries is not None:
                self._deliveries.output_queued(sink, byte_count, count)
        if self._deliveries is not None:
            self._deliveries.turn_flushed()
        failures = self._dataflow.take_failures()
        if failures:
            self._events.records_failed(failures)

    def _stop(self, failure: Failure) -> None:
        # The failed record is still first in its queue, so there must be no other turn.
        self._is_stopped = True
        self._events.engine_stopped(failure)

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
        started = self._clock()
        self._dataflow.run_source(pipeline, records, is_watched=self._may_watch(started))
        pacer.observe(len(records), self._clock() - started)
        self._note_results(pipeline, delivered_ns)
        self.record_count += len(records)
        if source.has_records:
            self._sources.append(source)
        else:
            source.batch_consumed()

    def _inbox_slice(self) -> None:
        waiting = self.inbox.first
        assert waiting is not None
        frame = waiting.frame
        if isinstance(frame, Barrier):
            self.inbox.remove_first()
            self._events.barrier_received(waiting.link, frame)
            return
        batch = waiting.unpacked(self._dataflow)
        pacer = self._pacers["edge", frame.edge]
        count = min(pacer.record_count, len(batch.keys) - waiting.position)
        pipeline = self._dataflow.pipeline_of(frame.edge)
        started = self._clock()
        is_watched = self._may_watch(started)
        self._dataflow.run_batch(frame.edge, batch, waiting.position, count, is_watched=is_watched)
        pacer.observe(count, self._clock() - started)
        self._note_results(pipeline, frame.delivered_ns)
        if waiting.advance(count) == len(batch.keys):
            self.inbox.remove_first()

    def _may_watch(self, now_s: float) -> bool:
        """Return whether some records of the next slice are to be watched."""
        if now_s < self._watch_s or self._dataflow.probe is None:
            return False
        self._watch_s = now_s + SAMPLE_INTERVAL_S
        return True

    def _note_results(self, pipeline: int, delivered_ns: int) -> None:
        if self._deliveries is not None:
            counts = self._dataflow.output_counts(pipeline)
            self._deliveries.slice_processed(pipeline, delivered_ns, counts)
