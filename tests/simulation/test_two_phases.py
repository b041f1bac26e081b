"""Targets of sinks of two phases, under all faults, and the bugs that the simulation finds."""

from dataclasses import replace

import pytest

from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.two_phases import run_two_phases, two_phases
from wallaroo.checkpoint import prepared
from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.manifest import Prepared
from wallaroo.names import NO_BARRIER, CheckpointId
from wallaroo.testing import NO_FAULTS, simulate
from wallaroo.testing.prepared_targets import PreparedTargets
from wallaroo.worker.two_phases import TwoPhases

SEEDS = 100
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_fails_each_result_is_committed_once_and_nothing_is_left(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_two_phases(seed)


def test_without_faults_targets_have_what_a_plain_run_gives() -> None:
    input = {"first": [[b"1:1", b"2:2", b"1:3"]], "second": [[b"4:4"]]}
    result = simulate(two_phases(), input, seed=1, faults=NO_FAULTS)
    assert sorted(result.output[0]) == ["1:1\n", "1:3\n", "2:2\n"]
    assert sorted(result.output[1]) == [(1, 1), (1, 3), (2, 2)]
    assert result.output[3] == ["4:4\n"]


def with_commits_before_the_manifest(patch: Patch) -> None:
    """What is prepared is committed as soon as the share of its worker is complete."""
    uncommitted = TwoPhases.uncommitted

    def commit(self: TwoPhases, barrier: CheckpointId) -> list[Prepared]:
        listed = uncommitted(self, barrier)
        self.committed(barrier)
        return listed

    patch.setattr(TwoPhases, "uncommitted", commit)


def without_commits_of_a_recovery(patch: Patch) -> None:
    """What a manifest names is not committed by the process that follows a lost one."""
    patch.setattr(prepared, "_is_mine", lambda *_: False)


def without_aborts(patch: Patch) -> None:
    """What is prepared and in no manifest stays in the target."""
    listed = TwoPhases._listed
    patch.setattr(TwoPhases, "_listed", lambda self, _: listed(self, []))


def without_exclusion(patch: Patch) -> None:
    """A write of a process that is gone counts for the one that follows."""

    def write(self: PreparedTargets, slot: str, _: int, rows: list[object]) -> bool:
        self._slots[slot].written += rows
        return True

    patch.setattr(PreparedTargets, "write", write)


def without_successors_of_prepared_work(patch: Patch) -> None:
    """What a worker that left has prepared is in no checkpoint."""
    from_wire = Departure.from_wire
    patch.setattr(Departure, "from_wire", lambda value: replace(from_wire(value), prepared=[]))


def with_all_rows_of_a_cut(patch: Patch) -> None:
    """A checkpoint that failed keeps its tokens, and the next one does not list them."""
    uncommitted = TwoPhases.uncommitted

    def of_this_cut(self: TwoPhases, barrier: CheckpointId) -> object:
        return [each for each in uncommitted(self, barrier) if each.cut in (NO_BARRIER, barrier)]

    patch.setattr(TwoPhases, "uncommitted", of_this_cut)


PLANTED: dict[Plant, int] = {
    with_commits_before_the_manifest: 0,
    without_commits_of_a_recovery: 27,
    without_aborts: 0,
    without_exclusion: 27,
    without_successors_of_prepared_work: 3,
    with_all_rows_of_a_cut: 1,
}
"""Each with a seed that showed it, so that the test need not run all that come before it."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_the_simulation_fails(plant: Plant, known: int, monkeypatch: Patch) -> None:
    assert known < SEEDS
    first_failure(plant, monkeypatch, (known, *range(SEEDS)), run_two_phases)
