"""The row of manifests: one writer wins, losers learn it, nothing older is used silently."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wallaroo.checkpoint.manifest import (
    Manifest,
    PartRef,
    WorkerCheckpoint,
    encode_manifest,
    manifest_name,
    part_name,
)
from wallaroo.errors import AlreadyExistsError, DamagedFileError, FencedError, StoreError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import Store, open_store


def manifest(number: int, epoch: int = 1, *, parts: int = 0) -> Manifest:
    names = [part_name(number - age, "w1", 1, 0, 0) for age in range(parts)]
    refs = [PartRef(name, CheckpointId(number), 0, 4, 1) for name in names]
    share = WorkerCheckpoint(WorkerName("w1"), refs, [], {}, [], {})
    return Manifest(
        number=CheckpointId(number),
        epoch=Epoch(epoch),
        is_claim=False,
        application="letters",
        outline=[],
        members=["w1"],
        partition_maps=[],
        workers={"w1": share},
        file_lengths={},
        taken_unix_s=1.0,
        duration_s=0.5,
    )


def log_of(store: Store) -> ManifestLog:
    return ManifestLog(store, retry_pauses_s=(0.0, 0.0))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


async def test_a_commit_is_the_latest_manifest(store: Store) -> None:
    log = log_of(store)
    assert await log.latest() is None
    written = await log.commit(manifest(1))
    assert replace(written, writer="") == manifest(1)
    await log.commit(manifest(2))
    assert await log.numbers() == [1, 2]
    latest = await log_of(store).latest()
    assert latest is not None
    assert latest.number == 2


async def test_the_initializer_that_loses_the_race_for_a_number_is_fenced_off(store: Store) -> None:
    commits = [log_of(store).commit(manifest(1)) for _ in range(8)]
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Manifest)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, FencedError)]
    assert (len(winners), len(losers)) == (1, 7)
    assert await log_of(store).load(1) == winners[0]
    assert "run only one at a time" in losers[0].hint


async def test_a_claim_fences_off_an_older_run(store: Store) -> None:
    old, new = log_of(store), log_of(store)
    base = await old.commit(manifest(1))
    claim = await new.claim(base, Epoch(9))
    assert (claim.number, claim.epoch, claim.is_claim) == (2, 9, True)
    assert claim.workers == base.workers
    with pytest.raises(FencedError):
        await old.commit(manifest(2))
    await new.commit(manifest(3, 9))


async def test_the_first_claim_of_a_store_gives_it_a_lineage_that_every_manifest_has(
    tmp_path: Path,
) -> None:
    claims = []
    for name in ("one", "two"):
        log = log_of(open_store(str(tmp_path / name)))
        first = await log.claim(manifest(99), Epoch(1))
        commit = await log.commit(replace(first, number=CheckpointId(2), is_claim=False))
        again = await log_of(open_store(str(tmp_path / name))).claim(commit, Epoch(2))
        assert first.lineage == commit.lineage == again.lineage
        claims.append(again.lineage)
    assert len({"", *claims}) == 3


async def test_a_store_from_before_lineages_gets_one_with_its_next_claim(store: Store) -> None:
    old = await log_of(store).commit(manifest(1))
    assert old.lineage == ""
    assert (await log_of(store).claim(old, Epoch(2))).lineage


async def test_a_first_claim_has_number_1(store: Store) -> None:
    assert (await log_of(store).claim(manifest(99), Epoch(1))).number == 1


async def test_committing_the_same_again_is_not_a_race(store: Store) -> None:
    log = log_of(store)
    await log.commit(manifest(1))
    await log.commit(manifest(1))


async def test_a_writer_that_slept_through_its_successors_is_fenced_off(store: Store) -> None:
    """Its number was pruned, so it can be created again."""
    old, new = log_of(store), log_of(store)
    await old.commit(manifest(1))
    for number in range(2, 6):
        await new.commit(manifest(number, 2))
    await new.prune(1)
    with pytest.raises(FencedError, match="checkpoint 5 is there"):
        await old.commit(manifest(2))
    assert await new.numbers() == [5]


class FailingStore(Store):
    """Fails the next creations as a test asks for."""

    def __init__(self, inner: Store, *plan: str) -> None:
        super().__init__(inner.location, inner._objects, inner.folder)
        self.plan = list(plan)

    async def create(self, name: str, data: bytes) -> None:
        match self.plan.pop(0) if self.plan else "":
            case "lost":
                raise StoreError("connection lost", "look at the network")
            case "answer lost":
                await super().create(name, data)
                raise StoreError("connection lost", "look at the network")
            case "answer lost, tried again":
                await super().create(name, data)
                raise AlreadyExistsError("there already")
            case "conflict":
                raise AlreadyExistsError("409 Conflict")
            case "refused":
                raise StoreError("no such bucket", "make it", is_refusal=True)
        await super().create(name, data)


@pytest.mark.parametrize(
    "plan",
    [
        ("lost",),
        ("answer lost",),
        ("lost", "answer lost"),
        ("answer lost, tried again",),
        ("conflict",),
        ("lost", "refused"),
    ],
)
async def test_a_commit_goes_on_until_it_knows(store: Store, plan: tuple[str, ...]) -> None:
    await log_of(FailingStore(store, *plan)).commit(manifest(1))
    assert await log_of(store).numbers() == [1]


@pytest.mark.parametrize("plan", [("lost",), ("conflict",)])
async def test_a_lost_answer_does_not_hide_that_somebody_else_won(
    store: Store, plan: tuple[str, ...]
) -> None:
    await log_of(store).commit(manifest(1))
    with pytest.raises(FencedError):
        await log_of(FailingStore(store, *plan)).commit(manifest(1))


@pytest.mark.parametrize(
    ("plan", "outcome", "is_refusal"),
    [
        (("lost",) * 9, "may be committed or not: connection lost", False),
        (("lost", "refused", "refused"), "may be committed or not: no such bucket", False),
        (("refused", "lost"), "was not committed: no such bucket", True),
        (("conflict",) * 9, "was not committed: the store says that it is there, but it", False),
    ],
)
async def test_a_commit_that_fails_says_whether_it_may_be_there(
    store: Store, plan: tuple[str, ...], outcome: str, is_refusal: bool
) -> None:
    with pytest.raises(StoreError, match=f"^checkpoint 1 {outcome}") as caught:
        await log_of(FailingStore(store, *plan)).commit(manifest(1))
    assert caught.value.is_refusal is is_refusal
    assert await log_of(store).numbers() == []


async def damage(store: Store, number: int) -> None:
    name = manifest_name(number)
    data = await store.get(name)
    await store.delete([name])
    await store.create(name, data[:-1])


async def test_a_damaged_newest_manifest_is_an_error_that_names_the_way_back(
    store: Store, tmp_path: Path
) -> None:
    log = log_of(store)
    base = await log.commit(manifest(1))
    await log.commit(manifest(2))
    await log.claim(base, Epoch(2))
    await damage(store, 3)
    with pytest.raises(DamagedFileError) as caught:
        await log_of(store).latest()
    assert caught.value.file == str(tmp_path / "manifests/0000000003")
    assert caught.value.what.startswith(f"{caught.value.file}, byte 10: it ends within a block")
    assert caught.value.hint.endswith("--from-checkpoint 2")

    await damage(store, 2)
    with pytest.raises(DamagedFileError) as caught:
        await log_of(store).latest()
    assert caught.value.hint.endswith("--from-checkpoint 1")
    claim = await log_of(store).claim(await log.load(1), Epoch(3))
    assert claim.number == 4


async def test_without_any_whole_checkpoint_there_is_no_way_back(store: Store) -> None:
    await log_of(store).commit(manifest(1))
    await damage(store, 1)
    with pytest.raises(DamagedFileError) as caught:
        await log_of(store).latest()
    assert "no older checkpoint" in caught.value.hint


async def test_a_manifest_under_another_number_is_damage(store: Store) -> None:
    await store.create(manifest_name(7), encode_manifest(manifest(6)))
    with pytest.raises(DamagedFileError, match="holds manifest 6"):
        await log_of(store).load(7)


async def test_the_last_epoch_is_that_of_the_newest_manifest_that_can_be_read(store: Store) -> None:
    log = log_of(store)
    assert await log.last_epoch() == 0
    await log.commit(manifest(1, 4))
    await log.commit(manifest(2, 7))
    assert await log.last_epoch() == 7
    await damage(store, 2)
    assert await log.last_epoch() == 4


async def test_a_checkpoint_behind_which_a_run_went_back_is_not_in_the_line(store: Store) -> None:
    log = log_of(store)
    base = await log.commit(manifest(1))
    await log.commit(replace(manifest(2), base=1))
    await log.commit(replace(manifest(3), base=2))
    assert await log.line() == [3, 2, 1]
    claim = await log.claim(base, Epoch(2))
    assert (claim.number, claim.base) == (4, 1)
    assert await log.line() == [4, 1]
    await log.commit(replace(manifest(5, 2), base=4))
    assert await log.line() == [5, 4, 1]


async def test_what_a_damaged_manifest_follows_is_not_known_so_all_before_it_counts(
    store: Store,
) -> None:
    log = log_of(store)
    for number in (1, 2, 3):
        await log.commit(replace(manifest(number), base=number - 1))
    await damage(store, 3)
    assert await log.line() == [3, 2, 1]


async def run(log: ManifestLog, last: int) -> None:
    for number in range(1, last + 1):
        await log.store.create(part_name(number, "w1", 1, 0, 0), b"part")
        await log.commit(manifest(number, parts=min(number, 2)))


def in_memory(_: Path) -> Store:
    return open_store("memory://")


def in_directory(path: Path) -> Store:
    return open_store(str(path / "store"))


@pytest.mark.parametrize("make", [in_memory, in_directory])
async def test_pruning_leaves_what_kept_checkpoints_need(
    make: Callable[[Path], Store], tmp_path: Path
) -> None:
    log = log_of(make(tmp_path))
    await run(log, 6)
    assert [kept.number for kept in await log.retained(2)] == [6, 5]
    expected = [manifest_name(number) for number in range(1, 5)]
    expected += [part_name(number, "w1", 1, 0, 0) for number in range(1, 4)]
    assert await log.prunable(2) == expected
    assert await log.prune(2) == expected
    assert await log.prune(2) == []
    assert await log.numbers() == [5, 6]
    names = [name for name, _ in await log.store.list("parts/")]
    assert names == [part_name(number, "w1", 1, 0, 0) for number in (4, 5, 6)]


async def test_nothing_is_pruned_while_a_kept_checkpoint_is_damaged(store: Store) -> None:
    await run(log_of(store), 4)
    await damage(store, 3)
    with pytest.raises(DamagedFileError, match="0000000003"):
        await log_of(store).prune(2)
    assert await log_of(store).numbers() == [1, 2, 3, 4]
    await log_of(store).commit(manifest(5))
    await log_of(store).prune(2)


async def test_a_store_that_creates_twice_is_found_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log_of(store).check_store()
    assert await store.list() == []

    async def overwrite(self: Store, name: str, data: bytes) -> None:
        assert self.folder is not None
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr(Store, "create", overwrite)
    with pytest.raises(StoreError, match="created twice"):
        await log_of(store).check_store()
    assert await store.list() == []


async def test_pauses_between_attempts_are_as_given(store: Store) -> None:
    begin = time.monotonic()
    await ManifestLog(FailingStore(store, "lost"), retry_pauses_s=(0.05,)).commit(manifest(1))
    assert time.monotonic() - begin >= 0.05
