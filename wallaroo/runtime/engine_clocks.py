"""The clocks of a worker as its engine drives them: effects carried out, alarms set."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wallaroo.names import EdgeId, Epoch, StepId, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.runtime.alarms import CallLater, EarliestAlarm, Run
from wallaroo.runtime.clock_facts import clock_facts
from wallaroo.runtime.clocks import AdvanceState, Clocks, Effect, SendClock
from wallaroo.runtime.due_work import DueWork
from wallaroo.runtime.engine_ports import BatchLink, Origin, SourceRunner
from wallaroo.runtime.inbox import Link
from wallaroo.runtime.stations import Stations
from wallaroo.timing.clocks import Status, Watermark
from wallaroo.wire.data_frames import ClockFrame

ALARM_MIN_NS = 1_000_000
"""An alarm is not set for less than this: it would ring again and again."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What the clocks use of their engine."""

    sources: Collection[SourceRunner]
    """Those that have records, in any order."""
    stations: Stations | None
    due: DueWork
    call_later: CallLater
    """Calls a function after a delay, unless the worker starts again before that."""
    schedule: Callable[[], None]
    """Takes a turn if there is anything to do."""
    flush: Callable[[], None]
    """Sends all batches, and then the watermarks behind them."""


class EngineClocks:
    """The clocks of one dataflow, in which time changes a state."""

    def __init__(self, dataflow: Dataflow, parts: EngineParts, wall_ns: Callable[[], int]) -> None:
        assert dataflow.timed is not None
        self._dataflow = dataflow
        self._timed = dataflow.timed
        self._parts = parts
        self._due = parts.due
        self._links: Mapping[WorkerName, BatchLink] = {}
        self._wall_ns = wall_ns
        self._alarm = EarliestAlarm(self._set_alarm, self._ring)
        self.clocks = Clocks(dataflow.waiting.plan, dataflow.waiting.me, self)

    # What the clocks ask

    def fired(self, state: str) -> int:
        """Return how far the results of a state are complete."""
        return self._timed.fired(state)

    def has_due(self, state: str) -> bool:
        """Return whether a state has results that are due."""
        return self._timed.has_due(state)

    def earliest_waiting(self, step: StepId) -> int | None:
        """Return the earliest time of the records that wait at a step."""
        stations = self._parts.stations
        return None if stations is None else stations.earliest_time(step)

    def unprocessed_ns(self, pipeline: int) -> int | None:
        """Return when the oldest record of a source was read that is not processed."""
        waiting = [
            source.origin.read_ns or self._wall_ns()
            for source in self._parts.sources
            if source.pipeline == pipeline and source.has_records
        ]
        return min(waiting, default=None)

    def facts(self) -> list[dict[str, Any]]:
        """Return what is shown of the clocks, by timed state; nothing before there are members."""
        if not self.clocks.has_members:
            return []
        return clock_facts(self.clocks, self._timed, self._wall_ns())

    # What the engine tells them

    def connect(self, links: Mapping[WorkerName, BatchLink]) -> None:
        """Send watermarks over these links from now on."""
        self._links = links

    def set_members(
        self,
        members: Iterable[tuple[WorkerName, Epoch]],
        moved: Mapping[int, int],
        *,
        is_resize: bool,
    ) -> None:
        """Wait for the watermarks of these workers, and send them ours; ``moved`` has those of
        sources whose channels were moved to other workers."""
        self._carry_out(
            self.clocks.set_members(members, moved, self._wall_ns(), is_resize=is_resize)
        )

    def begin(self) -> None:
        """Go on from where the states are after a restore, or after keys have moved here."""
        for state in self._timed.names:
            self.clocks.catch_up(state, self._timed.clock(state))

    def resized(self) -> None:
        """Tell others how far the states have fired with the keys that have moved here."""
        self.clocks.send_again()

    def restore_sources(self, shares: Iterable[Mapping[int, int]]) -> None:
        """Go on from the watermarks of sources in the shares of a checkpoint."""
        self.clocks.restore_sources(shares, self._wall_ns())

    def finish(self) -> None:
        """Let everything fire: no record follows, and no checkpoint that keeps it."""
        self._due.stop_waiting()
        if self._parts.stations is not None:
            self._parts.stations.flush()
        self._timed.keyed.end_input()
        self.clocks.end_sources()
        self._ring()

    def wait_for_open(self) -> None:
        """Hold the watermarks of sources and what is due, until all workers are restored.

        A quick worker would otherwise take others for idle that still have journals to replay.
        """
        self.clocks.hold_sources()
        self._due.hold()

    def opened(self) -> None:
        """Fire what is due; the watermarks of sources wait until journals are replayed."""
        self._due.release()
        self.clocks.send_again()
        self._ring()

    def hold_due(self) -> None:
        """Fire nothing more: a last barrier leaves, and a checkpoint keeps what is due."""
        self._due.hold()

    @property
    def has_finished(self) -> bool:
        """Whether everything has fired, and nothing follows."""
        return self.clocks.are_at_their_ends and self._timed.due_state is None

    def journals_origins(self, pipeline: int) -> bool:
        """Return whether the journal has to know where and when records were read."""
        return pipeline in self.clocks.sources

    def run_source(
        self, pipeline: int, records: list[Any], origin: Origin, *, is_watched: bool
    ) -> None:
        """Run records of a source, and note their highest time."""
        read_ns = origin.read_ns or self._wall_ns()
        top = self._dataflow.run_source(pipeline, records, is_watched=is_watched, read_ns=read_ns)
        self.clocks.processed(pipeline, origin.channel, top, read_ns)

    def expect(self, pipeline: int, channel: Hashable) -> None:
        """Wait for the first record of a channel that is going to be read here."""
        source, now_ns = self.clocks.sources.get(pipeline), self._wall_ns()
        if source is not None:
            source.expect(channel, now_ns)
            self._alarm.set(now_ns)

    def expect_no_longer(self, pipeline: int, channel: Hashable) -> None:
        """Note that a channel has no record yet, so nobody has to wait for its first one."""
        source = self.clocks.sources.get(pipeline)
        if source is not None and source.expect_no_longer(channel):
            self._alarm.set(self._wall_ns())

    def closed(self, pipeline: int, channel: Hashable) -> None:
        """Note that a channel is gone."""
        now_ns = self._wall_ns()
        if self.clocks.closed(pipeline, channel, now_ns):
            self._alarm.set(now_ns)

    def received(self, link: Link, frame: ClockFrame) -> None:
        """Take the watermark of another worker."""
        watermark = Watermark(frame.time, Status(frame.status))
        self._carry_out(self.clocks.received(frame.edge, link.worker, link.incarnation, watermark))

    def replayed(self) -> None:
        """Let the watermarks of sources move: all journals are replayed."""
        self.clocks.replayed(self._wall_ns())
        self._ring()

    def end_placed(self, pipelines: Iterable[int]) -> None:
        """Note that these sources, which ran here, have ended."""
        for pipeline in pipelines:
            self.clocks.end_source(pipeline)
        self._ring()

    def pass_barrier(self, edge: EdgeId) -> None:
        """Send the watermark of an edge, whose barrier follows."""
        self._carry_out(self.clocks.pass_barrier(edge, self._wall_ns()))

    def aligned(self) -> None:
        """Apply what was held back behind a barrier."""
        self._carry_out(self.clocks.aligned())
        self._ring()

    def flush(self, now_ns: int) -> None:
        """Send watermarks that have changed, behind all batches; or do so later, if it is not due.

        Then ``flush`` of the engine is called when it is.
        """
        self._carry_out(self.clocks.flush(now_ns))
        self._arm()

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendClock(edge, watermark):
                    for link in self._links.values():
                        link.send_clock(edge, watermark.time, watermark.status)
                case AdvanceState(state, time):
                    # Keys that moved here may have brought a later clock.
                    if time > self._timed.clock(state):
                        self._timed.advance(state, time)

    def _arm(self) -> None:
        wake_ns = self.clocks.wake_ns
        if wake_ns is not None:
            self._alarm.set(wake_ns)

    def _set_alarm(self, when_ns: int, run: Run) -> None:
        # The alarm is by another clock than this, and may ring too early by a part of it.
        delay_s = max(when_ns - self._wall_ns(), ALARM_MIN_NS) / 1e9
        self._parts.call_later(delay_s, run)

    def _ring(self) -> None:
        """Look at all watermarks between two turns, or in a turn behind what it has made so far: a
        watermark must not overtake the last records of a journal."""
        self._parts.flush()
        self._parts.schedule()


def shown_clocks(timing: EngineClocks | None) -> list[dict[str, Any]]:
    """Return what is shown of the clocks of a worker; nothing if no state depends on time."""
    return [] if timing is None else timing.facts()
