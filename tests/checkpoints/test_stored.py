"""A checkpoint that an earlier release wrote is restored, journals and output included.

A failure means that users lose what they have when they install this release.
"""

import importlib
import shutil
import socket
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checkpoints.formats import (
    APPLICATION,
    FORMATS,
    LINES,
    SENT,
    STORED,
    Format,
    Totals,
    expected_totals,
)
from tests.cluster.harness import framed, running, wait_processed
from wallaroo.checkpoint.journal import replay_position
from wallaroo.checkpoint.manifest import Manifest, SinkShare, WorkerCheckpoint
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.restorer import Restorer
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.share_writer import Limits, ShareWriter, SourcePositions
from wallaroo.codec.framing import LengthFramer
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application
from wallaroo_workers.storage.journal_files import JournalReader, list_journals
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

ME = WorkerName("alone")
SENT_NOW = [b"s3 1000001", b"new 1000002"]

each_format = pytest.mark.parametrize("stored", FORMATS, ids=lambda each: each.name)


@pytest.fixture
def folder(stored: Format, tmp_path: Path) -> Path:
    """What a run of an earlier release has left."""
    with tarfile.open(stored.archive) as tar:
        tar.extractall(tmp_path, filter="data")
    shutil.copy(APPLICATION, tmp_path)
    (tmp_path / "lines.txt").write_bytes(b"\n".join(LINES) + b"\n")
    return tmp_path


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Application:
    """The application, as the module that pickles of its states name."""
    monkeypatch.syspath_prepend(str(APPLICATION.parent))
    module = importlib.import_module(APPLICATION.stem)
    built: Application = module.application_setup([APPLICATION.stem, "--in", "127.0.0.1:1"])
    return built


async def no_pause(_: float) -> None: ...


async def newest_manifest(folder: Path) -> Manifest:
    manifest = await ManifestLog(open_store(str(folder / "checkpoints"))).latest()
    assert manifest is not None
    return manifest


async def restored(folder: Path, plan: Application, manifest: Manifest) -> Totals:
    """Return the states of a checkpoint, as one worker that owns all keys restores them."""

    states = {name: KeyedState() for name in plan.states}
    maps = {each.state: each for each in initial_maps(plan, (ME,))}
    store = open_store(str(folder / "checkpoints"))
    restorer = Restorer(ME, plan, states, maps, fresh_shapes(plan), store, no_pause)
    found = await restorer.restore(manifest)
    assert found.unreadable == []
    return {
        name: {key: (each.count, each.sum, each.squares) for key, each in values.items()}
        for name, values in states.items()
    }


def replayed(folder: Path, manifest: Manifest) -> Iterator[bytes]:
    """Yield the payloads in journals that the checkpoint does not hold."""
    journals = folder / "checkpoints" / "journals"
    for journal in list_journals(journals):
        position = replay_position(journal.name, manifest.journal_positions())
        if position is not None:
            for entry in JournalReader(journals, position):
                payloads = LengthFramer(4, ">I", 1 << 10).receive_data(entry.frames)
                yield from [*payloads][entry.skip :]


def only(letter: str, totals: Totals) -> dict[str, tuple[int, int, int]]:
    return {str(key): each for key, each in totals["by key"].items() if str(key)[0] == letter}


@each_format
async def test_states_and_journals_of_an_earlier_format_hold_all_that_was_accepted(
    folder: Path, plan: Application
) -> None:
    manifest = await newest_manifest(folder)
    totals = await restored(folder, plan, manifest)
    rest = [*replayed(folder, manifest)]
    assert rest, "the stored run was killed with records that no checkpoint holds"
    assert totals["by remainder"].keys() == {("r", number) for number in range(5)}
    found = only("s", totals)
    for payload in rest:
        key, number = payload.decode().split()
        count, total, squares = found.get(key, (0, 0, 0))
        found[key] = (count + 1, total + int(number), squares + int(number) ** 2)
    assert found == only("s", expected_totals([]))


