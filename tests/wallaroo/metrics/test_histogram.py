"""Histograms: quantiles within their error, and merging as if all values were one lot."""

import math
from collections import Counter

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.metrics.histogram import RELATIVE_ERROR_MAX, Histogram, bins, merged, seconds

SHARES = [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0]
VALUES = st.lists(st.integers(0, 10**13), max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_all(values)
    return histogram


def true_quantile(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_merged_percentiles_are_those_of_the_joined_values(parts: list[list[int]]) -> None:
    together = merged(histogram_of(part) for part in parts)
    joined = [value for part in parts for value in part]
    assert together.to_wire() == histogram_of(joined).to_wire()
    if not joined:
        assert together.quantiles(SHARES) == [None] * len(SHARES)
        return
    for share, found in zip(SHARES, together.quantiles(SHARES), strict=True):
        truth = true_quantile(joined, share)
        assert found is not None
        assert abs(found - truth) <= truth * RELATIVE_ERROR_MAX


def test_a_mean_of_percentiles_would_be_another_number() -> None:
    busy, idle = histogram_of([1_000] * 99_000), histogram_of([1_000_000] * 1_000)
    assert merged([busy, idle]).quantile(0.5) == pytest.approx(1_000, rel=RELATIVE_ERROR_MAX)
    mean = ((busy.quantile(0.5) or 0) + (idle.quantile(0.5) or 0)) / 2
    assert mean > 500_000


@given(VALUES)
def test_the_wire_brings_back_the_same(values: list[int]) -> None:
    histogram = histogram_of(values)
    wire = msgpack.unpackb(msgpack.packb(histogram.to_wire()), strict_map_key=False)
    again = Histogram.from_wire(wire)
    assert again.to_wire() == histogram.to_wire()
    assert again.count == len(values)


@given(VALUES, st.lists(st.integers(0, 10**13), min_size=1, max_size=20).map(sorted))
def test_cumulative_counts_are_right_to_the_bucket(values: list[int], bounds: list[int]) -> None:
    counts = histogram_of(values).cumulative(bounds)
    assert counts == sorted(counts)
    for bound, count in zip(bounds, counts, strict=True):
        error = bound * 2 * RELATIVE_ERROR_MAX + 1
        assert sum(value <= bound - error for value in values) <= count
        assert count <= sum(value <= bound + error for value in values)


def test_weights_count_as_many_values() -> None:
    histogram = Histogram()
    histogram.record(10, 3)
    histogram.record(-5)
    assert (histogram.count, histogram.total, histogram.maximum) == (4, 30, 10)
    assert histogram.quantiles([0.25, 0.5, 1.0]) == [0, 10, 10]


def test_memory_is_bounded_by_the_range_and_not_by_the_values() -> None:
    histogram = Histogram()
    for power in range(50):
        for step in range(1000):
            histogram.record((1 << power) + step * max((1 << power) // 1000, 1))
    assert len(histogram.buckets) < 50 * 33 + 64


def test_people_are_shown_seconds_or_nothing() -> None:
    assert seconds(Histogram()) == {
        "p50": None, "p90": None, "p99": None, "p999": None, "max": None, "count": 0,
    }  # fmt: skip
    assert seconds(histogram_of([2 << 30]))["p99"] == pytest.approx(2.147, rel=RELATIVE_ERROR_MAX)


@pytest.mark.parametrize("wire", [None, [], [1, 2], [1, 2, [3]], ["x", 1, {}], [1, 2, {"a": 1}]])
def test_anything_else_is_not_a_histogram(wire: object) -> None:
    with pytest.raises(ValueError, match="not a histogram"):
        Histogram.from_wire(wire)


@given(VALUES)
def test_values_by_power_of_two_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert dict(histogram.by_power()) == Counter(value.bit_length() for value in values)


def test_bins_leave_none_out_between_the_first_and_the_last() -> None:
    assert bins(histogram_of([1000, 1023, 5000])) == [(1.024e-6, 2), (2.048e-6, 0), (4.096e-6, 0),
                                                      (8.192e-6, 1)]  # fmt: skip
    assert bins(Histogram()) == []
