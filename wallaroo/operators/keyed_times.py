"""The state computations of one worker that do something by time: timers, alarms and expiry.

What is due is run a slice at a time, between slices of records, in the order of the plan. Event
time moves by ``advance``, the wall clock by ``advance_wall``. All that is pending is in states that
checkpoints keep and resizes move; ``rebuild`` finds what is due in them afterwards.

    record -> chain -> context -> timers, alarms
    clock -> advance -> has_due -> fire_some -> the function of the timer -> chain behind the step
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from wallaroo.operators.expiring_state import ExpiringState
from wallaroo.operators.key_timers import KeyTimers, PendingTimer
from wallaroo.operators.keyed_handlers import StepHandler
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.keyed_step import KeyedStep, Run
from wallaroo.operators.timed_state import TimedState
from wallaroo.operators.timed_store import TimedFigures
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.operators.writing.chain import write_handler_chain
from wallaroo.timing.instants import END
from wallaroo.timing.keyed_timing import TOUCHED, KeyedTiming
from wallaroo.topology.plan import Application, keyed_timing_steps


class KeyedTimes:
    """All of them on one worker."""

    def __init__(
        self,
        plan: Application,
        states: Mapping[str, KeyedState],
        wall_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """``wall_ns`` is the wall clock: nanoseconds since 1970."""
        self._plan = plan
        self.wall_ns = wall_ns
        self._places = [*keyed_timing_steps(plan)]
        self.steps = {step.id: KeyedStep(step, flow, states) for flow, _, _, step in self._places}
        self._expiring: dict[str, ExpiringState] = {}
        self._expires_by: dict[str, KeyedStep] = {}
        """By state that expires: the step that is told, or any that uses it."""
        for each in self.steps.values():
            name = each.step.state
            assert name is not None and each.step.timing is not None
            if isinstance(each.state, ExpiringState):
                self._expiring[name] = each.state
                if name not in self._expires_by or each.step.timing.on_expire is not None:
                    self._expires_by[name] = each

    def unbind(self) -> None:
        """Forget all chains that look into states: they are written again."""
        for state in self._expiring.values():
            state.unbind()

    def write_chains(self, bindings: Bindings) -> None:
        """Write the chains that begin with timers, alarms and keys that expire."""
        for flow, stage, place, step in self._places:
            self.steps[step.id].write_chains(partial(self._write, flow, stage, place, bindings))

    def _write(
        self, flow: int, stage: int, place: int, bindings: Bindings, handler: StepHandler
    ) -> Run:
        flows = self._plan.flows
        return write_handler_chain(self._plan, flows[flow], stage, place, handler, bindings)

    # Clocks

    @property
    def names(self) -> list[str]:
        """Return the states that need a clock of event time, upstream first."""
        names = (each.step.state for each in self.steps.values())
        return [name for name in dict.fromkeys(names) if name and self._needs_time(name)]

    def _needs_time(self, state: str) -> bool:
        timing = self._plan.states[state].timing
        return isinstance(timing, KeyedTiming) and timing.needs_time

    def advance(self, state: str, clock: int) -> None:
        """Move the clock of a state; ``fire_some`` runs what is due then."""
        for each in self._using(state):
            each.advance(clock)
        expiring = self._expiring.get(state)
        if expiring is not None and expiring.expiry.by_event_time:
            expiring.advance(clock)

    def clock(self, state: str) -> int:
        """Return the clock of a state."""
        return min(each.context.watermark for each in self._using(state))

    def fired(self, state: str) -> int:
        """Return up to when everything of a state is given."""
        using = self._using(state)
        fired = self.clock(state)
        for each in using:
            if each.timers is not None and each.timers.has_due:
                earliest = each.timers.earliest()
                fired = fired if earliest is None else min(fired, earliest)
        expiring = self._expiring.get(state)
        if expiring is None or not expiring.has_expired or not expiring.expiry.by_event_time:
            # What ``on_expire`` gives has the clock as its time.
            using[0].state.note_fired(fired)
        return using[0].state.fired

    def has_due(self, state: str) -> bool:
        """Return whether something of a state may be due by event time."""
        expiring = self._expiring.get(state)
        return (expiring is not None and expiring.has_expired) or any(
            each.step.state == state and each.has_due for each in self.steps.values()
        )

    def begin_slice(self, read_ns: int = 0) -> None:
        """Note that a slice follows: of records that were read at this time, or of what is due."""
        now_ns = self.wall_ns()
        for each in self.steps.values():
            each.begin_slice(read_ns or now_ns)
        for state in self._expiring.values():
            if not state.expiry.by_event_time and now_ns >= state.turns_at:
                state.turn(now_ns)

    def advance_wall(self) -> None:
        """Follow the wall clock; ``fire_some`` runs what is due by it."""
        now_ns = self.wall_ns()
        for each in self.steps.values():
            each.advance_wall(now_ns)
        for state in self._expiring.values():
            if not state.expiry.by_event_time:
                if now_ns >= state.turns_at:
                    state.turn(now_ns)
                state.advance(now_ns)

    def end_input(self) -> None:
        """Make all alarms due, since no record follows."""
        for each in self.steps.values():
            each.advance_wall(END)

    def next_wall_ns(self) -> int | None:
        """Return when the wall clock makes something due; ``None`` if nothing waits for it."""
        times = [each.next_alarm_ns for each in self.steps.values()]
        times += [
            state.expires_at()
            for state in self._expiring.values()
            if not state.expiry.by_event_time
        ]
        return min((each for each in times if each is not None), default=None)

    # What is due

    @property
    def due_state(self) -> str | None:
        """The first state of which something may be due; ``None`` if nothing is."""
        for each in self.steps.values():
            if each.has_due:
                return each.step.state
        for name, state in self._expiring.items():
            if state.has_expired:
                return name
        return None

    def pipeline_of(self, state: str) -> int:
        """Return the index of the pipeline in which something of this state is due."""
        using = self._using(state)
        due = (each for each in using if each.has_due)
        return next(due, self._expires_by.get(state, using[0])).pipeline

    def fire_some(self, state: str, count_max: int) -> int:
        """Call the functions of up to so many timers and alarms that are due, or forget keys that
        have expired."""
        self.begin_slice()
        for each in self.steps.values():
            if each.step.state == state and each.has_due:
                return max(each.fire_some(count_max), 1)
        if state in self._expiring and self._expiring[state].has_expired:
            return self._expires_by[state].expire_some(count_max)
        return 0

    def rebuild(self) -> None:
        """Find what is due again, after a restore or when keys have moved."""
        for each in self.steps.values():
            each.rebuild()
        for state in self._expiring.values():
            state.rebuild()
            if state.expiry.by_event_time:
                state.advance(state.clock)

    # What is shown

    def figures(self, state: str) -> TimedFigures:
        """Return what is shown of the timers and alarms of a state."""
        pending = self._sums(state, lambda timers: timers.pending_count)
        fired = self._sums(state, lambda timers: timers.fired_count)
        return TimedFigures(sum(pending.values()), 0, fired)

    def facts(self) -> list[dict[str, Any]]:
        """Return the numbers of each state: timers and alarms that are pending and that have fired,
        by kind, and keys that have expired, or ``None`` if none ever does."""
        return [
            {
                "state": state,
                "pending": self._sums(state, lambda timers: timers.pending_count),
                "fired": self._sums(state, lambda timers: timers.fired_count),
                "expired": self._expiring[state].expired_count if state in self._expiring else None,
            }
            for state in dict.fromkeys(each.step.state for each in self.steps.values())
            if state is not None
        ]

    def _sums(self, state: str, count_of: Callable[[KeyTimers], int]) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for step in self._using(state):
            for timers in step.both:
                sums[timers.kind] += count_of(timers)
        return dict(sums)

    def _using(self, state: str) -> list[KeyedStep]:
        return [each for each in self.steps.values() if each.step.state == state]

    def pending(self, state: str, key: Any) -> list[PendingTimer]:
        """Return the timers and the alarms of a key, by time."""
        found = [timer for each in self._using(state) for timer in each.pending(key)]
        return sorted(found, key=lambda timer: timer.time)


def states_of(plan: Application, *, tracks_changes: bool) -> dict[str, KeyedState]:
    """Return the states of a plan in its order, without objects."""
    states = {name: KeyedState(tracks_changes=tracks_changes) for name in plan.states}
    for name, state in plan.states.items():
        if isinstance(state.timing, KeyedTiming):
            expiry, has_clock = state.timing.expiry, state.timing.needs_time
            if expiry is None:
                states[name] = TimedState(has_clock=has_clock, tracks_changes=tracks_changes)
            else:
                touched = states[f"{name}{TOUCHED}"]
                states[name] = ExpiringState(
                    expiry, touched, has_clock=has_clock, tracks_changes=tracks_changes
                )
    return states
