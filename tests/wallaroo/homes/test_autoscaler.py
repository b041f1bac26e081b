"""When a cluster gets one worker more or less."""

import itertools

import pytest

from wallaroo.homes.autoscaler import GROW_AFTER_S, SHRINK_AFTER_S, Autoscaler

STEP_S = 5.0


def first_change(
    scaler: Autoscaler, share: float, count: int, seconds: float
) -> tuple[float, int] | None:
    """Return when and how the number of workers changes first at this load."""
    now_s = 0.0
    while now_s <= seconds:
        if change := scaler.sample(now_s, [share] * count):
            return now_s, change
        now_s += STEP_S
    return None


def test_a_busy_minute_adds_a_worker() -> None:
    assert first_change(Autoscaler(1, 4), 0.9, 2, 1000) == (GROW_AFTER_S, 1)


def test_a_short_peak_adds_none() -> None:
    scaler = Autoscaler(1, 4)
    shares = [1.0] * 4 + [0.5] * 20
    assert [scaler.sample(at * STEP_S, [share]) for at, share in enumerate(shares)] == [0] * 24


def test_ten_quiet_minutes_remove_a_worker() -> None:
    assert first_change(Autoscaler(1, 4), 0.1, 2, 1000) == (SHRINK_AFTER_S, -1)


def test_one_busy_sample_within_the_quiet_minutes_keeps_the_worker() -> None:
    scaler = Autoscaler(1, 4)
    for at in range(int(SHRINK_AFTER_S / STEP_S) + 20):
        assert scaler.sample(at * STEP_S, [0.5 if at == 100 else 0.1] * 2) == 0


@pytest.mark.parametrize(("share", "count"), [(0.9, 4), (0.1, 2), (0.5, 3)])
def test_the_limits_hold(share: float, count: int) -> None:
    assert first_change(Autoscaler(2, 4), share, count, 2000) is None


@pytest.mark.parametrize(("count", "change"), [(1, 1), (5, -1)])
def test_a_number_outside_the_limits_is_corrected_without_waiting(count: int, change: int) -> None:
    assert Autoscaler(2, 4).sample(0.0, [0.5] * count) == change


def test_after_a_change_shares_are_measured_anew() -> None:
    scaler = Autoscaler(1, 8)
    grown = [at for at in range(100) if scaler.sample(at * STEP_S, [0.9] * 2) == 1]
    gaps_s = [(later - earlier) * STEP_S for earlier, later in itertools.pairwise(grown)]
    assert len(gaps_s) > 1
    assert min(gaps_s) > GROW_AFTER_S


def test_workers_that_have_not_reported_change_nothing() -> None:
    assert Autoscaler(1, 4).sample(0.0, []) == 0
