"""Windows of so many records as a timed store."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.saved_state import SavedState
from wallaroo.operators.timed_keyed_state import TimedKeyedState
from wallaroo.operators.timed_store import Due, LateRecord, TimedFigures
from wallaroo.timing.counts import CountStore, CountWindow, KeyCounts
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import ResultKind, Window


class TimedCounts:
    """Windows of so many records, which need a clock for the end of the input alone."""

    def __init__(self, name: str, windows: CountStore, state: KeyedState) -> None:
        self.windows = windows
        """The windows themselves."""
        self._name = name
        self._state = state
        self._ready: deque[Fired] = deque()
        self.clock = BEFORE_ALL
        """The last clock that ``advance`` was given."""
        self._before_end = BEFORE_ALL
        """The last clock before the end of the input."""

    def add(self, key: Any, record: Any, time: int) -> None:
        """Add a record; ``fire_ready`` gives its results."""
        self._ready += self.windows.add(key, record, time)

    @property
    def fired(self) -> int:
        """Everything with a time before this is given."""
        return self._before_end if self.has_due else self.clock

    @property
    def has_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        return self.clock == END and bool(self._ready or self._state)

    def advance(self, clock: int) -> None:
        """Move the clock; at the end of the input, incomplete windows are due."""
        if clock < END:
            self._before_end = clock
        self.clock = clock

    def fire_some(self, key_count_max: int) -> Due | None:
        """Return incomplete windows, if those count; ``None`` if nothing is due."""
        if not self.has_due:
            return None
        if not self._ready:
            self._ready += self.windows.finish_some(key_count_max) or ()
        return self.fire_ready(0) or Due(([],))

    def fire_ready(self, time: int) -> Due | None:
        """Return what a record has caused by itself, if there is anything."""
        if not self._ready:
            return None
        fired = self._ready.popleft()
        columns = (fired.keys, fired.accumulators, fired.window, fired.kind, fired.window.end)
        return Due(columns)

    def take_late(self) -> list[LateRecord]:
        """Return nothing: no record is late."""
        return []

    # Checkpoints and moves. The clock makes nothing due here, so no index of keys has to follow.

    def saved_states(self) -> Mapping[str, SavedState]:
        """Return what checkpoints and moves take of it, by state."""
        return {self._name: TimedKeyedState(self._state, self)}

    def restore_clock(self, clock: int, fired: int) -> None:
        """Set the clock of a checkpoint."""
        self.clock, self._before_end = clock, fired

    def take_clock(self, clock: int, fired: int) -> None:
        """Go on with keys of another worker."""
        self.advance(max(self.clock, clock))

    def add_keys(self, keys: Iterable[Any]) -> None:
        """Do nothing."""

    def drop_keys(self, keys: Iterable[Any]) -> None:
        """Do nothing."""

    def get(self, key: Any) -> list[tuple[Window, Any]]:
        """Return the open windows of a key with their accumulators."""
        counts: KeyCounts | None = self._state.get(key)
        windows = [] if counts is None else counts.windows
        return [(Window(each.start, each.end), each.accumulator) for each in windows]

    @staticmethod
    def holders(counts: KeyCounts) -> list[CountWindow]:
        """Return what has accumulators in the object of a key."""
        return counts.windows

    def figures(self) -> TimedFigures:
        """Return what is shown of them."""
        return TimedFigures(len(self._state), 0, by_kind(self.windows.fired_counts))


def by_kind(counts: Counter[ResultKind]) -> dict[str, int]:
    """Return counts of results by the names of their kinds."""
    return {kind.value: count for kind, count in counts.items()}
