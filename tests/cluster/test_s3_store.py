"""The store of checkpoints on a real S3 server: created once, and the truth told after a crash."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster.seaweed import S3Server, running_server
from wallaroo.checkpoint.manifest import Manifest, WorkerCheckpoint
from wallaroo.errors import (
    AlreadyExistsError,
    FencedError,
    MissingObjectError,
    StoreError,
)
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo_workers.storage import store as store_module
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import Store, open_store

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_server(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


async def until_it_answers(store: Store, server: S3Server) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            await ManifestLog(store).check_store()
            return
        except StoreError as error:
            assert time.monotonic() < deadline, f"{error.what}\n{server.log()}"
            await asyncio.sleep(0.1)


@pytest.fixture
async def store(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Store:
    server.use(monkeypatch)
    store = open_store(f"s3://checkpoints/{request.node.name}")
    await until_it_answers(store, server)
    return store


def manifest(number: int, *, epoch: int = 1, outline: tuple[str, ...] = ()) -> Manifest:
    share = WorkerCheckpoint(WorkerName("w1"), [], [], {}, [], {})
    return Manifest(
        number=CheckpointId(number),
        epoch=Epoch(epoch),
        is_claim=False,
        application="letters",
        outline=list(outline),
        members=["w1"],
        partition_maps=[],
        workers={"w1": share},
        file_lengths={},
        taken_unix_s=1.0,
        duration_s=0.5,
    )


async def test_objects_are_created_once_listed_read_and_deleted(store: Store) -> None:
    data = os.urandom(20_000_000)  # goes up in several requests
    await store.create("parts/0000000001/w1-1-0-0", data)
    await store.create("parts/0000000002/w1-1-0-0", b"second")
    with pytest.raises(AlreadyExistsError):
        await store.create("parts/0000000002/w1-1-0-0", b"third")
    assert await store.list("parts/") == [
        ("parts/0000000001/w1-1-0-0", 20_000_000),
        ("parts/0000000002/w1-1-0-0", 6),
    ]
    assert await store.get("parts/0000000001/w1-1-0-0") == data
    assert await store.get("parts/0000000002/w1-1-0-0") == b"second"
    await store.delete([name for name, _ in await store.list()] + ["parts/never/was"])
    assert await store.list() == []
    with pytest.raises(MissingObjectError):
        await store.get("parts/0000000002/w1-1-0-0")


async def test_a_listing_is_whole_however_long(store: Store) -> None:
    names = [f"parts/0000000001/{number:04}" for number in range(1100)]
    for begin in range(0, len(names), 50):
        await asyncio.gather(*[store.create(name, b"") for name in names[begin : begin + 50]])
    assert [name for name, _ in await store.list("parts/")] == names
    await store.delete(names)
    assert await store.list() == []


async def test_of_two_that_commit_one_number_one_wins_each_time(store: Store) -> None:
    logs = [ManifestLog(store), ManifestLog(store)]
    for number in range(1, 21):
        commits = [log.commit(manifest(number)) for log in logs]
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        winners = [outcome for outcome in outcomes if isinstance(outcome, Manifest)]
        assert len(winners) == 1, outcomes
        assert [type(outcome) for outcome in outcomes if outcome not in winners] == [FencedError]
        assert await ManifestLog(store).latest() == winners[0]


async def test_wrong_credentials_are_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = open_store("s3://checkpoints/x")
    for attempt in (refused.create("a", b""), refused.get("a"), refused.list()):
        with pytest.raises(StoreError) as caught:
            await attempt
        assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint
        assert "tests-secret" not in caught.value.what


async def test_a_bucket_that_is_not_there_is_said(store: Store) -> None:
    del store
    with pytest.raises(StoreError, match="NoSuchBucket") as caught:
        await open_store("s3://nothing-here").list()
    assert "create the bucket" in caught.value.hint


OUTLINE = tuple(f"a line of the outline with the number {number}" for number in range(50_000))
"""Enough that writing it takes some time."""


@pytest.mark.parametrize("kill_after", [0.5, 0.9, 1.05])
async def test_a_commit_during_which_the_server_dies_is_whole_or_not_there(
    kill_after: float, store: Store, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill it after a share of the time that a commit took, so that either may have come first."""
    begin = time.monotonic()
    await ManifestLog(store).commit(manifest(1, outline=OUTLINE))
    kill_after_s = kill_after * (time.monotonic() - begin)
    monkeypatch.setattr(store_module, "RETRY", {"max_retries": 0})
    log = ManifestLog(open_store(store.location), retry_pauses_s=())
    committing = asyncio.create_task(log.commit(manifest(2, outline=OUTLINE)))
    await asyncio.sleep(kill_after_s)
    server.kill()
    (outcome,) = await asyncio.gather(committing, return_exceptions=True)
    server.start()
    await until_it_answers(store, server)

    latest = await ManifestLog(store).latest()
    assert latest is not None
    if isinstance(outcome, Manifest):
        assert latest == outcome
    else:
        assert isinstance(outcome, StoreError)
        assert "checkpoint 2 may be committed or not" in outcome.what
    assert replace(latest, writer="") in (
        manifest(1, outline=OUTLINE),
        manifest(2, outline=OUTLINE),
    )
    # Asked again, it finds out.
    again = await log.commit(manifest(2, outline=OUTLINE))
    assert await ManifestLog(store).latest() == again


async def test_a_commit_outlives_a_restart_of_the_server(store: Store, server: S3Server) -> None:
    committing = asyncio.create_task(ManifestLog(store).commit(manifest(1, outline=OUTLINE)))
    await asyncio.sleep(0.01)
    server.kill()
    server.start()
    written = await committing
    assert await ManifestLog(store).latest() == written
