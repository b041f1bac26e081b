"""Time in ``collect``: clocks follow each record, and items of the input move them by themselves.

A source that has given nothing yet holds all clocks that it feeds, and one whose items are used up
has ended. So sources that are read one after the other are never late for each other.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from wallaroo.durations import Duration, duration_ns
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.timed_states import TimedStates
from wallaroo.timing.clocks import NOTHING_YET, Status, Watermark, combine, passed_on
from wallaroo.timing.instants import BEFORE_ALL, TimestampUnit, instant_ns
from wallaroo.timing.source_times import SourceTimes
from wallaroo.timing.spec import EventTime, IngestTime
from wallaroo.topology.plan import Application, Feed, Pipeline

_CHANNEL = "items"
_FOREVER_NS = 1 << 62
_INGEST = IngestTime()


@dataclass(frozen=True, slots=True)
class Record:
    """An item of ``collect``: a record that enters after the decoder, and its time."""

    value: Any
    at: int | None = None
    """Nanoseconds since 1970 UTC; ``None``: as for any other record."""


@dataclass(frozen=True, slots=True)
class Advance:
    """An item of ``collect``: the event time of the source goes on by this much, with no record."""

    by: Duration

    @property
    def by_ns(self) -> int:
        """Return it in nanoseconds."""
        return duration_ns("Advance", self.by)


@dataclass(frozen=True, slots=True)
class AdvanceWall:
    """An item of ``collect``: the wall clock goes on by this much."""

    by: Duration

    @property
    def by_ns(self) -> int:
        """Return it in nanoseconds."""
        return duration_ns("AdvanceWall", self.by)


class ItemTimes:
    """The times that items have; the one that is being read says what the time of a record is."""

    def __init__(self) -> None:
        self.at: int | None = None
        """That of the current item."""

    def of_items(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline whose records have the times of their items, if those have any.

        Nothing arrives here, so no record is too far ahead of its arrival, and no sender is waited
        for.
        """
        times = pipeline.time
        if not isinstance(times, EventTime):
            return pipeline

        def time_of(record: Any) -> int:
            if self.at is not None:
                return self.at
            if times.timestamp is None:
                raise ValueError("the source gives no time with it; use Record(value, at=...)")
            return instant_ns(times.timestamp(record), times.unit)

        return replace(
            pipeline,
            time=replace(
                times,
                timestamp=time_of,
                unit=TimestampUnit.NANOSECONDS,
                settle_ns=0,
                ahead_max_ns=None,
            ),
        )


