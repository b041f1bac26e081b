"""Records that wait at steps, whatever fails: each counts once, and none is lost."""

from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.seeds import run_case, shape_of
from tests.simulation.waiting_applications import APPLICATIONS, case
from wallaroo.runtime import stations
from wallaroo.runtime.calls import outcome_of_timeout
from wallaroo.runtime.station import Station
from wallaroo.runtime.stations import Stations
from wallaroo.testing import SimulationResult

SEEDS = 120
SEEDS_A_TEST = 20
SEEDS_OF_A_BUG = range(100)


def run_seed(seed: int, *, durable: bool = True) -> SimulationResult:
    faults = replace(shape_of(seed, APPLICATIONS), failed_calls=20, late_answers=20)
    return run_case(case(seed), seed, faults, durable=durable)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_record_that_waits_counts_once(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed)


@pytest.mark.parametrize("first", range(0, 40, SEEDS_A_TEST))
def test_without_checkpoints_nothing_is_lost_when_members_change(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed, durable=False)


def without_saving(patch: Patch) -> None:
    """A checkpoint does not hold what waits."""
    patch.setattr(Stations, "save", lambda _: None)


def without_restoring(patch: Patch) -> None:
    """A checkpoint holds what waits, and nobody asks again."""
    patch.setattr(Stations, "restore", lambda _: None)


def without_holding(patch: Patch) -> None:
    """Results leave while a barrier is on its way."""
    patch.setattr(Stations, "hold", lambda _: None)


def without_forgetting(patch: Patch) -> None:
    """A checkpoint goes on to hold what has left."""

    def only_add(state: Any, found: dict[Any, Any]) -> None:
        for key, records in found.items():
            state.replace(key, records)

    patch.setattr(stations, "_update", only_add)


def without_a_last_wait(patch: Patch) -> None:
    """The last barrier does not wait until a station is empty."""
    passes = Stations.pass_barrier

    def at_once(self: Stations, step: Any, *, is_last: bool, then: Any) -> None:
        passes(self, step, is_last=False, then=then)

    patch.setattr(Stations, "pass_barrier", at_once)


def without_owners(patch: Patch) -> None:
    """Records are held by keys that may belong to another worker."""
    patch.setattr(Stations, "_slots", lambda self, _: (f"slot {n}" for n in range(1000)))


def with_late_answers(patch: Patch) -> None:
    """A call that has timed out is still known: its answer is a second outcome."""

    def time_out(self: Station, ticket: int) -> None:
        if call := self._in_flight.get(ticket):
            for held in call.held:
                self._decide(held, outcome_of_timeout(self._how, held.record))

    patch.setattr(Station, "_time_out", time_out)


def with_retries_after_the_timeout(patch: Patch) -> None:
    """A call that takes too long is one that has failed, and is made again."""

    def time_out(self: Station, ticket: int) -> None:
        if (call := self._in_flight.get(ticket)) and call.is_running:
            call.cancel()
            call.end()
            call.deadline_s = None
            self._raised(ticket, call, TimeoutError(), self._clock())

    patch.setattr(Station, "_time_out", time_out)


@pytest.mark.parametrize(
    "bug",
    [
        without_saving,
        without_restoring,
        without_holding,
        without_forgetting,
        without_a_last_wait,
        without_owners,
        with_late_answers,
        with_retries_after_the_timeout,
    ],
    ids=lambda bug: bug.__name__,
)
def test_a_planted_bug_is_found(bug: Plant, monkeypatch: Patch) -> None:
    first_failure(bug, monkeypatch, SEEDS_OF_A_BUG, run_seed)
