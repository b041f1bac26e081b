"""Runs records in slices; the one place where records are processed.

Sources queue what they read from sockets, and the inbox queues what arrives over links. One turn of
the engine takes slices from both in alternation for a few milliseconds, sends the results, and lets
the event loop poll the sockets again. Records need no timers: with little to do, a record is
processed in the same turn of the loop in which it was read. Only what waits at a step has alarms.

What a clock has made due comes before records, in slices like theirs, but barriers do not wait for
it. Once the sources are behind a barrier, nothing fires until that is through: results would reach
other workers behind it, although the states that have given them count as before it. While output
is under pressure, what is due waits and records go on. If they waited too, two workers could wait
for each other.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from wallaroo.metrics.deliveries import UNKNOWN_NS, Deliveries
from wallaroo.metrics.probe import SAMPLE_INTERVAL_S
from wallaroo.names import StepId, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.operators.pacing import Pacer
from wallaroo.runtime.alarms import Alarms
from wallaroo.runtime.calls import Calls
from wallaroo.runtime.due_work import DueWork
from wallaroo.runtime.engine_clocks import EngineClocks, EngineParts
from wallaroo.runtime.engine_ports import BatchLink, EngineEvents, EngineLoop, SourceRunner
from wallaroo.runtime.inbox import Inbox, Link
from wallaroo.runtime.stations import Stations
from wallaroo.runtime.wall_clock import WallClock
from wallaroo.wire.data_frames import Barrier, ClockFrame, MovingFrame, NumberedFrame

TURN_S = 0.008

RESULTS_MAX = 200
"""Records that leave a step at which they have waited, in one slice."""

SLICES_BEFORE_SAVING = 2
"""While a checkpoint is written, every third slice of the time is for that."""


class Engine:
    """The record path of one worker; call ``restart`` first.

    ``clock`` returns seconds from any origin, ``wall_ns`` the time since 1970, by which records are
    read. ``deliveries`` measures the latency of results; it is
    ``None`` if nothing is measured. ``calls`` are needed if records wait at a step.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        loop: EngineLoop,
        events: EngineEvents,
        deliveries: Deliveries | None = None,
        calls: Calls | None = None,
        wall_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._dataflow: Dataflow
        self._wall_ns = wall_ns
        self.timing: EngineClocks | None = None
        """Drives the clocks of this worker; ``None`` if time changes no state."""
        self._clock = clock
        """Called before and after each slice of records."""
        self._loop = loop
        self._alarms = Alarms(clock, loop.call_later)
        self._calls = calls
        self._stations: Stations | None = None
        """``None`` if records wait at no step."""
        self._wall: WallClock | None = None
        """``None`` if nothing depends on it."""
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
        self._due: DueWork | None = None
        """``None`` if no state depends on time."""
        self._slices_before_saving = SLICES_BEFORE_SAVING
        """Over the end of a turn: with slow functions a turn has one slice."""
        self._watch_s = 0.0
        """When the next records are to be watched by the probe."""

    def restart(self, dataflow: Dataflow) -> None:
        """Forget everything that waits, and run records through ``dataflow`` from now on."""
        self._dataflow = dataflow
        timed = dataflow.timed
        # The clock is asked for at each call, since it may be replaced.
        self._due = None if timed is None else DueWork(timed, self._pacers, lambda: self._clock())
        if self._deliveries is not None:
            self._deliveries.restart()
        self.inbox = Inbox()
        self._sources.clear()
        self._links = {}
        self._holds_sources = False
        self.save_with(None)
        self._alarms.clear()
        if self._stations is not None:
            self._stations.close()
            self._stations = None
        if dataflow.waiting.steps:
            assert self._calls is not None
            self._stations = Stations(
                dataflow, self._calls, self._clock, self._alarms, self.schedule
            )
        self.timing = None
        if self._due is not None and timed is not None and timed.names:
            parts = EngineParts(
                self._sources,
                self._stations,
                self._due,
                self.call_later,
                self.schedule,
                self.flush,
            )
            self.timing = EngineClocks(dataflow, parts, self._wall_ns)
        self._wall = None
        if timed is not None and timed.keyed.steps:
            self._wall = WallClock(timed.keyed, self.call_later, self.schedule)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None:
        """Call ``run`` after a delay, unless the worker starts again before that.

        There is one timer, for the earliest of all that wait.
        """
        self._alarms.at(self._clock() + delay_s, run)

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Use this clock from now on."""
        self._clock = clock

    @property
    def holds_sources(self) -> bool:
        """Whether sources wait behind a barrier."""
        return self._holds_sources

    def hold_sources(self) -> None:
        """Take nothing from sources, which are behind a barrier from now on.

        The same holds for what waits at steps.
        """
        self._holds_sources = True
        if self._stations is not None:
            self._stations.hold()

    def release_sources(self) -> None:
        """Take from sources again, and from steps at which records wait, from the next turn on.

        Watermarks move again, too.
        """
        self._holds_sources = False
        if self.timing is not None:
            self.timing.aligned()
        if self._stations is not None:
            self._stations.release()

    def save_held(self) -> None:
        """Put the records that wait at steps into the states that hold them."""
        if self._stations is not None:
            self._stations.save()

    def restore_held(self) -> None:
        """Let those records wait at steps that the states have now, and find what is due."""
        if self._stations is not None:
            self._stations.restore()
        if self._wall is not None:
            self._wall.restore()

    def check(self) -> None:
        """Assert the invariants of what waits here."""
        self.inbox.check()
        if self._stations is not None:
            self._stations.check()

    def connect(self, links: Mapping[WorkerName, BatchLink]) -> None:
        """Send batches over these links from now on."""
        self._links = links
        if self.timing is not None:
            self.timing.connect(links)

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

    def pass_station(self, step: StepId, *, is_last: bool, then: Callable[[], None]) -> None:
        """Let a barrier pass a step at which records wait; see ``Stations.pass_barrier``."""
        assert self._stations is not None
        try:
            self._stations.pass_barrier(step, is_last=is_last, then=then)
        except StopOnError as stop:
            self._stop(stop.failure)

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
            self._loop.call_soon(self._turn)

    def _has_work(self) -> bool:
        if self._is_stopped:
            return False
        return self._has_records() or self._save is not None

    def _has_records(self) -> bool:
        return (
            self._may_take_frame()
            or self._may_take_source()
            or self._may_take_results()
            or self._may_run_due()
        )

    def _may_run_due(self) -> bool:
        if self._due is None or self._holds_sources:
            return False
        return self._due.may_run(self._stations, is_under_pressure=self._events.must_pause)

    def _may_take_results(self) -> bool:
        return self._stations is not None and self._stations.has_work

    def _may_take_frame(self) -> bool:
        waiting = self.inbox.first
        if waiting is None or self._stations is None or isinstance(waiting.frame, Barrier):
            return waiting is not None
        # Everything before a barrier is taken, so that no barrier waits for a full station.
        pipeline = self._dataflow.pipeline_of(waiting.frame.edge)
        return self._holds_sources or not self._stations.blocks(pipeline)

    def _may_take_source(self) -> bool:
        if not self._sources or self._holds_sources or self._events.must_pause:
            return False
        if self._stations is None and self.timing is None:
            return True
        return self._turn_to_open_source()

    def _turn_to_open_source(self) -> bool:
        """Put a source that may be taken from before all others; return whether there is one."""
        stations, timing = self._stations, self.timing
        for _ in range(len(self._sources)):
            pipeline = self._sources[0].pipeline
            is_full = stations is not None and stations.blocks(pipeline)
            if not is_full and not (timing is not None and timing.clocks.blocks(pipeline)):
                return True
            self._sources.rotate(-1)
        return False

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
                    if not self._save():
                        self._save = None
                    if not self._has_records():
                        break  # let the event loop look for records in the sockets
                if self._clock() >= deadline:
                    break
        except StopOnError as stop:
            self._stop(stop.failure)
            return
        self.flush(may_hold=True)
        if self._wall is not None:
            self._wall.arm()
        self._events.turn_ended()
        self.schedule()

    def flush(self, *, may_hold: bool = False) -> None:
        """Send all results so far to other workers and to the sinks.

        With ``may_hold``, records that are combined wait for the next watermark: their owner does
        not need them before that.
        """
        self._events.flushing()
        now_ns, holds = 0, False
        if self.timing is not None:
            # One time for both, or a watermark might be sent while records wait for it.
            now_ns = self._wall_ns()
            next_ns = self.timing.clocks.next_flush_ns
            holds = may_hold and next_ns is not None and now_ns < next_ns
        try:
            # Once a turn, since a few large batches are cheaper than many small ones.
            oldest_ns = {} if self._deliveries is None else self._deliveries.oldest_ns
            for batch in self._dataflow.take_batches(oldest_ns, holds_partials=holds):
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
        if self.timing is not None:
            self.timing.flush(now_ns)
        failures = self._dataflow.take_failures()
        if failures:
            self._events.records_failed(failures)

    def _stop(self, failure: Failure) -> None:
        # The failed record is still first in its queue, so there must be no other turn.
        self._is_stopped = True
        self._events.engine_stopped(failure)

    def _slice(self) -> None:
        if self._may_take_results():
            self._results_slice()
            return
        if self._due is not None and self._may_run_due():
            waiting = self.inbox.first
            if waiting is not None and isinstance(waiting.frame, Barrier):
                self._inbox_slice()
            else:
                self._note_results(self._due.run(self._stations), UNKNOWN_NS)
            return
        may_take_source = self._may_take_source()
        if self._may_take_frame() and (self._inbox_has_turn or not may_take_source):
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
        origin = None if self.timing is None else source.origin
        records = source.take(pacer.record_count)
        started = self._clock()
        is_watched = self._may_watch(started)
        if self.timing is None or origin is None:
            self._dataflow.run_source(pipeline, records, is_watched=is_watched)
        else:
            self.timing.run_source(pipeline, records, origin, is_watched=is_watched)
        pacer.observe(len(records), self._clock() - started)
        if self._stations is not None:
            self._stations.collect(delivered_ns)
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
        if isinstance(frame, ClockFrame):
            self.inbox.remove_first()
            assert self.timing is not None
            self.timing.received(waiting.link, frame)
            return
        batch = waiting.unpacked(self._dataflow)
        pacer = self._pacers["edge", frame.edge]
        count = min(pacer.record_count, len(batch.keys) - waiting.position)
        pipeline = self._dataflow.pipeline_of(frame.edge)
        started = self._clock()
        is_watched = self._may_watch(started)
        self._dataflow.run_batch(
            frame.edge,
            batch,
            waiting.position,
            count,
            is_watched=is_watched,
            read_ns=frame.delivered_ns,
        )
        pacer.observe(count, self._clock() - started)
        if self._stations is not None:
            self._stations.collect(frame.delivered_ns)
        self._note_results(pipeline, frame.delivered_ns)
        if waiting.advance(count) == len(batch.keys):
            self.inbox.remove_first()

    def _results_slice(self) -> None:
        """Run records that have waited at a step through the chain behind it."""
        assert self._stations is not None
        started = self._clock()
        station, leaving = self._stations.next_results(RESULTS_MAX)
        if leaving:
            is_watched = self._may_watch(started)
            read_ns = self._stations.run(station, leaving, is_watched=is_watched)
            pipeline = self._dataflow.waiting.pipeline_of(station.step.id)
            self._note_results(pipeline, read_ns)

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