class VirtualTime:
    """The clocks of one call of ``collect``. All workers have the same ones."""

    def __init__(self, plan: Application, dataflows: Collection[Dataflow]) -> None:
        self.now_ns = 0
        """The wall clock."""
        self._plan = plan
        self._workers: list[TimedStates] = [
            dataflow.timed for dataflow in dataflows if dataflow.timed is not None
        ]
        self._states = self._workers[0].names if self._workers else ()
        """Those with a clock, upstream first; they are the same on all workers."""
        self._sources = {
            index: SourceTimes[str](pipeline.time or _INGEST, horizon_ns=_FOREVER_NS)
            for index, pipeline in enumerate(plan.pipelines)
        }
        for times in self._sources.values():
            times.opened(_CHANNEL)
        self._tops: dict[int, int] = {}
        """The highest time of the records of each source that has given any."""
        self._states_of = [_timed_in(plan, index) for index in range(len(plan.flows))]

    @property
    def is_needed(self) -> bool:
        """Whether anything depends on time."""
        return bool(self._workers)

    def read_at(self, pipeline: int, at: int | None) -> int:
        """Return when an item is read; without event time its own time says so."""
        if at is not None and not isinstance(self._plan.pipelines[pipeline].time, EventTime):
            self.now_ns = max(self.now_ns, at)
        return self.now_ns

    def processed(self, pipeline: int, highest: int) -> None:
        """Note the highest time of what a source has given."""
        if highest > BEFORE_ALL:
            self._tops[pipeline] = max(highest, self._tops.get(pipeline, highest))
            self._sources[pipeline].processed(_CHANNEL, highest, self.now_ns)

    def advance(self, pipeline: int, item: Advance | AdvanceWall) -> None:
        """Move a clock without a record."""
        has_event_time = isinstance(self._plan.pipelines[pipeline].time, EventTime)
        if isinstance(item, AdvanceWall) or not has_event_time:
            self.now_ns += item.by_ns
        elif pipeline in self._tops:
            self.processed(pipeline, self._tops[pipeline] + item.by_ns)

    def ended(self, pipeline: int) -> None:
        """Note that a source has no more items."""
        self._sources[pipeline].end()

    def end_input(self) -> None:
        """Note that all sources have ended: alarms that are pending are due."""
        for worker in self._workers:
            worker.keyed.end_input()

    def follow(self) -> bool:
        """Move the clocks of all states to where their inputs are; return whether any moved."""
        has_moved = False
        for state in self._states:
            time = self._before(state).time
            for worker in self._workers:
                if time > worker.clock(state):
                    worker.advance(state, time)
                    has_moved = True
        return has_moved

    def fire(self) -> bool:
        """Run what is due; return whether anything was."""
        for worker in self._workers:
            worker.keyed.advance_wall()
        return sum(worker.fire_some(1) for worker in self._workers) > 0

    def late_counts(self) -> dict[str, int]:
        """Return how many records were late, by state."""
        counts: dict[str, int] = {}
        for worker in self._workers:
            for state, store in worker.stores.items():
                counts[state] = counts.get(state, 0) + store.figures().late_count
        return counts

    # Watermarks, from a state back to its sources

    def _before(self, state: str) -> Watermark:
        """Return what is known of the records that are going to reach a state."""
        marks = []
        for flow, states in enumerate(self._states_of):
            if state in states:
                position = states.index(state)
                before = self._start(flow) if not position else self._behind(states[position - 1])
                marks.append(before)
        return _joined(marks)

    def _behind(self, state: str) -> Watermark:
        before = self._before(state)
        fired = min(worker.fired(state) for worker in self._workers)
        # What is due has earlier times, so nobody may go on without it.
        is_due = any(
            worker.has_due(state) or worker.clock(state) < before.time for worker in self._workers
        )
        return Watermark(fired, Status.ACTIVE if is_due else before.status)

    def _start(self, flow: int) -> Watermark:
        pipelines = self._plan.pipelines
        if flow < len(pipelines):
            return self._of_source(flow)
        return _joined(map(self._end, self._plan.inner[flow - len(pipelines)].feeds))

    def _end(self, feed: Feed) -> Watermark:
        states = self._states_of[feed.pipeline]
        return self._behind(states[-1]) if states else self._start(feed.pipeline)

    def _of_source(self, pipeline: int) -> Watermark:
        others = (self._by_itself(other) for other in self._sources if other != pipeline)
        are_idle = all(other.status is not Status.ACTIVE for other in others)
        return self._by_itself(pipeline, others_are_idle=are_idle)

    def _by_itself(self, pipeline: int, *, others_are_idle: bool = False) -> Watermark:
        mark = self._sources[pipeline].watermark(self.now_ns, others_are_idle=others_are_idle)
        is_open = mark.status is not Status.ENDED
        return NOTHING_YET if is_open and pipeline not in self._tops else mark


def _joined(marks: Iterable[Watermark]) -> Watermark:
    given = [*marks]
    return passed_on(dict(enumerate(given)), combine(given))


def _timed_in(plan: Application, flow: int) -> list[str]:
    return [
        step.state
        for stage in plan.flows[flow].stages
        for step in stage.steps
        if step.state is not None
        and (timing := plan.states[step.state].timing) is not None
        and timing.needs_time
    ]