class Shares:
    """Keeps what one worker saves."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.saved: list[WorkerCheckpoint] = []

    def part_written(self, name: str, data: bytes) -> None:
        self.parts[name] = data

    def share_saved(self, content: WorkerCheckpoint) -> None:
        self.saved.append(content)

    def share_failed(self, error: WallarooError) -> None:
        raise error


@each_format
async def test_keys_of_an_earlier_format_stay_deleted_in_the_next_checkpoint(
    folder: Path, plan: Application
) -> None:
    manifest = await newest_manifest(folder)
    before = await restored(folder, plan, manifest)
    me = min(manifest.workers)
    maps = {each.state: each for each in map(PartitionMap.from_wire, manifest.partition_maps)}
    flow = Dataflow(plan, WorkerName(me), DataflowOptions(tracks_changes=True))
    flow.bind((WorkerName(me),), maps)
    store = open_store(str(folder / "checkpoints"))
    restorer = Restorer(
        WorkerName(me),
        plan,
        flow.states,
        maps,
        manifest.shapes or fresh_shapes(plan),
        store,
        no_pause,
    )
    found = await restorer.restore(manifest)
    shares = Shares()
    saving = ShareWriter(
        WorkerName(me), Epoch(99), flow, lambda: 0.0, Limits(), StatePickler(), shares
    )
    if found.parts is None:
        saving.mark_all_changed()
    else:
        saving.restored(found.parts, found.gave_at, found.took)
    deleted = [*flow.states["by key"]][::2]
    assert deleted
    for key in deleted:
        flow.states["by key"].delete(key)
    checkpoint = CheckpointId(manifest.last_barrier() + 1)
    saving.freeze(checkpoint, SourcePositions([], {}))
    while saving.write_slice():
        pass
    for name, data in shares.parts.items():
        await store.create(name, data)
        saving.part_stored(name, None)
    saving.output_settled(checkpoint, SinkShare())
    (share,) = shares.saved
    after = await restored(folder, plan, replace(manifest, workers={**manifest.workers, me: share}))
    assert after["by remainder"] == before["by remainder"]
    assert after["by key"] == {
        key: total for key, total in before["by key"].items() if key not in deleted
    }


@pytest.mark.cluster
@each_format
async def test_a_run_goes_on_from_a_checkpoint_of_an_earlier_format(
    folder: Path, plan: Application
) -> None:
    options = ["--resilience-dir", "checkpoints", "--in", "127.0.0.1:0"]
    with running(folder, APPLICATION.stem, *options) as cluster:
        cluster.wait_ready()
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as connection:
            connection.sendall(framed(*SENT_NOW))
            wait_processed(connection)
        cluster.wait_event("source.finished")
        assert cluster.stop() == 0
    manifest = await newest_manifest(folder)
    assert [*replayed(folder, manifest)] == []
    assert await restored(folder, plan, manifest) == expected_totals(SENT_NOW)
    for name, payloads in (("read.txt", LINES), ("sent.txt", [*SENT, *SENT_NOW])):
        found = Counter((folder / name).read_bytes().splitlines())
        assert found == Counter(payloads), f"{name} has other results than were expected"


async def test_some_stored_checkpoint_has_copies_of_keys_that_changed_while_it_was_taken(
    tmp_path: Path,
) -> None:
    """Such copies are pickled one by one, and the pickles of a chunk then name ``pickle.loads``."""
    assert any([await has_copies(stored, tmp_path / stored.name) for stored in FORMATS])


async def has_copies(stored: Format, folder: Path) -> bool:
    with tarfile.open(stored.archive) as tar:
        tar.extractall(folder, filter="data")
    manifest = await newest_manifest(folder)
    for share in manifest.workers.values():
        for part in share.parts:
            path = folder / "checkpoints" / part.name
            if any(b"loads" in chunk._states for chunk in read_part(path.read_bytes(), part, "")):
                return True
    return False


def test_every_stored_checkpoint_is_of_a_format_that_is_listed() -> None:
    assert {path.name for path in STORED.iterdir()} == {each.archive.name for each in FORMATS}
