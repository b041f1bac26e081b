"""Merges, splits, shared sinks and states of one key, while anything fails and members change."""

import pytest

from tests.simulation.graphs import run_graph
from tests.simulation.planted import Patch, Plant, first_failure
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.testing import SimulationError
from wallaroo.worker.barrier_alignment import Aligned, Aligner, Effect

SEEDS = 100
SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_record_goes_each_of_its_ways_once(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_graph(seed)


@pytest.mark.parametrize("first", range(0, 50, SEEDS_A_TEST))
def test_without_checkpoints_nothing_is_lost_when_members_change(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_graph(seed, durable=False)


def with_the_first_feed(patch: Patch) -> None:
    """A barrier sets out for a merge when it is through one of the pipelines that feed it."""

    def passed(self: Aligner, pipeline: int, position: int) -> list[Effect]:
        effects: list[Effect] = []
        if position == len(self._edges[pipeline]):
            for inner, feeds in self._fed_by.items():
                if inner in self._waiting and pipeline in feeds:
                    self._waiting.remove(inner)
                    effects += passes(self, inner, 0)
        return effects + [
            each
            for each in passes(self, pipeline, position)
            if not (isinstance(each, Aligned) and self._unflushed)
        ]

    passes = Aligner._passed
    patch.setattr(Aligner, "_passed", passed)
    patch.setattr(Aligner, "check", lambda self: None)


def with_partitions_of_each_state(patch: Patch) -> None:
    """States behind one key are balanced each by itself, so a key may be on two workers."""
    patch.setattr(PartitionMap, "space", property(lambda self: self.state))


PLANTED = {
    with_the_first_feed: 0,
    with_partitions_of_each_state: 23,
}
"""Each with a seed that showed it."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_a_planted_bug_is_found(plant: Plant, known: int, monkeypatch: Patch) -> None:
    errors = (SimulationError, AssertionError)
    first_failure(plant, monkeypatch, (known, *range(SEEDS)), run_graph, errors)
