"""Windows as timed stores: the one that a state has, and its results as chains take them."""

from collections.abc import Mapping
from typing import Any

from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.pane_state import PaneState
from wallaroo.operators.saved_state import SavedState
from wallaroo.operators.timed_counts import TimedCounts, by_kind
from wallaroo.operators.timed_keyed_state import TimedKeyedState
from wallaroo.operators.timed_store import Broken, Due, LateRecord, TimedFigures, TimedStore
from wallaroo.timing.counts import CountStore
from wallaroo.timing.ephemeral import EphemeralStore
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.sessions import SessionStore
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import (
    CountWindows,
    EphemeralWindows,
    SessionWindows,
    WindowSpec,
)


class TrackedObjects:
    """The objects of a keyed state, for windows that each key has at times of its own."""

    def __init__(self, state: KeyedState) -> None:
        self._state = state
        self.objects: dict[Any, Any] = state.objects
        """By key."""

    def before_change(self, key: Any) -> None:
        """Note that the object of a key is about to change, or that the key is new."""
        if self._state.changes is not None:
            self._state.changes.mark_replaced(key)

    def remove(self, key: Any) -> None:
        """Remove a key for good."""
        self._state.delete(key)


class TimedWindows:
    """Windows that the clock fires."""

    def __init__(
        self,
        windows: PaneStore | SessionStore | EphemeralStore,
        saved_states: Mapping[str, SavedState],
        objects: TrackedObjects | None = None,
    ) -> None:
        """``objects`` are those of windows that each key has at times of its own."""
        self.windows = windows
        """The windows themselves, for chains and checkpoints."""
        self.before_change = None if objects is None else objects.before_change
        self.add = windows.add
        """Adds a key's record with its time; ``fire_ready`` gives what that causes."""
        self._saved_states = saved_states

    @property
    def clock(self) -> int:
        """The last clock that ``advance`` was given."""
        return self.windows.clock

    @property
    def closed_until(self) -> int:
        """Windows that end here or before are closed."""
        return self.windows.closed_until

    @property
    def fired(self) -> int:
        """Everything with a time before this is given."""
        return self.windows.fired

    @property
    def has_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        return self.windows.is_due

    def advance(self, clock: int) -> None:
        """Move the clock; ``fire_some`` gives what is due then."""
        self.windows.advance(clock)

    def fire_some(self, key_count_max: int) -> Due | None:
        """Return results of at most so many keys; ``None`` if nothing is due."""
        fired = self.windows.fire_some(key_count_max)
        if fired is None:
            return None
        # Only a window without an end needs another time: that up to which all is complete.
        return _due(fired, self.fired if self.fired > BEFORE_ALL else 0)

    def fire_ready(self, time: int) -> Due | None:
        """Return what a record with this time has caused by itself, if there is anything."""
        fired = self.windows.fire_ready()
        return None if fired is None else _due(fired, time)

    def take_late(self) -> list[LateRecord]:
        """Return the late records that go on by themselves."""
        return self.windows.take_side()

    def saved_states(self) -> Mapping[str, SavedState]:
        """Return what checkpoints and moves take of it, by state."""
        return self._saved_states

    def figures(self) -> TimedFigures:
        """Return what is shown of them."""
        windows = self.windows
        return TimedFigures(windows.open_count, windows.late_count, by_kind(windows.fired_counts))


def store_of(name: str, spec: WindowSpec, state: KeyedState, *, tracks_changes: bool) -> TimedStore:
    """Return the store for the windows of a state; ``state`` has the objects of windows of keys."""
    objects, delay_ns = TrackedObjects(state), spec.firing.delay_ns
    windows: SessionStore | EphemeralStore
    match spec.windows:
        case CountWindows():
            return TimedCounts(name, CountStore(spec, objects), state)
        case SessionWindows():
            windows = SessionStore(spec, objects)
        case EphemeralWindows():
            windows = EphemeralStore(spec, objects)
        case _:
            panes = PaneStore(spec, tracks_changes=tracks_changes)
            saved = PaneState(panes, tracks_changes=tracks_changes, delay_ns=delay_ns)
            return TimedWindows(panes, {name: saved})
    return TimedWindows(windows, {name: TimedKeyedState(state, windows, delay_ns)}, objects)


def _due(fired: Fired, time: int) -> Due:
    """Return results as the chain behind the windows takes them; ``time`` is for windows without an
    end."""
    window = fired.window
    if window.end < END:
        time = window.end - 1
    failures = [Broken(failed.key, window, failed.error) for failed in fired.failures]
    return Due((fired.keys, fired.accumulators, window, fired.kind, time), failures)
