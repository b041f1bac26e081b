"""The windows of one state on one worker, if they are the same for all keys.

Windows are stored by time first, then by key. A chain keeps the bounds of its pane in two locals,
so a record costs one comparison and one look-up. A window has no timer: when the clock has passed
its end, firing is a walk over a dict.

    record -> locate -> live dict of its pane          (or late, by the policy)
    clock  -> advance -> windows that are due, in the order of their ends -> fire_some -> results

**A barrier may pass between any two calls of** ``fire_some``. What is due and not fired stays in
panes, so it is part of the checkpoint. At most one window is half fired; its keys that are done are
saved with its end, and are not fired again.

**Whether a record is late is decided by the clock, never by what has fired.** If output is held up,
windows that are due wait, while records still arrive for them. Those are late. So the live dicts of
a window are set aside when it becomes due, and what is added to its panes later (for other windows,
or by the policy *update*) does not count for it.
"""

from collections import deque
from collections.abc import Collection, Iterable
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

from wallaroo.timing.grids import grid_of
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.key_parts import KeyParts
from wallaroo.timing.pane_map import PaneMap
from wallaroo.timing.panes import Found, Pane
from wallaroo.timing.partial_panes import PartialPane
from wallaroo.timing.stacks import totals_for
from wallaroo.timing.window_firing import Fired, WindowFiring
from wallaroo.timing.window_spec import (
    CalendarWindows,
    FixedWindows,
    GlobalWindows,
    LatePolicy,
    ResultKind,
    Window,
    WindowSpec,
)
from wallaroo.timing.window_store import WindowStore

PANES_MAX = 100_000
"""Open panes of one state. Times far in the future would fill the memory with one dict each."""


class TooManyPanesError(ValueError):
    """A record would open another pane, and there are too many already."""


