"""Durations as applications write them."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

import wallaroo
from wallaroo.durations import duration_ns


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        (wallaroo.microseconds, timedelta(microseconds=1)),
        (wallaroo.milliseconds, timedelta(milliseconds=1)),
        (wallaroo.seconds, timedelta(seconds=1)),
        (wallaroo.minutes, timedelta(minutes=1)),
        (wallaroo.hours, timedelta(hours=1)),
        (wallaroo.days, timedelta(days=1)),
    ],
)
def test_both_forms_mean_the_same(unit: Callable[[float], int], length: timedelta) -> None:
    assert unit(3) == duration_ns("it", 3 * length)
    assert unit(1.5) == duration_ns("it", 1.5 * length) or unit is wallaroo.microseconds


def test_the_smallest_unit_is_a_nanosecond() -> None:
    assert wallaroo.nanoseconds(7) == 7
    assert wallaroo.microseconds(0.5) == 500


def test_a_long_duration_is_exact() -> None:
    assert wallaroo.days(36_500) == 36_500 * 86_400 * 10**9
    assert duration_ns("it", timedelta(days=36_500, microseconds=1)) % 10**6 == 1_000


@pytest.mark.parametrize("wrong", [0.5, "5 s", None, True])
def test_anything_else_is_refused_with_what_to_write(wrong: object) -> None:
    with pytest.raises(TypeError, match=re.escape("a duration is wallaroo.seconds(5)")):
        duration_ns("the time-out", wrong)


def test_a_duration_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="the pause is -1 s; give a duration of at least 0"):
        duration_ns("the pause", timedelta(seconds=-1))
    with pytest.raises(ValueError, match=re.escape("at least 0.001 s")):
        duration_ns("the pause", 5, minimum_ns=1_000_000)
