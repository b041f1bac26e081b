"""Where the time of a record comes from, as frozen values that a plan can hold.

The makers of ``wallaroo.api`` check what the user wrote and build these. All durations are in
nanoseconds. A value here is sound by itself: nothing below checks it again.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from wallaroo.durations import seconds
from wallaroo.timing.instants import TimestampUnit

IDLE_AFTER_DEFAULT_NS = seconds(10)


class WhenQuiet(enum.Enum):
    """What a clock does while none of its sources gives anything."""

    WAIT = "wait"
    ADVANCE = "advance"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTime:
    """Records have a time of their own: a function of the user finds it, or the source gives it."""

    timestamp: Callable[[Any], Any] | None
    """Record to timestamp; ``None`` if the source gives a time with each record."""
    unit: TimestampUnit = TimestampUnit.SECONDS
    out_of_order_ns: int = 0
    """Records of one channel are late by at most this."""
    idle_after_ns: int = IDLE_AFTER_DEFAULT_NS
    """A channel that is silent or gone holds the watermark for this long."""
    when_quiet: WhenQuiet = WhenQuiet.WAIT
    settle_ns: int = 0
    """How long the watermark waits for other senders after the first record of a run."""
    ahead_max_ns: int | None = None
    """A record further than this ahead of its read time is a dead letter."""
    align_ns: int | None = None
    """A source further than this ahead of the slowest clock it feeds is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestTime:
    """Records have the time at which they were read; the watermark moves with the wall clock."""

    idle_after_ns: int = IDLE_AFTER_DEFAULT_NS


SourceTime: TypeAlias = EventTime | IngestTime
