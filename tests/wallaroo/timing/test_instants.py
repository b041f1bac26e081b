"""A user's timestamp becomes nanoseconds, or an error that says what it was."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.timing.instants import INSTANT_MAX, TimestampUnit, instant_ns

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timestamp", "unit", "expected"),
    [
        (17, "ns", 17),
        (17, "us", 17_000),
        (-17, "ms", -17_000_000),
        (1.5, "s", 1_500_000_000),
        (-1.5, "s", -1_500_000_000),
        (1767268800.123, "s", 1_767_268_800_123_000_000),
        (NOON, "datetime", 1_767_268_800_000_000_000),
        (NOON.astimezone(timezone(timedelta(hours=5))), "datetime", 1_767_268_800_000_000_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), "datetime", -1_000),
    ],
)
def test_a_timestamp_becomes_nanoseconds(timestamp: Any, unit: str, expected: int) -> None:
    found = instant_ns(timestamp, TimestampUnit(unit))
    assert abs(found - expected) < 500
    assert isinstance(timestamp, float) or found == expected


@pytest.mark.parametrize(
    ("timestamp", "unit", "error", "text"),
    [
        (None, "ms", TypeError, "is a NoneType, not a number of ms"),
        (True, "ms", TypeError, "is a bool"),
        ("2026", "datetime", TypeError, "is a str, not a datetime"),
        (math.nan, "s", ValueError, "is nan"),
        (math.inf, "s", ValueError, "is inf"),
        (datetime(2026, 1, 1), "datetime", ValueError, "no time zone"),
        (1_767_268_800_000, "s", ValueError, "is its unit right"),
        (INSTANT_MAX, "ns", ValueError, "1824"),
    ],
)
def test_what_is_not_a_time_is_refused(
    timestamp: Any, unit: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        instant_ns(timestamp, TimestampUnit(unit))


@given(st.datetimes(datetime(1830, 1, 1), datetime(2110, 1, 1)))
def test_a_datetime_and_its_microseconds_are_the_same_time(naive: datetime) -> None:
    aware = naive.replace(tzinfo=UTC)
    microseconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    found = instant_ns(aware, TimestampUnit.DATETIME)
    assert found == instant_ns(microseconds, TimestampUnit.MICROSECONDS)
