"""Windows and what they compute, as frozen values that a plan can hold.

The makers of ``wallaroo.api`` check what the user wrote and build these. All durations are in
nanoseconds. A value here is sound by itself: nothing below checks it again.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class FixedWindows:
    """Windows of one size; one starts each ``every_ns``. They are tumbling if that is the size."""

    size_ns: int
    every_ns: int
    offset_ns: int = 0

    @property
    def is_sliding(self) -> bool:
        """Return whether a record is in several windows."""
        return self.every_ns < self.size_ns


class CalendarUnit(enum.Enum):
    """The spans of a calendar that windows can follow."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class CalendarWindows:
    """Windows that follow the calendar of a time zone; a day may have 23 or 25 hours."""

    unit: CalendarUnit
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class GlobalWindows:
    """One window forever."""


@dataclass(frozen=True, slots=True)
class SessionWindows:
    """Windows that end once a key has had no record for ``gap_ns``."""

    gap_ns: int
    longest_ns: int | None = None
    """A session is cut when it has lasted this long."""


@dataclass(frozen=True, slots=True)
class CountWindows:
    """Windows of so many records of a key; a new one starts every ``slide`` records."""

    count: int
    slide: int
    emits_partial: bool = False
    """Whether incomplete windows give a result at the end of the input."""


@dataclass(frozen=True, slots=True)
class EphemeralWindows:
    """One window for each key, opened by its first record and forgotten some time later."""

    trigger_range_ns: int
    post_trigger_range_ns: int


PaneWindows: TypeAlias = FixedWindows | CalendarWindows | GlobalWindows
"""Windows whose bounds are the same for all keys."""
KeyedWindows: TypeAlias = SessionWindows | CountWindows | EphemeralWindows
"""Windows that each key has at times of its own."""
Windows: TypeAlias = PaneWindows | KeyedWindows


class LatePolicy(enum.Enum):
    """What becomes of a record whose windows are all over; the value is what users write."""

    DROP = "drop"
    SIDE = "side"
    UPDATE = "update"
    FIRE_PER_MESSAGE = "fire-per-message"
    PLACE_IN_OLDEST_WINDOW = "place-in-oldest-window"


class ResultKind(enum.Enum):
    """Which result of its window a result is; the value is what users read."""

    EARLY = "early"
    FINAL = "final"
    UPDATE = "update"
    LATE = "late"
    """A late record's own result, by the policy ``fire-per-message``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """When windows give results, and for how long they stay."""

    delay_ns: int = 0
    """A window fires when the clock has passed its end by this much."""
    allow_late_ns: int = 0
    """How long late records may still change a window that has fired."""
    late: LatePolicy = LatePolicy.DROP
    early_every_ns: int | None = None
    """How often windows that changed give an early result, by the clock."""
    early_count: int | None = None
    """After how many records of a key its window gives an early result."""
    until: Callable[[Any, Any], Any] | None = None
    """``until(key, accumulator)``: if it is true, the window fires and is forgotten at once."""


@dataclass(frozen=True, slots=True)
class Window:
    """The bounds of one window, in nanoseconds: from ``start`` up to, but without, ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a window gives for a key, if its aggregation has no ``output`` of its own."""

    key: Any
    value: Any
    start: int
    end: int
    kind: str
    """``early``, ``final``, ``update`` or ``late``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationSpec:
    """What a window computes from its records."""

    name: str
    initial: Callable[[], Any]
    update: Callable[..., Any]
    """``update(record, accumulator)``."""
    update_returns: bool
    """Whether ``update`` returns the accumulator; otherwise it changes it in place."""
    update_takes_time: bool = False
    """Whether ``update`` has the record's time as a third argument."""
    merge: Callable[[Any, Any], Any] | None = None
    """Returns the accumulator of two, of which the first has the earlier records."""
    output: Callable[..., Any] | None = None
    """``output(key, accumulator)``; without it the result is a ``Result``."""
    output_takes_window: bool = False
    """Whether ``output`` has the window as a third argument."""
    value: Callable[[Any], Any] | None = None
    """What a ``Result`` shows of an accumulator; ``None``: the accumulator itself."""
    invert: Callable[[Any, Any], Any] | None = None
    """``invert(total, part)`` takes a part out of a total again."""
    is_commutative: bool = False
    """Whether the order of the arguments of ``merge`` does not matter."""

    def updated(self, record: Any, accumulator: Any, time: int) -> Any:
        """Return the accumulator after one more record."""
        if self.update_takes_time:
            returned = self.update(record, accumulator, time)
        else:
            returned = self.update(record, accumulator)
        if not self.update_returns:
            return accumulator
        if returned is None:
            raise TypeError(
                f"the aggregation {self.name!r} returned None instead of an accumulator"
            )
        return returned

    def result(self, key: Any, accumulator: Any, window: Window, kind: ResultKind) -> Any:
        """Return what a window gives for a key; ``None`` for nothing."""
        if self.output is None:
            value = accumulator if self.value is None else self.value(accumulator)
            return Result(key, value, window.start, window.end, kind.value)
        if self.output_takes_window:
            return self.output(key, accumulator, window)
        return self.output(key, accumulator)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """A window step: which windows, what they compute, and when they give results."""

    windows: Windows
    aggregation: AggregationSpec
    firing: Firing
    name: str | None = None
    """The name given with ``named``; otherwise the state has the aggregation's name."""
