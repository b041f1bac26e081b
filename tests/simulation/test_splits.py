"""Sources that are read by partition: what the simulation finds, and what it is there to find."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.simulation import split_applications
from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.seeds import run_case, run_seed
from wallaroo.checkpoint import restorer
from wallaroo.checkpoint.split_positions import NEW, SplitKind, SplitPosition, to_share
from wallaroo.coordinator.cluster_state import given
from wallaroo.coordinator.events import Effect
from wallaroo.coordinator.resize import Resize, ResizeCoordinator
from wallaroo.coordinator.splits import SplitLedger, SplitShare
from wallaroo.ingest import split_sources
from wallaroo.names import WorkerName
from wallaroo.testing import NO_FAULTS

SEEDS = range(100)
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, 200, SEEDS_A_TEST))
def test_each_record_of_a_partition_is_processed_once(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed, with_logs=True)


@pytest.mark.parametrize("first", range(0, 100, SEEDS_A_TEST))
def test_without_checkpoints_partitions_move_with_the_members(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed, durable=False, with_logs=True)


@pytest.mark.parametrize("seed", range(6))
def test_without_faults_none_are_injected(seed: int) -> None:
    result = run_case(split_applications.case(seed), seed, NO_FAULTS)
    assert not result.injected


# Planted bugs


def with_new_partitions_at_the_latest(patch: Patch) -> None:
    """A partition that is found later starts where its source says, which is its end."""
    discovered = SplitLedger.discovered

    def initial(
        self: SplitLedger, pipeline: int, splits: Iterable[str], workers: Collection[WorkerName]
    ) -> list[SplitShare]:
        shares = discovered(self, pipeline, splits, workers)
        return [replace(share, kind=SplitKind.INITIAL) for share in shares]

    patch.setattr(SplitLedger, "discovered", initial)


def with_the_last_share_only(patch: Patch) -> None:
    """A restore has the positions of the last worker, and not of all."""

    def last(shares: Iterable[Mapping[int, Any]]) -> dict[int, Any]:
        sources: dict[int, Any] = {}
        for share in shares:
            sources.update(share)
        return sources

    patch.setattr(restorer, "merged", last)


def with_takers_before_the_commit(patch: Patch) -> None:
    """A worker reads the splits that are to move to it before it is certain that they move."""
    gather = ResizeCoordinator._gather

    def early(self: ResizeCoordinator, current: Resize) -> list[Effect]:
        effects, planned = gather(self, current), current.splits
        assert planned is not None
        moving: dict[int, dict[str, SplitPosition]] = {}
        for pipeline, _, splits in self._state.splits.moves_to(planned):
            moving.setdefault(pipeline, {}).update(dict.fromkeys(splits, NEW))
        positions = {pipeline: to_share(each) for pipeline, each in moving.items()}
        return [*effects, *given(self._state.epoch, planned.moved(positions, ()))]

    patch.setattr(ResizeCoordinator, "_gather", early)


def with_two_readers(patch: Patch) -> None:
    """A split that was found goes to two workers."""
    discovered = SplitLedger.discovered

    def twice(
        self: SplitLedger, pipeline: int, splits: Iterable[str], workers: Collection[WorkerName]
    ) -> list[SplitShare]:
        shares = discovered(self, pipeline, splits, workers)
        first, last = min(workers), max(workers)
        others = [replace(share, worker=last) for share in shares if share.worker == first != last]
        return [*shares, *others]

    patch.setattr(SplitLedger, "discovered", twice)


def without_positions_of_splits_that_are_not_named(patch: Patch) -> None:
    """A discovery that is late makes the cluster forget splits that it does not name."""
    discovered = SplitLedger.discovered

    def forgetful(
        self: SplitLedger, pipeline: int, splits: Iterable[str], workers: Collection[WorkerName]
    ) -> list[SplitShare]:
        named = {*splits}
        owners = self.owners[pipeline]
        for split in [split for split in owners if split not in named]:
            del owners[split]
        return discovered(self, pipeline, named, workers)

    patch.setattr(SplitLedger, "discovered", forgetful)
    patch.setattr(SplitLedger, "check", lambda *_: None)


def without_asking_where_a_run_goes_on(patch: Patch) -> None:
    """What has ended in one run stays ended in the next one."""
    patch.setattr(split_sources, "earlier", lambda position: position)


PLANTED = {
    with_new_partitions_at_the_latest: 0,
    with_the_last_share_only: 1,
    with_takers_before_the_commit: 5,
    with_two_readers: 24,
    without_positions_of_splits_that_are_not_named: 6,
    without_asking_where_a_run_goes_on: 1,
}
"""Each with a seed that showed it, so that the test need not run all that come before it."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_the_simulation_fails(plant: Plant, known: int, monkeypatch: Patch) -> None:
    assert known in SEEDS
    seed, error = first_failure(
        plant, monkeypatch, (known, *SEEDS), partial(run_seed, with_logs=True)
    )
    assert f"run it again: python -m tests.simulation --seed {seed} --logs" in str(error)
