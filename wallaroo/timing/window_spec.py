"""Windows and what they compute, as frozen values that a plan can hold.

The makers of ``wallaroo.api`` check what the user wrote and build these. All durations are in
nanoseconds. A value here is sound by itself: nothing below checks it again.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, NoReturn, TypeAlias

from wallaroo.durations import duration_text, hours
from wallaroo.type_variables import V_co


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

    @property
    def span_ns(self) -> int:
        """Return the longest time from a record to the end of its last window."""
        return self.size_ns

    def describe(self) -> str:
        """Return what plans and outlines show of them."""
        every = f" every {duration_text(self.every_ns)}" if self.is_sliding else ""
        offset = f" offset {duration_text(self.offset_ns)}" if self.offset_ns else ""
        return f"windows of {duration_text(self.size_ns)}{every}{offset}"


class CalendarUnit(enum.Enum):
    """The spans of a calendar that windows can follow."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_LONGEST_NS = {
    CalendarUnit.HOUR: hours(1),
    CalendarUnit.DAY: hours(25),
    CalendarUnit.WEEK: hours(7 * 24 + 1),
    CalendarUnit.MONTH: hours(31 * 24 + 1),
}


@dataclass(frozen=True, slots=True)
class CalendarWindows:
    """Windows that follow the calendar of a time zone; a day may have 23 or 25 hours."""

    unit: CalendarUnit
    zone: str = "UTC"

    @property
    def span_ns(self) -> int:
        """Return the longest time from a record to the end of its last window."""
        return _LONGEST_NS[self.unit]

    def describe(self) -> str:
        """Return what plans and outlines show of them."""
        return f"windows of a calendar {self.unit.value} in {self.zone}"


@dataclass(frozen=True, slots=True)
class GlobalWindows:
    """One window forever."""

    @property
    def span_ns(self) -> int:
        """Return 0: the window has no end."""
        return 0

    def describe(self) -> str:
        """Return what plans and outlines show of it."""
        return "one window forever"


@dataclass(frozen=True, slots=True)
class SessionWindows:
    """Windows that end once a key has had no record for ``gap_ns``."""

    gap_ns: int
    longest_ns: int | None = None
    """A session is cut when it has lasted this long."""

    @property
    def span_ns(self) -> int:
        """Return the longest time from a record to the end of its last window."""
        return self.gap_ns

    def describe(self) -> str:
        """Return what plans and outlines show of them."""
        longest = "" if self.longest_ns is None else f", longest {duration_text(self.longest_ns)}"
        return f"sessions with a gap of {duration_text(self.gap_ns)}{longest}"


@dataclass(frozen=True, slots=True)
class CountWindows:
    """Windows of so many records of a key; a new one starts every ``slide`` records."""

    count: int
    slide: int
    emits_partial: bool = False
    """Whether incomplete windows give a result at the end of the input."""

    @property
    def span_ns(self) -> int:
        """Return 0: time ends no window."""
        return 0

    def describe(self) -> str:
        """Return what plans and outlines show of them."""
        slide = "" if self.slide == self.count else f" every {self.slide}"
        return f"windows of {self.count} records{slide}"


@dataclass(frozen=True, slots=True)
class EphemeralWindows:
    """One window for each key, opened by its first record and forgotten some time later."""

    trigger_range_ns: int
    post_trigger_range_ns: int

    @property
    def span_ns(self) -> int:
        """Return the longest time from a record until its key is forgotten."""
        return self.trigger_range_ns + self.post_trigger_range_ns

    def describe(self) -> str:
        """Return what plans and outlines show of them."""
        trigger = duration_text(self.trigger_range_ns)
        post = duration_text(self.post_trigger_range_ns)
        return f"windows that fire {trigger} after their first record, forgotten {post} later"


PaneWindows: TypeAlias = FixedWindows | CalendarWindows | GlobalWindows
"""Windows whose bounds are the same for all keys."""
KeyedWindows: TypeAlias = SessionWindows | CountWindows | EphemeralWindows
"""Windows that each key has at times of its own."""
Windows: TypeAlias = PaneWindows | KeyedWindows


