"""The clocks of one worker: watermarks of its sources, and the clocks of its timed states.

    engine --processed, closed--> sources --+
    links  --received-----------> clocks ---+--evaluate--> SendClock, AdvanceState
    states --how far they have fired--------+

This is a machine without I/O: it says what to send, and to which time to move a state. Watermarks
go through the plan as ``wallaroo.topology.clock_graph`` says.

**What can go wrong**

* *A watermark overtakes records.* A receiver would then call them late. So a watermark is sent
  behind all batches, in the same order, and waits in the inbox like a batch.
* *The cuts of two workers differ.* Each is restored with the highest clock that any worker had, so
  they have to hold the same vector. The watermark of an edge is therefore sent before its barrier
  (``pass_barrier``), and from there on this worker's own one is held back until it is aligned
  (``aligned``), as those of others are in the inbox. What changes in between without a record is
  that a source becomes idle.
* *Results are due but not given.* They have earlier times than the clock. So what a state passes on
  is how far it has fired, and it stays active for those behind it while anything is due.
* *Records wait at a step.* The watermark must not overtake them, so it is held at the earliest of
  their times.
* *A source moves to a worker that is ahead of it.* Its records would be late there. So at a resize
  all workers wait for it where its last one was (``set_members``), before they forget that one.
* *Keys move to a worker whose windows have fired further.* Their results would be late in the next
  state, if its clock went on without those who leave. So at a resize all clocks wait until each
  worker has sent its watermark with the keys that it has now.
* *A worker is started again without checkpoints.* Its watermarks start anew, and it knows none of
  ours. So what it had sent is forgotten, and ours are sent again.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from wallaroo.names import EdgeId, Epoch, StepId, WorkerName
from wallaroo.timing.clocks import (
    FRAME_INTERVAL_NS,
    Clock,
    ClockSender,
    Status,
    Watermark,
    not_before,
    passed_on,
)
from wallaroo.timing.instants import BEFORE_ALL, END, Instant
from wallaroo.timing.source_times import SourceTimes
from wallaroo.timing.spec import IngestTime
from wallaroo.topology.clock_graph import ClockGraph, Way, clock_graph
from wallaroo.topology.plan import Application
from wallaroo.topology.timing import horizon_ns, move_every_ns

NOTHING_MOVED: Mapping[int, int] = MappingProxyType({})


class Sender(NamedTuple):
    """A worker that sends watermarks one way: over an edge, or, if negative, inside the worker."""

    place: int
    worker: WorkerName


@dataclass(frozen=True, slots=True)
class ReplayedChannel:
    """A connection of an earlier process, whose records a journal has."""

    journal: str
    number: int


@dataclass(frozen=True, slots=True)
class SendClock:
    """Send a watermark to all others, behind everything sent so far."""

    edge: EdgeId
    watermark: Watermark


@dataclass(frozen=True, slots=True)
class AdvanceState:
    """Move the clock of a state."""

    state: str
    time: int


Effect = SendClock | AdvanceState


class LocalWork(Protocol):
    """What the clocks ask about this worker."""

    def fired(self, state: str) -> int:
        """Return how far the results of a state are complete."""
        ...

    def has_due(self, state: str) -> bool:
        """Return whether a state has results that are due."""
        ...

    def earliest_waiting(self, step: StepId) -> int | None:
        """Return the earliest time of the records that wait at a step."""
        ...

    def unprocessed_ns(self, pipeline: int) -> int | None:
        """Return when the oldest record of a source was read that is not processed."""
        ...


class Clocks:
    """All clocks of one worker; ``set_members`` comes before everything else."""

    def __init__(self, plan: Application, me: WorkerName, work: LocalWork) -> None:
        self._me = me
        self._work = work
        self._graph: ClockGraph = clock_graph(plan)
        self.sources = {
            point.source: SourceTimes[Hashable](
                plan.pipelines[point.source].time or IngestTime(),
                horizon_ns=horizon_ns(plan, point.source),
                move_every_ns=max(move_every_ns(plan, point.source), FRAME_INTERVAL_NS),
            )
            for point in self._graph.points
            if point.source is not None
        }
        """The watermarks of sources that this worker reads, by pipeline."""
        self._reached_by = self._graph.sources_before()
        self._senders = {
            way.edge: ClockSender() for way in self._graph.ways if way.edge is not None
        }
        self._way_of_edge = {way.edge: way for way in self._graph.ways if way.edge is not None}
        shared = self._graph.shared_points()
        self._shared_places = {way.place for way in self._graph.ways if way.start in shared}
        """Where senders are the workers of one stage, which hear the same of its inputs."""
        self._clocks: dict[int, Clock[Sender]] = {}
        self._members: dict[WorkerName, Epoch] = {}
        self._replay_tops: defaultdict[int, dict[Hashable, int]] = defaultdict(dict)
        """By pipeline."""
        self._evaluated_ns: int | None = None
        """When all watermarks were evaluated; ``None`` lets ``flush`` do it again at once."""
        self._wake_ns: int | None = None
        self._ahead: frozenset[int] = frozenset()
        self._aligns = True

    # Members

    @property
    def has_members(self) -> bool:
        """Whether the members are known; without them nothing is sent or shown."""
        return bool(self._members)

    def set_members(
        self,
        members: Iterable[tuple[WorkerName, Epoch]],
        moved: Mapping[int, int] = NOTHING_MOVED,
        now_ns: int = 0,
        *,
        is_resize: bool = False,
    ) -> list[Effect]:
        """Wait for the watermarks of these workers from now on, and send them ours again.

        ``moved`` has the watermarks that sources had whose channels were moved to other workers.
        With ``is_resize``, keys move as well, so each clock waits for the next watermark of all.
        """
        effects = self.aligned()
        for pipeline in moved.keys() & self.sources.keys():
            self.sources[pipeline].wait_for_moved(moved[pipeline], now_ns)
        before, self._members = self._members, dict(members)
        for index in range(len(self._graph.points)):
            ways = [way for way in self._graph.ways if way.end == index]
            if not ways:
                continue
            senders = [
                Sender(way.place, worker)
                for way in ways
                for worker in (self._members if way.edge is not None else (self._me,))
            ]
            # What only passes its clock on has decided nothing by it, and may go back.
            passes_on = self._graph.points[index].state is None
            if index not in self._clocks or (is_resize and passes_on):
                self._clocks[index] = Clock(
                    senders, lambda each: each.place if each.place in self._shared_places else each
                )
                continue
            clock = self._clocks[index]
            for sender in senders:
                is_new = before.get(sender.worker) != self._members[sender.worker]
                if sender in clock.vector and (is_resize or is_new):
                    clock.restarted(sender)
            if clock.set_senders(senders):
                effects += self._advanced(index)
        if before != self._members:
            for each in self._senders.values():
                each.resend()
        return effects

    def send_again(self) -> None:
        """Send our next watermarks even if they are the same, or lower.

        Keys have moved here whose windows may not have fired as far as ours, or others have dropped
        what we sent before they knew all members.
        """
        for sender in self._senders.values():
            sender.restart()
        self._evaluated_ns = None

    # What happens on this worker

    def processed(self, pipeline: int, channel: Hashable, top: int, read_ns: int) -> None:
        """Note the highest time of records that were read at ``read_ns`` and are processed."""
        source = self.sources.get(pipeline)
        if source is None or top == BEFORE_ALL:
            return
        if isinstance(channel, ReplayedChannel):
            tops = self._replay_tops[pipeline]
            tops[channel] = max(top, tops.get(channel, top))
        else:
            source.processed(channel, top, read_ns)

    def closed(self, pipeline: int, channel: Hashable, now_ns: int) -> bool:
        """Note that a channel is gone; return whether it has had a record."""
        source = self.sources.get(pipeline)
        if source is None or not source.has_channel(channel):
            return False
        source.closed(channel, now_ns)
        return True

    def end_source(self, pipeline: int) -> None:
        """Note that no source of this pipeline will give another record, here or elsewhere."""
        if pipeline in self.sources:
            self.sources[pipeline].end()
            self._evaluated_ns = None

    def end_sources(self) -> None:
        """Note that no source will give another record: clocks go to their ends."""
        for pipeline in self.sources:
            self.end_source(pipeline)

    def hold_sources(self) -> None:
        """Hold the watermarks of all sources until ``replayed``: journals are replayed."""
        for source in self.sources.values():
            source.hold()

    def replayed(self, now_ns: int) -> None:
        """Let the watermarks of sources move again: all journals are replayed."""
        for pipeline, source in self.sources.items():
            if source.is_held:
                source.replayed(self._replay_tops[pipeline].values(), now_ns)
        self._replay_tops.clear()
        self._evaluated_ns = None

    # What others send

    def received(
        self, edge: EdgeId, worker: WorkerName, incarnation: Epoch, watermark: Watermark
    ) -> list[Effect]:
        """Take the watermark of another worker, behind all its records before that."""
        if self._members.get(worker) != incarnation:
            return []  # its successor starts anew
        way = self._way_of_edge[edge]
        if self._clocks[way.end].receive(Sender(edge, worker), watermark):
            return self._advanced(way.end)
        return []

    # Watermarks

    @property
    def wake_ns(self) -> int | None:
        """When ``flush`` has something to do even if nothing happens until then."""
        return self._wake_ns

    @property
    def next_flush_ns(self) -> int | None:
        """When ``flush`` evaluates all watermarks again; ``None``: at once."""
        return None if self._evaluated_ns is None else self._evaluated_ns + FRAME_INTERVAL_NS

    def flush(self, now_ns: int) -> list[Effect]:
        """Evaluate all watermarks, if the last time is long enough ago."""
        if not self.has_members:
            return []  # a worker that joins knows the others only once it is a member
        next_ns = self.next_flush_ns
        if next_ns is not None and now_ns < next_ns:
            self._wake_at(next_ns)
            return []
        self._evaluated_ns = now_ns
        self._wake_ns = None
        effects = self._evaluate(now_ns)
        self._align(now_ns)
        for source in self.sources.values():
            self._wake_at(source.next_check_ns(now_ns))
        return effects

    def pass_barrier(self, edge: EdgeId, now_ns: int) -> list[Effect]:
        """Send the watermark of an edge now, and hold our own one back from here on: the barrier
        of this edge follows."""
        if edge not in self._way_of_edge:
            return []
        effects = self._evaluate(now_ns, forced=edge)
        way = self._way_of_edge[edge]
        self._clocks[way.end].hold_own(Sender(edge, self._me))
        return effects

    def aligned(self) -> list[Effect]:
        """Apply what was held back: the cut is taken, or given up."""
        effects: list[Effect] = []
        for index, clock in self._clocks.items():
            if clock.release_own():
                effects += self._advanced(index)
        self._evaluated_ns = None
        return effects

    def _wake_at(self, when_ns: int | None) -> None:
        if when_ns is not None and (self._wake_ns is None or when_ns < self._wake_ns):
            self._wake_ns = when_ns

    def _evaluate(self, now_ns: int, *, forced: EdgeId | None = None) -> list[Effect]:
        effects: list[Effect] = []
        known: dict[int, Watermark] = {}
        for way in self._graph.ways:
            if way.start not in known:
                known[way.start] = self._watermark(way.start, now_ns)
            effects += self._pass(way, known[way.start], now_ns, is_forced=way.edge == forced)
        return effects

    def _watermark(self, point: int, now_ns: int) -> Watermark:
        pipeline = self._graph.points[point].source
        if pipeline is not None:
            source = self.sources[pipeline]
            return source.watermark(
                now_ns,
                others_are_idle=source.advances and self._others_are_idle(pipeline),
                unprocessed_ns=self._work.unprocessed_ns(pipeline),
            )
        clock, state = self._clocks[point], self._graph.points[point].state
        if state is None:
            return passed_on(clock.vector, clock.time)
        fired = self._work.fired(state)
        passed = passed_on(clock.vector, fired)
        has_more = self._work.has_due(state) or (passed.status is Status.ENDED and fired < END)
        return Watermark(fired) if has_more else passed

    def _pass(
        self, way: Way, watermark: Watermark, now_ns: int, *, is_forced: bool
    ) -> list[Effect]:
        for step in way.stations:
            waiting = self._work.earliest_waiting(step)
            if waiting is not None:
                watermark = Watermark(min(watermark.time, waiting))
        clock, sender = self._clocks[way.end], Sender(way.place, self._me)
        if way.edge is None:
            last = clock.vector[sender]
            watermark = not_before(watermark, last)
            if watermark == last or not clock.receive(sender, watermark):
                return []
            return self._advanced(way.end)
        sending = self._senders[way.edge]
        watermark = not_before(watermark, sending.sent)
        if not sending.due(watermark, now_ns, is_forced=is_forced):
            if watermark != sending.sent and (wait_ns := sending.wait_ns(now_ns)):
                self._wake_at(now_ns + wait_ns)
            return []
        effects: list[Effect] = []
        if len(self._members) > 1:
            effects.append(SendClock(way.edge, watermark))
        if clock.receive_own(sender, watermark):
            effects += self._advanced(way.end)
        return effects

    def _advanced(self, point: int) -> list[Effect]:
        state = self._graph.points[point].state
        return [] if state is None else [AdvanceState(state, self._clocks[point].time)]

    # Quiet sources, and sources that are ahead

    def _others_are_idle(self, mine: int) -> bool:
        """Return whether nothing else is active that feeds a clock which this source feeds."""
        for index, clock in self._clocks.items():
            if mine not in self._reached_by[index]:
                continue
            for sender, mark in clock.vector.items():
                if sender.worker != self._me and mark.status is Status.ACTIVE:
                    return False
            if any(self.sources[other].is_active for other in self._reached_by[index] - {mine}):
                return False
        return True

    def _align(self, now_ns: int) -> None:
        if not self._aligns:
            return
        ahead = {
            pipeline
            for pipeline, source in self.sources.items()
            if source.aligns and not source.may_read(self._slowest(pipeline), now_ns)
        }
        self._ahead = frozenset(ahead)

    def _slowest(self, pipeline: int) -> int:
        active = [
            mark.time
            for index, clock in self._clocks.items()
            if pipeline in self._reached_by[index]
            for mark in clock.vector.values()
            if mark.status is Status.ACTIVE
        ]
        return min(active, default=END)

    def blocks(self, pipeline: int) -> bool:
        """Return whether a source is too far ahead of others to be read on."""
        return pipeline in self._ahead

    @property
    def are_at_their_ends(self) -> bool:
        """Whether no record follows anywhere, as far as this worker knows."""
        return all(clock.time == END for clock in self.states.values())

    def stop_aligning(self) -> None:
        """Let all sources be read to their ends: this run stops."""
        self._aligns, self._ahead = False, frozenset()

    # Checkpoints

    def source_times(self) -> dict[int, Instant]:
        """Return the watermark of each source that has had any record here, or still has a journal
        to replay, by pipeline. One that still waits for other senders has none yet: ``BEFORE_ALL``.
        """
        return {
            pipeline: Instant(source.time)
            for pipeline, source in self.sources.items()
            if source.has_begun or source.is_held
        }

    def catch_up(self, state: str, time: int) -> None:
        """Move the clock of a state to at least this time, which its store has reached."""
        self.states[state].catch_up(time)

    def restore_sources(self, shares: Iterable[Mapping[int, int]], now_ns: int) -> None:
        """Go on from the watermarks of a checkpoint, by pipeline in each share; sources are held
        until ``replayed``."""
        known = [*shares]
        for pipeline, source in self.sources.items():
            times = [share[pipeline] for share in known if share.get(pipeline, END) < END]
            if times:
                source.restore(min(times), now_ns)

    # For those who look

    def source_facts(self, now_ns: int) -> dict[str, list[dict[str, Any]]]:
        """Return what is shown of the sources that move the clock of each state."""
        facts = {
            pipeline: {"pipeline": pipeline, **source.facts(now_ns)}
            for pipeline, source in self.sources.items()
        }
        return {
            point.state: [each for at, each in facts.items() if at in self._reached_by[index]]
            for index, point in enumerate(self._graph.points)
            if point.state is not None
        }

    @property
    def states(self) -> Mapping[str, Clock[Sender]]:
        """The clock of each timed state."""
        return {
            point.state: self._clocks[index]
            for index, point in enumerate(self._graph.points)
            if point.state is not None
        }
