"""Many simulated clusters, each with its own faults, all come to what a plain run comes to."""

import pytest

from tests.simulation.applications import case, in_any_order
from wallaroo.cluster import member
from wallaroo.cluster.inbox import Inbox
from wallaroo.testing import NO_FAULTS, SimulationError, SimulationResult, simulate
from wallaroo.testing.store import Objects

SEEDS = 300
AT_ONCE = 25
SEEDS_FOR_A_BUG = 100


def run(seed: int, objects: Objects | None = None) -> SimulationResult:
    chosen = case(seed)
    return simulate(
        chosen.plan,
        chosen.input,
        seed=seed,
        workers=chosen.workers,
        view_state=in_any_order,
        objects=objects,
    )


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_is_lost_or_counted_twice_whatever_fails(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        run(seed)


def test_without_faults_none_is_injected() -> None:
    chosen = case(1)
    result = simulate(
        chosen.plan, chosen.input, seed=1, workers=2, faults=NO_FAULTS, view_state=in_any_order
    )
    assert not +result.injected


def test_the_same_seed_is_the_same_run() -> None:
    one, other = run(7), run(7)
    assert (one.step_count, one.injected) == (other.step_count, other.injected)


# The simulation has to find what is planted.


def finds_a_bug(*, is_atomic: bool = True) -> bool:
    for seed in range(SEEDS_FOR_A_BUG):
        objects = Objects()
        objects.is_atomic = is_atomic
        try:
            run(seed, objects)
        except SimulationError:
            return True
    return False


def test_barriers_that_hold_nothing_back_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbox, "hold_back", lambda *_: None)
    assert finds_a_bug()


def test_journals_that_are_not_replayed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "journals_of", lambda *_: [])
    assert finds_a_bug()


def test_a_manifest_that_is_there_in_part_is_found() -> None:
    assert finds_a_bug(is_atomic=False)
