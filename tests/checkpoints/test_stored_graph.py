"""A stored checkpoint of a graph, in which records wait for answers, is restored.

A failure means that users lose what they have when they install this release.
"""

import importlib
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints.formats import GRAPH, GRAPH_APPLICATION, HELD_STATES
from tests.checkpoints.test_stored import ME, newest_manifest, no_pause
from tests.cluster.harness import running
from wallaroo.checkpoint.restorer import Restorer
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.operators.keyed_state import KeyedState
from wallaroo_workers.storage.store import open_store

States = dict[str, dict[Any, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run has left that was killed."""
    with tarfile.open(GRAPH) as tar:
        tar.extractall(tmp_path, filter="data")
    shutil.copy(GRAPH_APPLICATION, tmp_path)
    return tmp_path


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application, as the module that pickles of its states name."""
    monkeypatch.syspath_prepend(str(GRAPH_APPLICATION.parent))
    return importlib.import_module(GRAPH_APPLICATION.stem)


async def restored(folder: Path, module: Any) -> States:
    """Return the states of the newest checkpoint, by name and key."""
    plan = module.application_setup([GRAPH_APPLICATION.stem])
    states = {name: KeyedState() for name in plan.states}
    maps = {each.state: each for each in initial_maps(plan, (ME,))}
    store = open_store(str(folder / "checkpoints"))
    restorer = Restorer(ME, plan, states, maps, fresh_shapes(plan), store, no_pause)
    assert (await restorer.restore(await newest_manifest(folder))).unreadable == []
    return {name: dict(values) for name, values in states.items()}


def waiting(states: States, state: str) -> list[int]:
    return [held.record[1] for records in states[state].values() for held in records]


def totals(module: Any, numbers: list[int]) -> dict[str, tuple[int, int]]:
    expected: dict[str, tuple[int, int]] = {}
    for number in numbers:
        key = module.key_of((module.even if module.is_even(number) else module.odd)(number))
        count, total = expected.get(key, (0, 0))
        expected[key] = count + 1, total + number
    return expected


async def test_what_waits_in_the_stored_checkpoint_is_what_the_steps_behind_do_not_have(
    folder: Path, module: Any
) -> None:
    states = await restored(folder, module)
    first, second = (waiting(states, state) for state in HELD_STATES)
    seen = sum(each.count for each in states["seen"].values())
    assert sorted(first) == [*range(module.FIRST_UNANSWERED, seen)]
    asked = [*range(module.FIRST_UNANSWERED)]
    unanswered = {number % module.KEYS: number for number in reversed(asked) if not number % 10}
    # Those behind an unanswered one of their key wait as well.
    behind = [n for n in asked if n >= unanswered.get(n % module.KEYS, module.FIRST_UNANSWERED)]
    assert sorted(second) == behind
    found = {key: (each.count, each.sum) for key, each in states["total"].items()}
    assert found == totals(module, asked)


@pytest.mark.cluster
async def test_a_run_asks_again_and_goes_on_from_the_stored_checkpoint(
    folder: Path, module: Any
) -> None:
    options = ["--resilience-dir", "checkpoints", "--workers", "3"]
    with running(folder, GRAPH_APPLICATION.stem, *options) as cluster:
        cluster.wait_event("source.finished")
        assert cluster.stop() == 0
    numbers = [*range(module.COUNT)]
    lines = (folder / "answered.txt").read_text().splitlines()
    assert Counter(lines) == Counter(f"{'odd' if n % 2 else 'even'} {n}" for n in numbers)
    states = await restored(folder, module)
    assert [*map(len, (states[state] for state in HELD_STATES))] == [0, 0]
    found = {key: (each.count, each.sum) for key, each in states["total"].items()}
    assert found == totals(module, numbers)
    assert sum(each.sum for each in states["seen"].values()) == sum(numbers)
