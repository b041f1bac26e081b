"""Stores: one behaviour for memory and directories; what is written is durable and whole."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from wallaroo.errors import AlreadyExistsError, ConfigError, MissingObjectError, StoreError
from wallaroo_workers.storage import files
from wallaroo_workers.storage.store import Store, open_store


@pytest.fixture(params=["memory", "directory", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    folder = tmp_path / "kept here"
    url = f"file://{tmp_path}/kept%20here"
    return open_store({"memory": "memory://", "directory": str(folder), "url": url}[request.param])


async def names(store: Store, prefix: str = "") -> list[str]:
    return [name for name, _ in await store.list(prefix)]


async def test_an_object_comes_back_and_is_listed_with_its_size(store: Store) -> None:
    data = os.urandom(100_000)
    await store.create("parts/0000000001/w1-1-0-0", data)
    assert await store.get("parts/0000000001/w1-1-0-0") == data
    assert await store.list() == [("parts/0000000001/w1-1-0-0", 100_000)]


async def test_a_listing_is_of_one_folder_and_sorted(store: Store) -> None:
    for name in ("b/2", "a/1", "b/1", "bb/1"):
        await store.create(name, b"")
    assert await names(store) == ["a/1", "b/1", "b/2", "bb/1"]
    assert await names(store, "b/") == ["b/1", "b/2"]
    assert await names(store, "nothing/") == []


async def test_an_object_is_created_once(store: Store) -> None:
    await store.create("a/1", b"first")
    with pytest.raises(AlreadyExistsError, match="a/1"):
        await store.create("a/1", b"second")
    assert await store.get("a/1") == b"first"


async def test_of_many_that_create_one_name_one_succeeds(store: Store) -> None:
    attempts = [store.create("a/1", str(number).encode()) for number in range(20)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert len(winners) == 1
    assert await store.get("a/1") == str(winners[0]).encode()
    assert await names(store) == ["a/1"]


async def test_deleting_passes_over_what_is_not_there(store: Store) -> None:
    for name in ("a/1", "a/2", "b/1"):
        await store.create(name, b"")
    await store.delete(["a/1", "a/9", "b/1"])
    assert await names(store) == ["a/2"]
    await store.delete([])


async def test_an_object_that_is_not_there_is_told_from_a_store_that_fails(store: Store) -> None:
    with pytest.raises(MissingObjectError, match="a/1"):
        await store.get("a/1")


async def test_a_folder_that_became_empty_goes_and_comes_again(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    await store.create("parts/1/a", b"")
    await store.delete(["parts/1/a"])
    assert not (tmp_path / "parts/1").exists()
    await store.create("parts/1/b", b"")
    assert await names(store) == ["parts/1/b"]


async def test_what_a_crashed_writer_left_is_not_listed_and_can_be_removed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    await store.create("parts/1/a", b"whole")
    (tmp_path / "parts/1/b#123456789").write_bytes(b"hal")
    assert await names(store) == ["parts/1/a"]
    assert await store.remove_unfinished() == 1
    assert sorted(path.name for path in (tmp_path / "parts/1").iterdir()) == ["a"]
    assert await open_store("memory://").remove_unfinished() == 0


async def test_data_is_durable_before_its_name_and_both_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    await store.create("a/0", b"")
    events: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(number: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(number).st_mode)
        events.append("folder" if is_folder else f"data {os.fstat(number).st_size}")
        real_fsync(number)

    def link(source: Path, target: Path) -> None:
        events.append("name")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    await store.create("a/1", b"12345")
    assert events == ["data 5", "name", "folder"]


async def test_a_directory_is_made_for_this_user_only(tmp_path: Path) -> None:
    """Its pickles run code when they are read."""
    store = open_store(str(tmp_path / "a/b"))
    await store.create("parts/1/x", b"")
    for folder in ("a", "a/b", "a/b/parts/1"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


async def test_a_full_disk_is_said_and_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))

    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=r"cannot write .*/a: No space left") as caught:
        await store.create("a", b"1")
    assert caught.value.is_refusal
    assert "free some space" in caught.value.hint
    assert os.listdir(tmp_path) == []


async def test_when_only_the_name_may_not_be_durable_the_outcome_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))

    def sync_folder(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync_folder", sync_folder)
    with pytest.raises(StoreError) as caught:
        await store.create("a", b"1")
    assert not caught.value.is_refusal


async def test_a_name_that_is_in_the_way_is_said(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "parts").write_text("a file")
    with pytest.raises(StoreError, match="Not a directory"):
        await store.create("parts/1", b"")


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("gs://bucket", "gs:// is not supported"),
        ("s3://", "names no bucket"),
        ("{here}/file", "is a file, not a directory"),
        ("{here}/missing", "there is no directory"),
    ],
)
def test_a_place_that_is_none_is_the_users_mistake(
    location: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=problem) as caught:
        open_store(location.format(here=tmp_path), may_create=False)
    assert caught.value.hint
    assert not (tmp_path / "missing").exists()


async def test_a_bucket_out_of_reach_is_said_after_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setattr("wallaroo_workers.storage.store.RETRY", {"max_retries": 0})
    store = open_store("s3://bucket/some/prefix/")
    with pytest.raises(StoreError, match=r"s3://bucket/some/prefix/a: .*sending") as caught:
        await store.create("a", b"")
    assert "AWS_ENDPOINT_URL" in caught.value.hint
    assert "Debug source" not in caught.value.what
    assert not caught.value.is_refusal
