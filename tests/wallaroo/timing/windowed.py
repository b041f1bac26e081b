"""Makes window steps and collects what their stores give."""

import operator
from typing import Any

from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.window_spec import (
    AggregationSpec,
    Firing,
    FixedWindows,
    PaneWindows,
    ResultKind,
    Windows,
    WindowSpec,
)


def joined(record: Any, so_far: str) -> str:
    return so_far + str(record)


JOIN = AggregationSpec(
    name="join", initial=str, update=joined, update_returns=True, merge=operator.add
)
"""Not commutative: it shows the order of records."""

FINAL, UPDATE, EARLY, LATE = (
    ResultKind.FINAL,
    ResultKind.UPDATE,
    ResultKind.EARLY,
    ResultKind.LATE,
)


def appended(record: Any, so_far: list[Any]) -> None:
    so_far.append(record)


LISTED = AggregationSpec(name="listed", initial=list, update=appended, update_returns=False)
"""Changes its accumulator in place, and cannot merge."""


def spec_of(windows: Windows, aggregation: AggregationSpec = JOIN, **firing: Any) -> WindowSpec:
    return WindowSpec(windows=windows, aggregation=aggregation, firing=Firing(**firing))


def tumbling(size: int, offset: int = 0) -> FixedWindows:
    return FixedWindows(size, size, offset)


Result = tuple[Any, Any, int, int, ResultKind]


def fire(store: PaneStore, count_max: int = 100) -> list[Result]:
    """Return all results that are due, as key, accumulator, start, end and kind."""
    results: list[Result] = []
    while (fired := store.fire_some(count_max)) is not None:
        for key, accumulator in zip(fired.keys, fired.accumulators, strict=True):
            results.append((key, accumulator, fired.window.start, fired.window.end, fired.kind))
    return results


class Windowed:
    """A store with the results it has given, in order."""

    def __init__(self, windows: PaneWindows, aggregation: AggregationSpec = JOIN, **firing: Any):
        self.spec = spec_of(windows, aggregation, **firing)
        self.store = PaneStore(self.spec)
        self.results: list[Result] = []

    def add(self, time: int, record: Any = "x", key: Any = "k") -> "Windowed":
        self.store.add(key, record, time)
        while (fired := self.store.fire_ready()) is not None:
            for each, accumulator in zip(fired.keys, fired.accumulators, strict=True):
                window = fired.window
                self.results.append((each, accumulator, window.start, window.end, fired.kind))
        return self

    def advance(self, clock: int) -> "Windowed":
        self.store.advance(clock)
        self.results += fire(self.store)
        return self

    def take(self) -> list[Result]:
        results, self.results = self.results, []
        return results
