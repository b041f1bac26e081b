"""Targets of sinks that are exactly once, under all faults."""

import pytest

from tests.simulation.once import once, run_once
from wallaroo.testing import NO_FAULTS, simulate

SEEDS = 100
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_fails_targets_have_each_result_once_and_in_order(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_once(seed)


def test_without_faults_targets_have_what_a_plain_run_gives() -> None:
    input = {"first": [[b"1:1", b"2:2", b"1:3"]], "second": [[b"4:4"]]}
    result = simulate(once(), input, seed=1, faults=NO_FAULTS)
    assert sorted(result.output[0]) == ["1:1\n", "1:3\n", "2:2\n"]
    assert sorted(result.output[1]) == [(1, 1), (1, 3), (2, 2)]
    assert result.output[3] == ["4:4\n"]
    assert not result.injected
