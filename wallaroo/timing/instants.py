"""Points in time: nanoseconds since 1970 UTC, and how a user's timestamp becomes one."""

import enum
import math
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

from wallaroo.describing import a_type, text_of

Instant = NewType("Instant", int)
"""A point in time in what is saved; those before 1970 are negative."""

BEFORE_ALL = -(1 << 63)
"""The watermark of a sender that has sent nothing yet."""
END = (1 << 63) - 1
"""The watermark behind the last record: nothing follows."""

INSTANT_MAX = 1 << 62
"""Records are earlier than this and later than its negative: the years 1824 to 2116.

So the sum of a time and a duration always fits the 64 bits that it has in files and frames.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class TimestampUnit(enum.Enum):
    """What a timestamp function returns; the value is the name that users write."""

    NANOSECONDS = "ns"
    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    DATETIME = "datetime"

    @property
    def length_ns(self) -> int:
        """Return the nanoseconds of one unit; a ``datetime`` has microseconds."""
        return _LENGTHS_NS[self]


_LENGTHS_NS = {
    TimestampUnit.NANOSECONDS: 1,
    TimestampUnit.MICROSECONDS: 1_000,
    TimestampUnit.MILLISECONDS: 1_000_000,
    TimestampUnit.SECONDS: 1_000_000_000,
    TimestampUnit.DATETIME: 1_000,
}


def shown_ns(time: int) -> int | None:
    """Return a watermark as people see it: ``None`` before the first and behind the last one."""
    return time if BEFORE_ALL < time < END else None


def instant_ns(timestamp: Any, unit: TimestampUnit) -> int:
    """Return the time that a timestamp function gave for a record, in nanoseconds.

    Raises ``TypeError`` or ``ValueError`` with a sentence that says what was returned instead.
    """
    if unit is TimestampUnit.DATETIME:
        instant = _datetime_ns(timestamp)
    # A bool is an int, but nobody means one microsecond after 1970 by True.
    elif isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        raise TypeError(f"the timestamp is {a_type(timestamp)}, not a number of {unit.value}")
    elif isinstance(timestamp, int):
        instant = timestamp * unit.length_ns
    elif math.isfinite(timestamp):
        # The whole units first: a float has too few digits for nanoseconds of today.
        whole = math.floor(timestamp)
        instant = whole * unit.length_ns + round((timestamp - whole) * unit.length_ns)
    else:
        raise ValueError(f"the timestamp is {timestamp}")
    if not -INSTANT_MAX < instant < INSTANT_MAX:
        shown = text_of(timestamp)
        raise ValueError(f"the timestamp {shown} is not between 1824 and 2116; is its unit right?")
    return instant


def _datetime_ns(timestamp: Any) -> int:
    if not isinstance(timestamp, datetime):
        raise TypeError(f"the timestamp is {a_type(timestamp)}, not a datetime")
    if timestamp.utcoffset() is None:
        raise ValueError(
            f"the timestamp {timestamp.isoformat()} has no time zone; use aware datetimes, such as "
            "datetime.fromtimestamp(seconds, datetime.UTC)"
        )
    return (timestamp - _EPOCH) // _MICROSECOND * 1_000