class LatePolicy(enum.Enum):
    """What happens to a record whose windows have all fired; the value is what users write."""

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

    @property
    def has_trigger(self) -> bool:
        """Return whether windows give results before their end."""
        return bool(self.until or self.early_count or self.early_every_ns)


@dataclass(frozen=True, slots=True)
class Window:
    """The bounds of one window, in nanoseconds: from ``start`` up to, but without, ``end``."""

    start: int
    end: int


class Result(NamedTuple, Generic[V_co]):
    """What a window gives for a key, if its aggregation has no ``output`` of its own."""

    key: Any
    value: V_co
    start: int
    end: int
    kind: str
    """``early``, ``final``, ``update`` or ``late``."""


class BuiltIn(enum.Enum):
    """Built-in aggregations that chains compute by themselves, without a call."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"


def refuse_no_accumulator(aggregation: str) -> NoReturn:
    """Raise ``TypeError``: the update of an aggregation has returned ``None``."""
    raise TypeError(f"the aggregation {aggregation!r} returned None instead of an accumulator")


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
    built_in: BuiltIn | None = None
    """Says that a chain may do the same as ``update`` by itself."""
    extract: Callable[[Any], Any] | None = None
    """The user's function from a record to a value, if it is built in and has one."""

    def updated(self, record: Any, accumulator: Any, time: int) -> Any:
        """Return the accumulator after one more record."""
        if self.update_takes_time:
            returned = self.update(record, accumulator, time)
        else:
            returned = self.update(record, accumulator)
        if not self.update_returns:
            return accumulator
        if returned is None:
            refuse_no_accumulator(self.name)
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

    @property
    def horizon_ns(self) -> int:
        """Return how long after its time a record may still matter."""
        rules = self.firing
        every_ns = rules.early_every_ns or 0
        return self.windows.span_ns + rules.delay_ns + rules.allow_late_ns + every_ns

    @property
    def grain_ns(self) -> int:
        """Return how often a clock has to move that moves by itself, for results to be in time."""
        every_ns = self.firing.early_every_ns or self.windows.span_ns
        return min(every_ns, self.windows.span_ns or every_ns) // 16

    def identity(self) -> str:
        """Return what has to be the same for checkpoints of these windows to be used."""
        # Whatever else changes, such as the late policy, holds for windows that are open, too.
        return f"{self.windows.describe()} in {'parts' if self.is_in_parts else 'whole'}"

    def accumulators(self, value: Any) -> list[Any]:
        """Return the accumulators in what a checkpoint has of a key."""
        match self.windows:
            case SessionWindows():
                return [session.accumulator for session in value]
            case CountWindows():
                return [window.accumulator for window in value.windows]
            case EphemeralWindows():
                return [value.accumulator]
        return [value]

    @property
    def needs_time(self) -> bool:
        """Return whether its records need a time."""
        return True

    @property
    def fires_each_record(self) -> bool:
        """Return whether each record gives a result: one window forever, without a trigger."""
        return isinstance(self.windows, GlobalWindows) and not self.firing.has_trigger

    @property
    def is_in_parts(self) -> bool:
        """Return whether a window may be kept as parts that are merged when it fires.

        It may not if somebody looks at each accumulator while it grows.
        """
        sees_each_record = self.firing.until is not None or self.fires_each_record
        return self.aggregation.merge is not None and not sees_each_record

    def describe(self) -> str:
        """Return what a plan shows of it."""
        rules = self.firing
        said = [self.windows.describe()]
        if rules.delay_ns:
            said.append(f"delay {duration_text(rules.delay_ns)}")
        if rules.late is not LatePolicy.DROP:
            said.append(f"late records: {rules.late.value}")
        if rules.early_every_ns is not None:
            said.append(f"early each {duration_text(rules.early_every_ns)}")
        if rules.early_count is not None:
            said.append(f"early after {rules.early_count} records")
        return ", ".join(said)
