"""One state computation on one worker that has a context, timers, alarms or keys that expire."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from wallaroo.metrics.probe import Probe
from wallaroo.operators.context import Context, note_read_time, note_watermark
from wallaroo.operators.expiring_state import ExpiringState
from wallaroo.operators.key_timers import KeyTimers, NoTimers, PendingTimer
from wallaroo.operators.keyed_handlers import HandlerKind, StepHandler, handlers_of
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.timed_state import TimedState
from wallaroo.topology.plan import Step

Run = Callable[..., None]


class KeyedStep:
    """One state computation with a context, timers, alarms or a state that expires."""

    def __init__(self, step: Step, pipeline: int, states: Mapping[str, KeyedState]) -> None:
        assert step.timing is not None and step.state is not None
        self.step = step
        self.pipeline = pipeline
        """The index of its pipeline in ``Application.flows``."""
        state = states[step.state]
        assert isinstance(state, TimedState)
        self.state = state
        self.timers = _timers(states, step.timing.timers_state, step.timing.timers, "timer")
        self.alarms = _timers(states, step.timing.alarms_state, step.timing.alarms, "alarm")
        for each in self.both:
            state.forget_with(each.forget)
        self.context = Context(
            self.timers or NoTimers("timer"), self.alarms or NoTimers("alarm"), state
        )
        self._runs: dict[tuple[HandlerKind, str], Run] = {}

    @property
    def both(self) -> list[KeyTimers]:
        """Return its timers and its alarms, if it has any."""
        return [each for each in (self.timers, self.alarms) if each is not None]

    # Chains

    def write_chains(self, write: Callable[[StepHandler], Callable[..., None]]) -> None:
        """Write the chains that begin with the functions of this step."""
        for handler in handlers_of(self.step):
            self._runs[handler.kind, handler.name] = write(handler)

    def bind_objects(self, names: dict[str, Any], probe: Probe | None) -> None:
        """Let a chain with these names look into the young objects, whichever they are."""
        bind = partial(self._bind, names, probe)
        if isinstance(self.state, ExpiringState):
            self.state.bind(bind)
        else:
            bind()

    def _bind(self, names: dict[str, Any], probe: Probe | None) -> None:
        state, number = self.state, self.step.id
        objects: Any = state.objects
        if probe is not None:
            assert self.step.state is not None
            objects = probe.watched(self.step.state, objects)
        names[f"states_{number}"] = objects
        if isinstance(state, ExpiringState):
            names[f"turns_at_{number}"] = state.turns_at
            names[f"turn_{number}"] = state.turn

    # Time

    def begin_slice(self, read_ns: int) -> None:
        """Note when the records of the next slice were read."""
        note_read_time(self.context, read_ns)

    def advance(self, clock: int) -> None:
        """Move the clock of event time."""
        self.state.move_clock(clock)
        note_watermark(self.context, clock)
        if self.timers is not None:
            self.timers.advance(clock)

    def advance_wall(self, now_ns: int) -> None:
        """Move the wall clock."""
        if self.alarms is not None:
            self.alarms.advance(now_ns)

    @property
    def has_due(self) -> bool:
        """Whether a timer or an alarm may be due."""
        return any(each.has_due for each in self.both)

    def fire_some(self, count_max: int) -> int:
        """Call the functions of up to so many timers and alarms that are due."""
        fired = 0
        for kind, timers in ((HandlerKind.TIMER, self.timers), (HandlerKind.ALARM, self.alarms)):
            if timers is None or not timers.has_due:
                continue
            before = timers.fired_count
            for name, due in timers.take(count_max - fired):
                self._runs[kind, name](due, self.context.read_time)
            fired += timers.fired_count - before
            if fired >= count_max:
                break
        return fired

    def expire_some(self, count_max: int) -> int:
        """Forget up to so many keys that have expired."""
        state = self.state
        assert isinstance(state, ExpiringState)
        before = state.expired_count
        due = ((key, found, state.expiry_clock) for key, found in state.take_expired(count_max))
        self._expire(due)
        return state.expired_count - before

    def expire_now(self, key: Any, time: int) -> None:
        """Forget a key that a record at this time must not find."""
        state = self.state
        assert isinstance(state, ExpiringState)
        found = state.get(key)
        state.delete(key, has_expired=found is not None)
        if found is not None:
            self._expire(iter([(key, found, time)]))

    def _expire(self, due: Iterator[tuple[Any, ...]]) -> None:
        run = self._runs.get((HandlerKind.EXPIRY, ""))
        if run is not None:
            run(due, self.context.read_time)
        else:
            for _ in due:
                pass

    def rebuild(self) -> None:
        """Find what is due again, after a restore or when keys have moved."""
        note_watermark(self.context, self.state.clock)
        for each in self.both:
            each.rebuild()
        if self.timers is not None:
            self.timers.advance(self.state.clock)

    def pending(self, key: Any) -> list[PendingTimer]:
        """Return the timers and the alarms of a key."""
        return [timer for each in self.both for timer in each.pending(key)]

    @property
    def next_alarm_ns(self) -> int | None:
        """When the next alarm is due; ``None`` if none is pending."""
        return None if self.alarms is None else self.alarms.earliest()


def _timers(
    states: Mapping[str, KeyedState], name: str, handlers: tuple[Any, ...], kind: str
) -> KeyTimers | None:
    if not name:
        return None
    return KeyTimers(states[name], tuple(each.name for each in handlers), kind)
