"""A fixed number of seeds; ``make simulate SEEDS=n`` runs as many as one likes."""

import subprocess
import sys

import pytest

from tests.simulation.applications import case, in_any_order
from tests.simulation.seeds import run_seed
from wallaroo.testing import NO_FAULTS, simulate

SEEDS = 300
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_fails_nothing_is_lost_and_nothing_applied_twice(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed)


@pytest.mark.parametrize("first", range(0, 200, SEEDS_A_TEST))
def test_without_checkpoints_nothing_is_lost_when_members_change(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed, durable=False)


@pytest.mark.parametrize("seed", range(8))
def test_without_faults_none_are_injected(seed: int) -> None:
    chosen = case(seed)
    result = simulate(
        chosen.plan,
        chosen.input,
        seed=seed,
        workers=chosen.workers,
        faults=NO_FAULTS,
        view_state=in_any_order,
    )
    assert not result.injected


@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_gives_the_same_run_in_every_process(seed: int) -> None:
    result = run_seed(seed)
    program = f"from tests.simulation.seeds import run_seed; print(run_seed({seed}).fingerprint)"
    for hash_seed in ("1", "2"):
        told = subprocess.check_output(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            text=True,
        )
        assert int(told) == result.fingerprint
