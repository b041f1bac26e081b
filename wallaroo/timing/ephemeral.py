"""One window for each key: opened by its first record, fired and forgotten some time later.

Until the key is forgotten, its records are late; after that its next record opens another window.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from wallaroo.timing.instants import END
from wallaroo.timing.keyed_objects import KeyedObjects
from wallaroo.timing.timers import OneTimer
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import (
    EphemeralWindows,
    LatePolicy,
    ResultKind,
    Window,
    WindowSpec,
)
from wallaroo.timing.window_store import WindowStore


class Ephemeral:
    """The window of one key."""

    __slots__ = ("accumulator", "end", "has_fired", "start")

    def __init__(self, start: int, end: int, accumulator: Any) -> None:
        self.start = start
        self.end = end
        self.accumulator = accumulator
        self.has_fired = False

    def fire(self) -> None:
        """Note that its result is given."""
        self.has_fired = True

    def set_accumulator(self, accumulator: Any) -> None:
        """Note what it is now."""
        self.accumulator = accumulator


class EphemeralStore(WindowStore):
    """The ephemeral windows of one state on one worker."""

    def __init__(self, spec: WindowSpec, state: KeyedObjects) -> None:
        """What ``state`` has already, from a checkpoint, is taken over."""
        super().__init__(spec)
        assert isinstance(spec.windows, EphemeralWindows)
        self._trigger_ns = spec.windows.trigger_range_ns
        self._post_ns = spec.windows.post_trigger_range_ns
        self._state = state
        self._timers = OneTimer()
        self._may_be_due = False
        self.add_keys(state.objects)

    def add_keys(self, keys: Iterable[Any]) -> None:
        """Set the timers of keys that were restored or moved here, whose windows ``state`` has."""
        for key in keys:
            window = self._state.objects[key]
            self._timers.set(key, self._next_at(window))
        self._may_be_due = True

    def drop_keys(self, keys: Iterable[Any]) -> None:
        """Forget keys that move to another worker."""
        for key in keys:
            self._timers.cancel(key)

    @staticmethod
    def holders(window: Ephemeral) -> list[Ephemeral]:
        """Return what has an accumulator in the object of a key."""
        return [window]

    @property
    def is_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        return bool(self._ready or self._may_be_due)

    @property
    def open_count(self) -> int:
        """Return how many keys have a window."""
        return len(self._state.objects)

    def add(self, key: Any, record: Any, time: int) -> None:
        """Add a record to the window of its key, or deal with it as the late policy says."""
        window: Ephemeral | None = self._state.objects.get(key)
        if window is not None and self.clock >= self._forgotten_at(window):
            # It waits to be forgotten, or even to fire; the record opens another one.
            self._timers.cancel(key)
            self._fire(key, window)
            self._state.remove(key)
            window = None
        if window is None:
            window = Ephemeral(time, time + self._trigger_ns, self._aggregation.initial())
        if window.has_fired or self.clock >= self._due_at(window):
            self._add_late(key, record, time, window)
            return
        self._update(key, record, time, window)
        if key not in self._timers.due:
            self._timers.set(key, self._due_at(window))
        until = self._rules.until
        if until is not None and until(key, window.accumulator):
            self._fire(key, window)
            self._timers.set(key, self._forgotten_at(window))

    def advance(self, clock: int) -> None:
        """Move the clock. What is due then is given by ``fire_some``."""
        self._move_clock(clock)
        self._may_be_due = True

    def fire_some(self, key_count_max: int) -> Fired | None:
        """Return the next result; ``None`` if nothing is due. It has looked at no more than
        ``key_count_max`` keys, and may have found nothing yet."""
        if self._ready or not self._may_be_due:
            return self.fire_ready()
        key_count = 0
        for time, key in islice(self._timers.take(self.clock), key_count_max):
            key_count += 1
            window = self._state.objects[key]
            if not window.has_fired:
                self._state.before_change(key)
                self._fire(key, window)
            if time >= self._forgotten_at(window):
                self._state.remove(key)
            else:
                self._timers.set(key, self._forgotten_at(window))
            if self._ready:
                return self.fire_ready()
        if key_count < key_count_max:
            self._may_be_due = False
            self.fired = max(self.fired, self.closed_until)
        return Fired([], [], Window(self.fired, self.fired), ResultKind.FINAL)

    def get(self, key: Any) -> list[tuple[Window, Any]]:
        """Return the window of a key with its accumulator, in a list."""
        window = self._state.objects.get(key)
        if window is None or window.has_fired:
            return []
        return [(Window(window.start, window.end), window.accumulator)]

    def _due_at(self, window: Ephemeral) -> int:
        return min(window.end + self._rules.delay_ns, END)

    def _forgotten_at(self, window: Ephemeral) -> int:
        return min(self._due_at(window) + self._post_ns, END)

    def _next_at(self, window: Ephemeral) -> int:
        return self._forgotten_at(window) if window.has_fired else self._due_at(window)

    def _update(self, key: Any, record: Any, time: int, window: Ephemeral) -> None:
        updated = self._aggregation.updated
        self._state.before_change(key)
        window.set_accumulator(updated(record, window.accumulator, time))
        self._state.objects[key] = window

    def _add_late(self, key: Any, record: Any, time: int, window: Ephemeral) -> None:
        rules = self._rules
        is_allowed = self.clock < self._due_at(window) + rules.allow_late_ns
        if rules.late is LatePolicy.UPDATE and is_allowed and key in self._state.objects:
            self._update(key, record, time, window)
            # If it still waits to fire, its final result has this record, too.
            if window.has_fired:
                self._give(key, window, ResultKind.UPDATE)
            return
        self.late_count += 1
        if rules.late is LatePolicy.SIDE:
            self._side.append((key, record, time))
        elif rules.late is LatePolicy.FIRE_PER_MESSAGE:
            alone = Ephemeral(window.start, window.end, self._aggregation.initial())
            alone.set_accumulator(self._aggregation.updated(record, alone.accumulator, time))
            self._give(key, alone, ResultKind.LATE)

    def _fire(self, key: Any, window: Ephemeral) -> None:
        if not window.has_fired:
            self._give(key, window, ResultKind.FINAL)
            window.fire()

    def _give(self, key: Any, window: Ephemeral, kind: ResultKind) -> None:
        bounds = Window(window.start, window.end)
        self._ready.append(Fired([key], [window.accumulator], bounds, kind))
