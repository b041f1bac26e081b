"""A stored checkpoint with splits, tombstones and results that no target has is restored.

A failure means that users lose what they have when they install this release.
"""

import importlib
import pickle
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints.formats import COUNTS, COUNTS_APPLICATION
from tests.checkpoints.test_stored import ME, newest_manifest, no_pause
from tests.cluster.harness import application_options, run_to_end
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.restorer import Restorer
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition, merged, split_values
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.operators.keyed_state import KeyedState
from wallaroo_workers.storage.store import open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run has left that was killed."""
    with tarfile.open(COUNTS) as tar:
        tar.extractall(tmp_path, filter="data")
    shutil.copy(COUNTS_APPLICATION, tmp_path)
    return tmp_path


@pytest.fixture
def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application, as the module that pickles of its states name."""
    monkeypatch.syspath_prepend(str(COUNTS_APPLICATION.parent))
    monkeypatch.chdir(folder)
    return importlib.import_module(COUNTS_APPLICATION.stem)


def expected(module: Any, ends: dict[str, int]) -> tuple[Counter[Any], dict[str, int]]:
    """Return all results and the counts at the end, if partitions are read up to these numbers."""
    counts: dict[str, int] = {}
    results: Counter[Any] = Counter()
    for first, partition in enumerate(("even", "odd")):
        for number in range(first, ends[partition], 2):
            key = f"{number % module.KEYS:02}"
            counts[key] = counts.get(key, 0) + 1
            results[key, counts[key]] += 1
            if module.deletes(number):
                del counts[key]
    return results, counts


def rows_in(folder: Path, kind: str) -> Counter[Any]:
    files = (folder / "target").glob(f"*.{kind}")
    return Counter(row for path in files for row in pickle.loads(path.read_bytes()))


async def restored(folder: Path, module: Any, manifest: Manifest) -> dict[Any, int]:
    plan = module.application_setup([COUNTS_APPLICATION.stem])
    states = {name: KeyedState() for name in plan.states}
    maps = {each.state: each for each in initial_maps(plan, (ME,))}
    store = open_store(str(folder / "checkpoints"))
    restorer = Restorer(ME, plan, states, maps, fresh_shapes(plan), store, no_pause)
    assert (await restorer.restore(manifest)).unreadable == []
    return {key: each.count for key, each in states["counts"].items()}


async def test_positions_states_and_deletions_of_the_stored_checkpoint_fit(
    folder: Path, module: Any
) -> None:
    manifest = await newest_manifest(folder)
    values = split_values(merged(share.sources for share in manifest.workers.values())[0]) or {}
    positions = {split: SplitPosition.from_wire(value) for split, value in values.items()}
    assert {each.kind for each in positions.values()} == {SplitKind.AT}
    ends = {}
    for split, position in positions.items():
        base, skip_count = position.position
        first = ("even", "odd").index(split)
        ends[split] = (first if base is None else base) + 2 * skip_count
        assert 0 < ends[split] < module.LIMIT, "it was killed in the middle"
    assert await restored(folder, module, manifest) == expected(module, ends)[1]


async def test_the_stored_checkpoint_has_what_it_is_there_for(folder: Path, module: Any) -> None:
    manifest = await newest_manifest(folder)
    shares = manifest.workers.values()
    assert all(share.outbox for share in shares)
    assert all(share.prepared for share in shares)
    parts = [part for share in shares for part in share.parts]
    store = folder / "checkpoints"
    chunks = [
        chunk
        for part in parts
        for chunk in read_part((store / part.name).read_bytes(), part, part.name)
    ]
    assert any(state is None for chunk in chunks for state in chunk.states()), "a tombstone"
    written = sum(rows_in(folder, "batch").values())
    assert sum(rows_in(folder, "part").values()) <= written
    waiting = sum(batch.record_count for batch in manifest.outbox())
    assert 0 < waiting < module.LIMIT - written


@pytest.mark.cluster
async def test_a_run_goes_on_from_the_stored_checkpoint(folder: Path, module: Any) -> None:
    options = ["--resilience-dir", "checkpoints", "--workers", "2"]
    ended = run_to_end(folder, *application_options(COUNTS_APPLICATION.stem), *options)
    assert ended.returncode == 0, ended.stderr
    results, counts = expected(module, dict.fromkeys(("even", "odd"), module.LIMIT))
    assert rows_in(folder, "batch") == results
    assert rows_in(folder, "part") == results
    manifest = await newest_manifest(folder)
    assert await restored(folder, module, manifest) == counts
