"""Keys that are deleted on request stay deleted, whatever crashes; and what the seeds find."""

from dataclasses import replace

import pytest

from tests.simulation.applications import case
from tests.simulation.planted import Patch, first_failure
from tests.simulation.seeds import FEW_CRASHES, run_case
from wallaroo.coordinator import deletion
from wallaroo.coordinator.run_requests import RequestedRun
from wallaroo.names import Epoch
from wallaroo.testing import SimulationResult

SEEDS = range(100)
SEEDS_A_TEST = 25


DELETIONS = replace(
    FEW_CRASHES,
    worker_crashes=8,
    crashes_together=3,
    disks_lost=0,
    deletions=20,
    drains=0,
)
"""Nobody goes back to an older checkpoint on purpose, and no sender sends a record again."""


def run_with_deletions(seed: int) -> SimulationResult:
    """Run a seed whose keys are deleted while workers crash."""
    return run_case(case(seed), seed, DELETIONS)


@pytest.mark.parametrize("first", range(0, 100, SEEDS_A_TEST))
def test_a_deleted_key_stays_deleted(first: int) -> None:
    count = 0
    for seed in range(first, first + SEEDS_A_TEST):
        count += run_with_deletions(seed).injected["  deleted"]
    assert count > SEEDS_A_TEST


def without_waiting_for_a_checkpoint(patch: Patch) -> None:
    """A deletion is answered before a checkpoint holds it."""

    async def at_once(run: RequestedRun, epoch: Epoch) -> None:
        return

    patch.setattr(deletion, "_saved", at_once)


def test_a_deletion_that_is_answered_too_early_is_found(monkeypatch: Patch) -> None:
    _, error = first_failure(
        without_waiting_for_a_checkpoint, monkeypatch, SEEDS, run_with_deletions
    )
    assert "and not 'nothing'" in str(error)
