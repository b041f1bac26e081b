"""A comparison stands between two equal baselines, and an unsteady one is repeated."""

from collections.abc import Callable

import pytest

from tests.bench.cluster_run import Measured
from tests.bench.rounds import REPEATS_MAX, Beside, Round, spread


def cpu_of(measured: Measured) -> float:
    return measured.cpu_s


def taking(*cpu_s: float) -> Callable[[], Measured]:
    """Return a measurement that takes as long as said, one time after another."""
    times = iter(cpu_s)
    return lambda: Measured(next(times), 1.0, 1)


def test_a_run_is_compared_with_the_mean_of_the_baselines_round_it() -> None:
    attempt = Beside(cpu_of).measure("bare", taking(1.0, 1.2), taking(2.2)).attempt
    assert attempt.ratio(cpu_of) == pytest.approx(2.0)


def test_an_unsteady_attempt_is_repeated_from_the_baseline_that_has_just_run() -> None:
    found = Beside(cpu_of).measure("bare", taking(1.0, 2.0, 2.0), taking(9.0, 4.0))
    assert found == Round(found.attempt, repeated_count=1, is_steady=True)
    assert found.attempt.ratio(cpu_of) == pytest.approx(2.0)


def test_the_steadiest_attempt_counts_when_none_was_steady() -> None:
    found = Beside(cpu_of).measure("bare", taking(1.0, 9.0, 3.0, 2.0), taking(1.0, 2.0, 5.0))
    assert (found.repeated_count, found.is_steady) == (REPEATS_MAX, False)
    assert found.attempt.ratio(cpu_of) == pytest.approx(2.0)


def test_neighbours_share_a_baseline_only_when_it_is_the_same() -> None:
    beside = Beside(cpu_of)
    beside.measure("one", taking(1.0, 1.0), taking(1.0))
    assert beside.measure("one", taking(1.1), taking(1.0)).attempt.before.cpu_s == 1.0
    assert beside.measure("other", taking(3.0, 3.0), taking(1.0)).attempt.before.cpu_s == 3.0


def test_the_spread_of_one_round_is_that_round() -> None:
    assert set(spread([3.0]).values()) == {3.0}


def test_the_spread_of_many_rounds_names_quartiles_and_extremes() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 50.0]) == {
        "median": 3.0, "quartile_low": 2.0, "quartile_high": 4.0, "min": 1.0, "max": 50.0,
    }  # fmt: skip
