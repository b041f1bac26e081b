"""Whether a source falls behind, from lags that go up and down all the time."""

from collections.abc import Callable

from wallaroo.metrics.lag_trend import LagTrend


def is_rising(lag_at: Callable[[int], int], seconds: int = 90) -> bool:
    """Return the judgement after so many seconds with a lag each."""
    trend = LagTrend()
    for now_s in range(seconds):
        trend.add(float(now_s), lag_at(now_s))
    return trend.is_rising


def test_a_lag_that_goes_up_for_a_minute_rises() -> None:
    assert is_rising(lambda now_s: now_s * 100)
    assert not is_rising(lambda now_s: now_s * 100, seconds=59)


def test_a_lag_may_go_down_between_two_looks_at_the_end() -> None:
    assert is_rising(lambda now_s: now_s * 100 - now_s % 5 * 300)


def test_a_lag_that_stays_or_goes_down_does_not_rise() -> None:
    assert not is_rising(lambda _: 1_000_000)
    assert not is_rising(lambda now_s: 1_000_000 - now_s)
    assert not is_rising(lambda now_s: min(now_s, 40) * 100)


def test_a_source_that_catches_up_now_and_then_does_not_fall_behind() -> None:
    assert not is_rising(lambda now_s: now_s % 30 * 1000)


def test_the_lag_is_the_latest_one() -> None:
    trend = LagTrend()
    trend.add(0.0, 7)
    trend.add(1.0, 5)
    assert trend.lag == 5
