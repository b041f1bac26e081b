"""Durations: how applications write them, and how the engine reads them.

A duration is a ``datetime.timedelta``, or an integer number of nanoseconds, as ``seconds(5)`` and
its like return it. A parameter whose name ends in ``_s`` is different: it takes seconds as a
number.
"""

from datetime import timedelta
from fractions import Fraction
from typing import TypeAlias

Duration: TypeAlias = int | timedelta

_MICROSECOND = timedelta(microseconds=1)
_UNITS = (
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
)


def nanoseconds(count: int) -> int:
    """Return a duration of so many nanoseconds."""
    return count


def microseconds(count: float) -> int:
    """Return a duration of so many microseconds."""
    return _times(count, 1_000)


def milliseconds(count: float) -> int:
    """Return a duration of so many milliseconds."""
    return _times(count, 1_000_000)


def seconds(count: float) -> int:
    """Return a duration of so many seconds.

    >>> seconds(1.5)
    1500000000
    """
    return _times(count, 1_000_000_000)


def minutes(count: float) -> int:
    """Return a duration of so many minutes."""
    return _times(count, 60_000_000_000)


def hours(count: float) -> int:
    """Return a duration of so many hours."""
    return _times(count, 3_600_000_000_000)


def days(count: float) -> int:
    """Return a duration of so many days of 24 hours."""
    return _times(count, 86_400_000_000_000)


def duration_ns(what: str, duration: object, *, minimum_ns: int = 0) -> int:
    """Return a duration that the user gave as ``what``, in nanoseconds.

    Raises ``TypeError`` or ``ValueError`` with a sentence that says what to write instead. A float
    is refused, since 0.5 nanoseconds are never meant.
    """
    if isinstance(duration, timedelta):
        length_ns = duration // _MICROSECOND * 1_000
    elif isinstance(duration, int) and not isinstance(duration, bool):
        length_ns = duration
    else:
        raise TypeError(
            f"{what} is of type {type(duration).__name__}; a duration is wallaroo.seconds(5) or "
            "datetime.timedelta(seconds=5)"
        )
    if length_ns < minimum_ns:
        least = f"{minimum_ns / 1e9:g} s" if minimum_ns else "0"
        raise ValueError(f"{what} is {length_ns / 1e9:g} s; give a duration of at least {least}")
    return length_ns


def duration_text(length_ns: int) -> str:
    """Return a duration exactly, in the largest unit that has no fraction: ``90 s``."""
    for unit, unit_ns in _UNITS:
        if length_ns % unit_ns == 0:
            return f"{length_ns // unit_ns} {unit}"
    return f"{length_ns} ns"


def _times(count: float, unit_ns: int) -> int:
    """Return ``count`` units, rounded to a nanosecond; a product of floats would be off by some."""
    return round(Fraction(count) * unit_ns)
