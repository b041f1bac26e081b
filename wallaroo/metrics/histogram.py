"""Histograms with buckets that grow with the value: log-linear, like HDR histograms.

Each power of two is divided into 32 buckets of equal width, so the error of a quantile is at most
1.6 %, from nanoseconds to days. Empty buckets are not kept. Histograms are merged by adding, which
gives exactly the histogram of all their values; so percentiles of several workers, or of a longer
time, are those of the joined values, never means of percentiles.
"""

from collections.abc import Iterable
from typing import Any

SUB_BITS = 5
RELATIVE_ERROR_MAX = 1 / (2 << SUB_BITS)
"""A quantile is given as the middle of its bucket."""

_SUB_COUNT = 1 << SUB_BITS


class Histogram:
    """Counts of values by size; values are integers of any unit, and negative ones count as 0."""

    __slots__ = ("buckets", "count", "maximum", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.maximum = 0

    def record(self, value: int, weight: int = 1) -> None:
        """Add ``value``, ``weight`` times."""
        if value < 0:
            value = 0
        shift = value.bit_length() - SUB_BITS - 1
        bucket = value if shift <= 0 else (shift << SUB_BITS) + (value >> shift)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + weight
        self.count += weight
        self.total += value * weight
        if value > self.maximum:
            self.maximum = value

    def record_all(self, values: Iterable[int]) -> None:
        """Add each of these values once."""
        for value in values:
            self.record(value)

    def merge(self, other: "Histogram") -> None:
        """Add all values of ``other``."""
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def quantile(self, share: float) -> int | None:
        """Return the value that ``share`` of all values do not exceed; ``None`` if it is empty."""
        return self.quantiles([share])[0]

    def quantiles(self, shares: list[float]) -> list[int | None]:
        """Return the quantiles for ``shares``, which must ascend."""
        if not self.count:
            return [None] * len(shares)
        results: list[int | None] = []
        seen = 0
        for bucket, count in sorted(self.buckets.items()):
            seen += count
            while len(results) < len(shares) and seen >= shares[len(results)] * self.count:
                # The largest value is known exactly, so return it for its bucket.
                results.append(min(_middle(bucket), self.maximum))
        results += [self.maximum] * (len(shares) - len(results))
        return results

    def cumulative(self, bounds: Iterable[int]) -> list[int]:
        """Return how many values do not exceed each of the ascending ``bounds``, by bucket."""
        ordered = sorted(self.buckets.items())
        counts: list[int] = []
        position = seen = 0
        for bound in bounds:
            while position < len(ordered) and _middle(ordered[position][0]) <= bound:
                seen += ordered[position][1]
                position += 1
            counts.append(seen)
        return counts

    def by_power(self) -> list[tuple[int, int]]:
        """Return the count of values for each number of bits, exact and ascending: ``(bits,
        count)``.

        A value of ``bits`` bits is at least ``2 ** (bits - 1)`` and less than ``2 ** bits``.
        """
        counts: dict[int, int] = {}
        for bucket, count in self.buckets.items():
            shift = max((bucket >> SUB_BITS) - 1, 0)
            bits = shift + (bucket - (shift << SUB_BITS)).bit_length()
            counts[bits] = counts.get(bits, 0) + count
        return sorted(counts.items())

    def to_wire(self) -> list[Any]:
        """Return the histogram as values for msgpack."""
        return [self.total, self.maximum, self.buckets]

    @classmethod
    def from_wire(cls, wire: Any) -> "Histogram":
        """Return the histogram from ``to_wire``; ``ValueError`` for anything else."""
        try:
            total, maximum, buckets = wire
            histogram = cls()
            histogram.total, histogram.maximum = int(total), int(maximum)
            histogram.buckets = {int(bucket): int(count) for bucket, count in buckets.items()}
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is not a histogram: {error}") from error
        histogram.count = sum(histogram.buckets.values())
        return histogram


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return one histogram of all values of these."""
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


def seconds(histogram: Histogram) -> dict[str, float | int | None]:
    """Return the usual quantiles of a histogram of nanoseconds, in seconds."""
    values = histogram.quantiles([0.5, 0.9, 0.99, 0.999])
    shown = [None if value is None else value / 1e9 for value in values]
    maximum = histogram.maximum / 1e9 if histogram.count else None
    return {
        **dict(zip(("p50", "p90", "p99", "p999"), shown, strict=True)),
        "max": maximum,
        "count": histogram.count,
    }


def bins(histogram: Histogram) -> list[tuple[float, int]]:
    """Return ``(below_s, count)`` for each power of two of nanoseconds, without gaps.

    What is not below the bound before and is below ``below_s`` is counted.
    """
    counts = dict(histogram.by_power())
    powers = range(min(counts), max(counts) + 1) if counts else ()
    return [((1 << bits) / 1e9, counts.get(bits, 0)) for bits in powers]


def _middle(bucket: int) -> int:
    if bucket < 2 * _SUB_COUNT:
        return bucket
    shift = (bucket >> SUB_BITS) - 1
    first = (bucket - (shift << SUB_BITS)) << shift
    return first + (1 << shift) // 2
