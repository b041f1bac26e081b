"""Rates and histograms of the last seconds."""

import pytest

from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.window import Rates, RecentHistogram


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rates = Rates(window_s=5.0)
    for second in range(20):
        rates.sample(float(second), {"a": 100 * second, "b": 0})
    assert rates.rate("a") == pytest.approx(100.0)
    assert rates.rate("b") == rates.rate("unknown") == 0.0
    for second in range(20, 30):
        rates.sample(float(second), {"a": 1900, "b": 0})
    assert rates.rate("a") == 0.0


def test_the_first_sample_says_where_to_begin() -> None:
    rates = Rates()
    assert rates.sample(0.0, {"a": 1000}) == {"a": 0.0}
    assert rates.rate("a") == 0.0
    assert rates.sample(1.0, {"a": 1010, "new": 5}) == {"a": 10, "new": 5}


def test_a_counter_that_begins_anew_gains_what_it_shows() -> None:
    rates = Rates()
    rates.sample(0.0, {"a": 1000})
    assert rates.sample(1.0, {"a": 30}) == {"a": 30}
    assert rates.sample(2.0, {"a": 40}) == {"a": 10}


def test_values_leave_the_histogram_with_age() -> None:
    recent = RecentHistogram(window_s=10.0)
    for second in range(20):
        histogram = Histogram()
        histogram.record(second)
        recent.add(float(second), histogram)
    assert recent.merged(19.0).count == 10
    assert recent.merged(25.0).quantile(0.0) == 16
    assert recent.merged(100.0).count == 0
