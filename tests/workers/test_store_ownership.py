"""The thread that keeps a lease: nothing holds it up, and the run hears what becomes of it."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.harness import wait_until
from wallaroo.checkpoint import lease as lease_module
from wallaroo.errors import ClusterError, ConfigError, FencedError, StoreError
from wallaroo_workers.initializer.resources.store_ownership import Ownership


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_INTERVAL_S", 0.05)
    monkeypatch.setattr(lease_module, "RETRY_DELAY_S", 0.05)


def ownership(location: Path | str, *, takes_over: bool = False, timeout_s: float = 0) -> Ownership:
    return Ownership(str(location), "letters", takes_over=takes_over, store_timeout_s=timeout_s)


def row(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / "owner").iterdir() if path.name.isdecimal())


async def test_it_is_renewed_while_the_loop_of_the_run_is_busy(tmp_path: Path) -> None:
    first = ownership(tmp_path)
    await first.begin()
    await first.acquired()
    begun = max(row(tmp_path))
    # This blocks the loop, as a computation or a disk would.
    wait_until("it is renewed", lambda: max(row(tmp_path), default=0) > begun + 2)
    await first.release()
    assert len(row(tmp_path)) == 1


async def test_one_thread_waits_while_all_others_of_the_run_are_taken(tmp_path: Path) -> None:
    is_over = threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(is_over.wait, 60)) for _ in range(64)]
    first = ownership(tmp_path)
    await first.begin()
    await first.acquired()
    begun = max(row(tmp_path))
    wait_until("it is renewed", lambda: max(row(tmp_path), default=0) > begun + 2)
    await first.release()
    is_over.set()
    await asyncio.gather(*hanging)


async def test_a_second_one_is_refused_and_the_first_one_goes_on(tmp_path: Path) -> None:
    first, second = ownership(tmp_path), ownership(tmp_path)
    await first.begin()
    with pytest.raises(ClusterError, match=r"a run that is alive: process \d+ on host .* letters"):
        await second.begin()
    await second.release()
    begun = max(row(tmp_path))
    wait_until("it is renewed", lambda: max(row(tmp_path), default=0) > begun + 2)
    await first.release()


async def test_the_run_hears_that_another_one_took_over(tmp_path: Path) -> None:
    first, second = ownership(tmp_path), ownership(tmp_path, takes_over=True)
    await first.begin()
    await second.begin()
    await second.acquired()
    begun = max(row(tmp_path))
    wait_until("the first one still has it", lambda: max(row(tmp_path), default=0) > begun)
    await second.take_over()
    with pytest.raises(FencedError, match="were taken over by process"):
        await first.kept()
    await first.release()
    third = ownership(tmp_path)
    with pytest.raises(ClusterError):
        await third.begin()
    await second.release()
    fourth = ownership(tmp_path)
    begun_s = time.monotonic()
    await fourth.begin()
    assert time.monotonic() - begun_s < lease_module.LEASE_S
    await fourth.release()


async def test_what_keeps_it_from_beginning_is_an_error_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        await ownership(tmp_path / "file").begin()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "owner").touch()
    with pytest.raises(StoreError, match="cannot"):
        await ownership(tmp_path / "store").begin()


async def test_it_can_be_given_up_before_it_was_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ownership(tmp_path)
    await first.begin()
    monkeypatch.setattr(lease_module, "DYING_S", 1000.0)
    second = ownership(tmp_path)
    beginning = asyncio.create_task(second.begin())
    await asyncio.sleep(0)
    await second.release()
    await beginning
    await first.release()
