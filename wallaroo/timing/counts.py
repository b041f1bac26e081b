"""Windows of so many records of a key, in the order of their arrival; they need no time."""

from collections import Counter
from itertools import islice
from typing import Any

from wallaroo.timing.keyed_objects import KeyedObjects
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import CountWindows, ResultKind, Window, WindowSpec


class CountWindow:
    """One window of a key that is not full yet."""

    __slots__ = ("accumulator", "count", "end", "start")

    def __init__(self, accumulator: Any, time: int) -> None:
        self.accumulator = accumulator
        self.count = 0
        self.start = time
        self.end = time

    def add(self, accumulator: Any, time: int) -> int:
        """Note one more record; return how many there are."""
        self.accumulator = accumulator
        self.end = time
        self.count += 1
        return self.count

    def set_accumulator(self, accumulator: Any) -> None:
        """Note what it is now."""
        self.accumulator = accumulator


class KeyCounts:
    """The open windows of one key, the oldest first, and where the next one starts."""

    __slots__ = ("until_next", "windows")

    def __init__(self) -> None:
        self.windows: list[CountWindow] = []
        self.until_next = 0
        """Records until another window starts."""

    def note_record(self, windows: list[CountWindow], started: int | None) -> None:
        """Note which windows are open after a record, and if it has ``started`` one, how many
        records later the next one starts."""
        self.windows = windows
        self.until_next = (started or self.until_next) - 1


class CountStore:
    """The count windows of one state on one worker.

    All is in ``state``, so there is nothing to restore, and a barrier may pass at any time.
    """

    def __init__(self, spec: WindowSpec, state: KeyedObjects) -> None:
        assert isinstance(spec.windows, CountWindows)
        self._windows = spec.windows
        self._aggregation = spec.aggregation
        self._rules = spec.firing
        self._state = state
        self.fired_counts: Counter[ResultKind] = Counter()

    def add(self, key: Any, record: Any, time: int) -> list[Fired]:
        """Add a record; return the results that it gives."""
        counts: KeyCounts = self._state.objects.get(key) or KeyCounts()
        windows = [*counts.windows]
        is_start = counts.until_next == 0
        if is_start:
            windows.append(CountWindow(self._aggregation.initial(), time))
        # If the user's function raises, nothing was counted.
        accumulators = [
            self._aggregation.updated(record, window.accumulator, time) for window in windows
        ]
        self._state.before_change(key)
        self._state.objects[key] = counts
        given = []
        kept = []
        for window, accumulator in zip(windows, accumulators, strict=True):
            kind = self._kind(key, window, window.add(accumulator, time))
            if kind is not None:
                given.append(self._fired(key, window, kind))
            if kind is not ResultKind.FINAL:
                kept.append(window)
        counts.note_record(kept, self._windows.slide if is_start else None)
        is_tumbling = self._windows.slide == self._windows.count
        if not kept and (is_tumbling or counts.until_next == 0):
            self._state.remove(key)
        return given

    def finish_some(self, key_count_max: int) -> list[Fired] | None:
        """At the end of the input, give the incomplete windows of some keys, if they count, and
        forget them; ``None`` if there are no more."""
        keys = [*islice(self._state.objects, key_count_max)]
        if not keys:
            return None
        given = []
        for key in keys:
            if self._windows.emits_partial:
                windows = self._state.objects[key].windows
                given += [self._fired(key, window, ResultKind.FINAL) for window in windows]
            self._state.remove(key)
        return given

    def _kind(self, key: Any, window: CountWindow, count: int) -> ResultKind | None:
        """Return which result a window gives after a record."""
        rules = self._rules
        is_over = rules.until is not None and rules.until(key, window.accumulator)
        if count >= self._windows.count or is_over:
            return ResultKind.FINAL
        if rules.early_count is not None and count % rules.early_count == 0:
            return ResultKind.EARLY
        return None

    def _fired(self, key: Any, window: CountWindow, kind: ResultKind) -> Fired:
        self.fired_counts[kind] += 1
        return Fired([key], [window.accumulator], Window(window.start, window.end), kind)
