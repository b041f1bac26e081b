"""Quantiles of a stream with a bound on their error, in little memory.

Values are counted in buckets whose bounds grow by a constant factor, so each value is known to a
relative error (Masson, Rim, Lee: DDSketch, VLDB 2019). Two sketches are merged by adding counts, so
it does not matter in which order, or in which parts, values arrive: unlike a t-digest, the result
is always the same, and its error has a bound.
"""

from collections.abc import Callable, Iterator
from math import ceil, exp, inf, log
from sys import float_info
from typing import Any, NamedTuple

LOG_MAX = log(float_info.max)
TINY = 1e-100
"""Values that are closer to zero count as zero."""


class Counted(NamedTuple):
    """How many values are in each bucket, by its number."""

    above: dict[int, int]
    """Values above zero."""
    below: dict[int, int]
    """Those below, by the bucket of their absolute value."""
    zeros: dict[int, int]
    """How many are zero, under the number 0."""


class Quantiles:
    """Keeps counts by bucket; shows the value at some quantiles, for each of them."""

    def __init__(self, extract: Callable[[Any], Any], at: tuple[float, ...], error: float) -> None:
        """What is shown differs from the value by at most ``error`` times the value."""
        self._extract = extract
        self._at = at
        factor = (1 + error) / (1 - error)
        self._log_factor = log(factor)
        self._log_middle = log(2 / (1 + factor))
        """Of the value whose distance to both bounds of a bucket is the error, by the upper one."""

    @staticmethod
    def initial() -> Counted:
        """Return the accumulator of no record."""
        return Counted({}, {}, {})

    def update(self, record: Any, held: Counted) -> None:
        """Add the value of a record."""
        value = float(self._extract(record))
        if not -inf < value < inf:
            raise ValueError(f"a quantile of {value} cannot be computed")
        size = abs(value)
        if size < TINY:
            counts, number = held.zeros, 0
        else:
            counts = held.above if value > 0 else held.below
            number = ceil(log(size) / self._log_factor)
        counts[number] = counts.get(number, 0) + 1

    @staticmethod
    def merged(one: Counted, other: Counted) -> Counted:
        """Return the counts of both."""
        return Counted(*map(_added, one, other))

    def value(self, held: Counted) -> dict[float, float]:
        """Return a value by quantile: of ``n`` sorted values, that with the index ``q * (n - 1)``,
        rounded down; nothing if there are no values."""
        total = sum(count for counts in held for count in counts.values())
        ranks = {at: int(at * (total - 1)) for at in self._at} if total else {}
        found: dict[float, float] = {}
        seen = 0
        for value, count in self._in_order(held):
            seen += count
            found |= {at: value for at, rank in ranks.items() if at not in found and rank < seen}
        return {at: found[at] for at in ranks}

    def _in_order(self, held: Counted) -> Iterator[tuple[float, int]]:
        for number in sorted(held.below, reverse=True):
            yield -self._of_bucket(number), held.below[number]
        for count in held.zeros.values():
            yield 0.0, count
        for number in sorted(held.above):
            yield self._of_bucket(number), held.above[number]

    def _of_bucket(self, number: int) -> float:
        return exp(min(number * self._log_factor + self._log_middle, LOG_MAX))


def _added(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    total = dict(one)
    for number, count in other.items():
        total[number] = total.get(number, 0) + count
    return total
