"""Load of stamped records on a cluster with checkpoints, and what its manifests say afterwards."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Cluster, Process, start_module
from tests.bench.stamped.sink import Sink
from wallaroo.checkpoint.manifest import Manifest
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

LOOK_S = 0.02
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Taken:
    """One checkpoint."""

    round: int
    begun_s: float
    """On the monotonic clock."""
    ended_s: float
    pause_ms: float
    """The longest of its workers."""
    key_count: int
    """Keys that it holds."""
    written_count: int
    """Keys that were written for it."""
    byte_count: int
    """Bytes that were written for it, without the manifest."""


@contextmanager
def sending(cluster: Cluster, key_count: int, rate: int, total: int) -> Iterator[Process]:
    """Have records sent by a process of its own."""
    sender = start_module(
        "tests.bench.stamped.sender", cluster.source, str(key_count), str(rate), str(total)
    )
    try:
        yield sender
    finally:
        sender.kill()
        sender.communicate()


def fill(cluster: Cluster, sink: Sink, key_count: int) -> None:
    """Have the cluster hold a state for each key; all records have come out on return."""
    wanted = sink.record_count + key_count
    with sending(cluster, key_count, 0, key_count):
        deadline_s = time.monotonic() + TIMEOUT_S
        while sink.record_count < wanted:
            cluster.check()
            assert time.monotonic() < deadline_s, "records are missing"
            time.sleep(LOOK_S)


def wait_until_saved(cluster: Cluster, folder: str, key_count: int) -> None:
    """Wait until a checkpoint holds so many keys."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        newest = asyncio.run(_newest(folder))
        if newest is not None and key_count_of(newest) >= key_count:
            return
        cluster.check()
        assert time.monotonic() < deadline_s, f"no checkpoint holds {key_count} keys"
        time.sleep(LOOK_S)


def taken(folder: str) -> list[Taken]:
    """Return all checkpoints that are kept in a folder, oldest first; claims are none."""
    return asyncio.run(_taken(folder))


def key_count_of(manifest: Manifest) -> int:
    """Return how many keys a manifest holds."""
    return sum(sum(worker.key_counts.values()) for worker in manifest.workers.values())


def folder_bytes(folder: str) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


async def _newest(folder: str) -> Manifest | None:
    return await ManifestLog(open_store(folder)).latest()


async def _taken(folder: str) -> list[Taken]:
    log = ManifestLog(open_store(folder))
    monotonic_s = time.monotonic() - time.time()
    found: list[Taken] = []
    known: set[str] = set()
    for number in await log.numbers():
        manifest = await log.load(number)
        parts = [part for worker in manifest.workers.values() for part in worker.parts]
        written = [part for part in parts if part.name not in known]
        known.update(part.name for part in parts)
        if manifest.is_claim:
            continue
        ended_s = manifest.taken_unix_s + monotonic_s
        found.append(
            Taken(
                round=number,
                begun_s=ended_s - manifest.duration_s,
                ended_s=ended_s,
                pause_ms=1000 * max(worker.pause_s for worker in manifest.workers.values()),
                key_count=key_count_of(manifest),
                written_count=sum(part.key_count for part in written),
                byte_count=sum(part.byte_count for part in written),
            )
        )
    return found