class PaneStore(WindowStore):
    """The open windows of one state on one worker, and what they give as the clock moves."""

    def __init__(
        self, spec: WindowSpec, *, tracks_changes: bool = False, panes_max: int = PANES_MAX
    ) -> None:
        """With ``tracks_changes`` checkpoints are on."""
        super().__init__(spec)
        windows = spec.windows
        assert isinstance(windows, FixedWindows | CalendarWindows | GlobalWindows)
        self._grid = grid_of(windows)
        self._tracks_changes = tracks_changes
        self._panes_max = panes_max
        self._fires_each_record = spec.fires_each_record
        self._merge = spec.aggregation.merge if spec.is_in_parts else None
        self._panes = PaneMap(self._grid, self._merge)
        self._open: dict[int, int] = {}
        """Start by end of each window that has a pane and has not fired."""
        self._ends: list[int] = []
        """A heap of the ends of open windows that are not due."""
        self._due: deque[Window] = deque()
        self._half_fired: WindowFiring | None = None
        self._done: dict[int, set[Any]] = {}
        """Keys that are done, by the end of their window, from a checkpoint or another worker."""
        self._totals = totals_for(self._merge, self._grid.panes_of_window)
        self._updates_after: dict[int, list[Any]] = {}
        """Keys of late records, by the end of a window that has to give its final results first."""
        self._early: deque[tuple[Window, deque[Any]]] = deque()
        """Keys that an early result of a window is due for."""
        self._leaving: list[tuple[int, int]] = []
        """A heap of last end and start of panes that only late records may still change."""

    @property
    def is_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        return bool(self._ready or self._due or self._half_fired or self._early)

    @property
    def open_count(self) -> int:
        """Return how many windows are open or due."""
        return len(self._open)

    def locate(self, key: Any, record: Any, time: int) -> Found | None:
        """Return the pane of a record; ``None`` if the record is dealt with, since it is late.

        After ``None``, and after ``added``, a chain gives what ``fire_ready`` has before it takes
        the next record, which may change the same accumulators.
        """
        start, end = self._grid.pane(time)
        first_end, last_end = self._grid.ends(start)
        if self._has_passed(last_end):
            self._add_late(key, record, time)
            return None
        pane = self._panes.get(start) or self._new_pane(start, end)
        if self._rules.late is LatePolicy.UPDATE and self._has_passed(first_end):
            self._update(pane, key, record, time)
            return None
        pane.begin(self.clock)
        return pane.found()

    def add(self, key: Any, record: Any, time: int) -> None:
        """Add one record, as a chain does it with what ``locate`` gives."""
        found = self.locate(key, record, time)
        if found is not None:
            self._add_to(found.low, key, record, time)

    def add_partial(self, partial: PartialPane) -> None:
        """Add records that were combined before they came here."""
        start = partial.start
        if self._has_passed(self._grid.ends(start)[1]):
            self.late_count += partial.record_count
            return
        pane = self._panes.get(start) or self._new_pane(*self._grid.pane(start))
        pane.begin(self.clock)
        pane.add_partial(partial.keys, partial.accumulators, self.clock)

    def added(self, start: int, key: Any, accumulator: Any) -> None:
        """Give the results that a record of a key causes by itself, in the pane at ``start``.

        A chain calls it only for windows with ``until``, ``early(count=)`` or without a trigger.
        """
        rules, pane = self._rules, self._panes[start]
        if self._fires_each_record:
            window = Window(pane.start, pane.end)
            self._ready.append(Fired([key], [accumulator], window, ResultKind.EARLY))
        if rules.until is not None and rules.until(key, accumulator):
            window = Window(pane.start, pane.end)
            self._ready.append(Fired([key], [accumulator], window, ResultKind.FINAL))
            pane.forget(key)
        elif rules.early_count is not None and pane.counted(key) >= rules.early_count:
            pane.counts[key] = 0
            for window in self._grid.windows(start):
                if not self._has_passed(window.end):
                    self._give(key, window, ResultKind.EARLY)

    def advance(self, clock: int) -> None:
        """Move the clock. What is due then is given by ``fire_some``."""
        is_early_due = self._move_clock(clock)
        while self._ends and self._has_passed(self._ends[0]):
            end = heappop(self._ends)
            window = Window(self._open[end], end)
            for pane in self._panes.of(window):
                pane.set_aside()
            self._due.append(window)
        if is_early_due:
            self._prepare_early()
        self._settle()

    def fire_some(self, count_max: int) -> Fired | None:
        """Return the next results, of at most ``count_max`` keys; ``None`` if nothing is due."""
        if self._ready:
            return self.fire_ready()
        fired = None
        if (firing := self._half_fired or self._next_firing()) is not None:
            fired = firing.next(count_max)
            if firing.is_complete:
                self._finish(firing.window)
        elif self._early:
            fired = self._fire_early(count_max)
        return None if fired is None else self._counted(fired)

    def get(self, key: Any, count_max: int) -> tuple[list[tuple[Window, Any]], int]:
        """Return the first open windows of a key with their accumulators, in order, and how many
        windows it has."""
        parts = KeyParts(self._panes, key, self._merge)
        windows = (Window(start, end) for end, start in sorted(self._open.items()))
        mine = [each for each in windows if parts.is_in(each) and not self._is_done(key, each.end)]
        return parts.in_each(mine[:count_max]), len(mine)

    def panes(self) -> list[Pane]:
        """Return the panes in order, for checkpoints and moves."""
        return [self._panes[start] for start in sorted(self._panes)]

    def done_keys(self) -> dict[int, set[Any]]:
        """Return the keys that are done of windows that are not, by the end of the window."""
        done = {end: {*keys} for end, keys in self._done.items()}
        if self._half_fired is not None:
            done[self._half_fired.window.end] = {*self._half_fired.done}
        return done

    def pane_to_fill(self, start: int, keys: Collection[Any], fired: int) -> Pane | None:
        """Return the pane that begins here, for keys that come from a checkpoint or from another
        worker; ``None`` if nothing can change it any more.

        These keys have fired up to ``fired`` there. A window that one side has fired and the other
        has not is open again, and the keys of the first side are done.
        """
        self._restart_firing()
        both_fired = min(self.fired, fired)
        if self.is_over(start, both_fired):
            return None
        if any(both_fired < window.end <= self.fired for window in self._grid.windows(start)):
            self._fire_again(both_fired)
        pane = self._panes.get(start) or self._new_pane(*self._grid.pane(start))
        for window in self._grid.windows(start):
            if window.end > both_fired and self._has_passed(window.end):
                if window.end not in self._open:
                    self._open[window.end] = window.start
                    self._due.append(window)
                if window.end <= fired:
                    self._done.setdefault(window.end, set()).update(keys)
        self._due = deque(sorted(self._due, key=attrgetter("end")))
        return pane

    def is_over(self, start: int, fired: int) -> bool:
        """Return whether nothing can change the pane that begins here, if ``fired`` has fired."""
        _, last_end = self._grid.ends(start)
        return last_end <= fired and self._has_passed(last_end, self._rules.allow_late_ns)

    def kept_until(self, start: int) -> int:
        """Return what has to have fired so that nothing can change the pane that begins here."""
        _, last_end = self._grid.ends(start)
        return min(last_end + self._rules.allow_late_ns, END)

    def rebase(self, start: int, keys: Iterable[Any]) -> bool:
        """Let the next checkpoint write these keys of a pane as a whole; return whether it does.

        While a window of the pane is due, it does not: what was late for the window has to stay
        apart.
        """
        pane = self._panes.get(start)
        if pane is None:
            return True
        ends = [window.end for window in self._grid.windows(start)]
        if any(end in self._open and self._has_passed(end) for end in ends):
            return False
        pane.rebase(keys)
        return True

    def add_done(self, end: int, keys: Iterable[Any]) -> None:
        """Note keys that are done of a window that is not, after its panes were filled."""
        if end in self._open:
            self._done.setdefault(end, set()).update(keys)

    def delete(self, key: Any) -> bool:
        """Delete a key with all its windows; return whether it was here."""
        found = [pane.delete(key) for pane in self.panes()]
        self.drop({key})
        return any(found)

    def drop(self, keys: set[Any]) -> None:
        """Forget what is beside the panes of keys that move to another worker."""
        self._restart_firing()
        for done in self._done.values():
            done -= keys
        for end, waiting in self._updates_after.items():
            self._updates_after[end] = [key for key in waiting if key not in keys]
        self._early = deque(
            (window, deque(key for key in changed if key not in keys))
            for window, changed in self._early
        )

    def _fire_again(self, fired: int) -> None:
        """Go back to ``fired``: what has fired since then fires for keys that are not here yet.

        All such windows are due again, so that the next checkpoint names the keys that are done.
        """
        for pane in self.panes():
            for window in self._grid.windows(pane.start):
                if fired < window.end <= self.fired and window.end not in self._open:
                    self._done[window.end] = self._panes.keys_of(window)
                    self._open[window.end] = window.start
                    self._due.append(window)
        self.fired = fired

    def _new_pane(self, start: int, end: int) -> Pane:
        if len(self._panes) >= self._panes_max:
            raise TooManyPanesError(
                f"{len(self._panes)} panes of windows are open; is the time of this record far in "
                "the future? See ahead_max of event_time()"
            )
        pane = self._panes[start] = Pane(
            start, end, self._aggregation, self._merge, tracks_changes=self._tracks_changes
        )
        _, last_end = self._grid.ends(start)
        for window in self._grid.windows(start):
            if window.end not in self._open and not self._has_passed(window.end):
                self._open[window.end] = window.start
                heappush(self._ends, window.end)
        if self._has_passed(last_end):
            heappush(self._leaving, (last_end, start))
        return pane

    def _add_to(self, start: int, key: Any, record: Any, time: int) -> None:
        pane = self._panes[start]
        pane.begin(self.clock)
        self.added(start, key, pane.add(key, record, time))

    def _add_late(self, key: Any, record: Any, time: int) -> None:
        """Deal with a record whose windows are all due."""
        policy, rules = self._rules.late, self._rules
        start, end = self._grid.pane(time)
        _, last_end = self._grid.ends(start)
        if policy is LatePolicy.UPDATE and not self._has_passed(last_end, rules.allow_late_ns):
            self._update(self._panes.get(start) or self._new_pane(start, end), key, record, time)
            return
        self.late_count += 1
        if policy is LatePolicy.SIDE:
            self._side.append((key, record, time))
        elif policy is LatePolicy.FIRE_PER_MESSAGE:
            alone = self._aggregation.updated(record, self._aggregation.initial(), time)
            window = self._grid.windows(start)[-1]
            self._ready.append(Fired([key], [alone], window, ResultKind.LATE))
        elif policy is LatePolicy.PLACE_IN_OLDEST_WINDOW and self.clock < END:
            oldest, end = self._grid.pane(self._grid.oldest_open(self.clock - rules.delay_ns))
            if oldest not in self._panes:
                self._new_pane(oldest, end)
            self._add_to(oldest, key, record, time)

    def _update(self, pane: Pane, key: Any, record: Any, time: int) -> None:
        """Add a record that is late for some windows, and give their results again."""
        late = [
            window
            for window in self._grid.windows(pane.start)
            if self._has_passed(window.end)
            and not self._has_passed(window.end, self._rules.allow_late_ns)
        ]
        is_new = {window: self._panes.key_in(key, window) is None for window in late}
        self._add_to(pane.start, key, record, time)
        for window in late:
            if self._is_done(key, window.end):
                kind = ResultKind.FINAL if is_new[window] else ResultKind.UPDATE
                self._give(key, window, kind)
            else:
                self._updates_after.setdefault(window.end, []).append(key)

    def _is_done(self, key: Any, end: int) -> bool:
        if end not in self._open:
            return True
        firing = self._half_fired
        if firing is not None and firing.window.end == end:
            return key in firing.done
        return key in self._done.get(end, ())

    def _give(self, key: Any, window: Window, kind: ResultKind) -> None:
        accumulator = self._panes.key_in(key, window)
        if accumulator is not None:
            self._ready.append(Fired([key], [accumulator], window, kind))

    def _next_firing(self) -> WindowFiring | None:
        if not self._due:
            return None
        window = self._due.popleft()
        due_at = min(window.end + self._rules.delay_ns, END)
        # Without a trigger, each record gave the last result of its key already.
        panes = PaneMap(self._grid, None) if self._fires_each_record else self._panes
        done = self._done.pop(window.end, ())
        self._half_fired = WindowFiring(window, panes, self._merge, due_at, done, self._totals)
        return self._half_fired

    def _restart_firing(self) -> None:
        """Put a half-fired window back, with the keys that are done."""
        firing, self._half_fired = self._half_fired, None
        self._totals = totals_for(self._merge, self._grid.panes_of_window)
        if firing is not None:
            self._done[firing.window.end] = firing.done
            self._due.appendleft(firing.window)

    def _finish(self, window: Window) -> None:
        """Note that a window has fired, and forget what no late record may change."""
        self._half_fired = None
        del self._open[window.end]
        self.fired = max(self.fired, min(window.end, self.clock))
        due_at = min(window.end + self._rules.delay_ns, END)
        # Of several records of a key one result is given, which has all of them.
        for key in dict.fromkeys(self._updates_after.pop(window.end, ())):
            was_given = self._panes.key_in(key, window, due_at) is not None
            self._give(key, window, ResultKind.UPDATE if was_given else ResultKind.FINAL)
        for pane in self._panes.of(window):
            _, last_end = self._grid.ends(pane.start)
            if last_end == window.end:
                heappush(self._leaving, (last_end, pane.start))
        self._settle()

    def _settle(self) -> None:
        """Forget panes that nothing can change; if nothing is due, results are complete."""
        while self._leaving:
            last_end, start = self._leaving[0]
            if last_end in self._open or not self._has_passed(last_end, self._rules.allow_late_ns):
                break
            heappop(self._leaving)
            self._panes.pop(start, None)
        if not self._due and self._half_fired is None and self.clock > BEFORE_ALL:
            self.fired = max(self.fired, self.closed_until)

    def _prepare_early(self) -> None:
        """Note which keys have changed since the last early results, for each open window."""
        changed = {pane.start: pane.changed_keys() for pane in self._panes.values()}
        self._early = deque(each for each in self._early if not self._has_passed(each[0].end))
        for end, start in sorted(self._open.items()):
            window = Window(start, end)
            if not self._has_passed(end):
                found = (changed.get(each, ()) for each in self._grid.panes(window))
                keys = dict.fromkeys(key for keys in found for key in keys)
                if keys:
                    self._early.append((window, deque(keys)))

    def _fire_early(self, count_max: int) -> Fired:
        window, waiting = self._early[0]
        fired = Fired([], [], window, ResultKind.EARLY)
        while waiting and len(fired.keys) < count_max:
            key = waiting.popleft()
            accumulator = self._panes.key_in(key, window)
            if accumulator is not None:
                fired.keys.append(key)
                fired.accumulators.append(accumulator)
        if not waiting or self._has_passed(window.end):
            self._early.popleft()
        return fired
