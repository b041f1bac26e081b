"""Windows whatever fails: each result once, with exactly the records of its window."""

import itertools
from dataclasses import replace

import pytest

from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.seeds import run_case, shape_of
from tests.simulation.windowed_applications import APPLICATIONS, case
from wallaroo.operators import combining
from wallaroo.operators.combining import Combiner
from wallaroo.operators.pane_state import PaneState
from wallaroo.operators.saved_state import Progress
from wallaroo.operators.timed_states import TimedStates
from wallaroo.testing import SimulationResult
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.panes import Pane
from wallaroo.timing.source_times import SourceTimes

SEEDS = 80
SEEDS_A_TEST = 20
SEEDS_OF_A_BUG = range(100)


@pytest.fixture(autouse=True)
def few_keys_fire_at_a_time(monkeypatch: Patch) -> None:
    """Let barriers, crashes and resizes find windows that are half fired."""
    fire = TimedStates.fire_some
    monkeypatch.setattr(TimedStates, "fire_some", lambda self, count: fire(self, min(count, 2)))


@pytest.fixture(autouse=True)
def records_are_combined_now_and_then(monkeypatch: Patch) -> None:
    """Let accumulators travel in short runs with few records, too, and records again."""
    monkeypatch.setattr(combining, "RECORDS_MIN", 1)
    monkeypatch.setattr(combining, "TURNS_BETWEEN", 1)
    monkeypatch.setattr(combining, "WORTH", 0.95)
    monkeypatch.setattr(combining, "RECORDS_JUDGED", 30)


def run_seed(seed: int) -> SimulationResult:
    # What is lost with a disk is sent again behind later records, and is late then.
    faults = replace(shape_of(seed, APPLICATIONS), disks_lost=0, hosts_lost=0)
    return run_case(case(seed), seed, faults)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_window_fires_once_with_all_its_records(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed)


def without_keys_that_are_done(patch: Patch) -> None:
    """A half-fired window fires as a whole after a restore."""
    patch.setattr(PaneStore, "add_done", lambda *_: None)


def with_fired_as_the_clock(patch: Patch) -> None:
    """A share says that everything has fired up to its clock."""
    progress = property(lambda self: Progress(self._store.clock, self._store.clock))
    patch.setattr(PaneState, "progress", progress)


def without_the_rest_of_a_restore(patch: Patch) -> None:
    """Windows that a worker takes from shares of others are in none of its own."""
    patch.setattr(Pane, "mark_unsaved", lambda _: None)


def without_holding_sources(patch: Patch) -> None:
    """Watermarks move while journals are replayed."""
    patch.setattr(SourceTimes, "hold", lambda _: None)


def without_abandoned_layers(patch: Patch) -> None:
    """What an abandoned checkpoint should have written is in none."""
    patch.setattr(Pane, "put_back_unsaved", lambda *_: None)


def with_accumulators_behind_the_barrier(patch: Patch) -> None:
    """What was combined is sent at every other flush only, so a barrier may overtake it."""
    take, calls = Combiner.take, itertools.count()
    patch.setattr(Combiner, "take", lambda self: take(self) if next(calls) % 2 else iter(()))


@pytest.mark.parametrize(
    "bug",
    [
        without_keys_that_are_done,
        with_fired_as_the_clock,
        without_the_rest_of_a_restore,
        without_holding_sources,
        without_abandoned_layers,
        with_accumulators_behind_the_barrier,
    ],
)
def test_a_planted_bug_is_found(bug: Plant, monkeypatch: Patch) -> None:
    first_failure(bug, monkeypatch, SEEDS_OF_A_BUG, run_seed)
