"""What a state computation does by time, as frozen values: timers, alarms, and when keys expire."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wallaroo.durations import days, duration_text, milliseconds

TIMERS = "~timers"
"""Ends the name of the state in which checkpoints keep the timers of a step."""
ALARMS = "~alarms"
"""The same for its alarms."""
TOUCHED = "~touched"
"""Ends the name of the state that says when the keys of an expiring state were touched."""

TTL_MIN_NS = 1_000_000
HORIZON_NS = days(400)
GRAIN_NS = milliseconds(100)
NAME_BYTES_MAX = 255
TIMERS_OF_KEY_MAX = 1_000


class TtlClock(enum.Enum):
    """The clock by which keys expire; the value is what users write."""

    EVENT = "event"
    WALL = "wall"


@dataclass(frozen=True, slots=True)
class Handler:
    """What the user's function does when a timer or an alarm of this name is due."""

    name: str
    function: Callable[..., Any]
    """``f(state, ctx)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When the keys of a state are forgotten."""

    ttl_ns: int
    clock: TtlClock | None = None
    """``None`` until the plan knows whether records have event times here."""
    is_exact: bool = False
    """Whether a record finds no state that was touched the time to live before it, or earlier."""

    @property
    def by_event_time(self) -> bool:
        """Return whether event time decides, and not the wall clock."""
        return self.clock is TtlClock.EVENT

    def describe(self) -> str:
        """Return what outlines and plans show of it."""
        clock = "" if self.clock is None else f" of {self.clock.value} time"
        exactly = ", exactly" if self.is_exact else ""
        return f"expires after {duration_text(self.ttl_ns)}{clock}{exactly}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedTiming:
    """What one state computation has of all this."""

    takes_context: bool = False
    """Whether its third argument is a context."""
    timers: tuple[Handler, ...] = ()
    """By event time."""
    alarms: tuple[Handler, ...] = ()
    """By the wall clock."""
    expiry: Expiry | None = None
    """That of its state."""
    on_expire: Callable[[Any, Any], Any] | None = None
    """``f(key, state)`` may return the last result of a key that is forgotten."""
    has_event_time: bool = False
    """Whether records have an event time here, and not the time at which they were read."""
    timers_state: str = ""
    """The state that has its timers; empty if it has none, or before it is part of a plan."""
    alarms_state: str = ""

    @property
    def needs_time(self) -> bool:
        """Return whether its records need a time, and its state a clock."""
        return self.takes_context or (self.expiry is not None and self.expiry.by_event_time)

    @property
    def horizon_ns(self) -> int:
        """Return how long after its time a record may still matter: a timer may be set for any
        time, so a clock that moves by itself goes on for this long."""
        return HORIZON_NS

    @property
    def grain_ns(self) -> int:
        """Return how often a clock has to move that moves by itself, for timers to be in time."""
        return GRAIN_NS

    def in_plan(self, *, has_event_time: bool) -> "KeyedTiming":
        """Return the same with the clock by which keys expire."""
        expiry = self.expiry
        if expiry is not None and expiry.clock is None:
            expiry = replace(expiry, clock=TtlClock.EVENT if has_event_time else TtlClock.WALL)
        return replace(self, expiry=expiry, has_event_time=has_event_time)

    def of_state(self) -> "KeyedTiming":
        """Return what of it concerns all steps that use its state."""
        return KeyedTiming(takes_context=self.takes_context, expiry=self.expiry)

    def joined(self, other: "KeyedTiming") -> "KeyedTiming":
        """Return what concerns a state that two steps use, which do not contradict each other."""
        return KeyedTiming(
            takes_context=self.takes_context or other.takes_context,
            expiry=self.expiry or other.expiry,
        )

    def outlined(self) -> str:
        """Return what the line of its state in an outline has of it.

        A checkpoint may be used whatever it says: keys then expire later or earlier.
        """
        return "" if self.expiry is None else f" {self.expiry.describe()}"

    def describe(self) -> str:
        """Return what a plan shows of it; empty if there is nothing."""
        parts = [f"timer {each.name!r}" for each in self.timers]
        parts += [f"alarm {each.name!r}" for each in self.alarms]
        return ", ".join(parts)
