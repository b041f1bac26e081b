"""A cluster whose initializer runs in the test's own process, so that its observatory can be asked.

The workers are processes as always.
"""

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from tests.cluster.counted import samples_of
from tests.cluster.harness import APPLICATIONS
from wallaroo_workers.application import load_plan
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.metrics.observatory import Observatory
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.initializer.resources.checkpoint_store import CheckpointSettings
from wallaroo_workers.settings import ApplicationSettings, RunOptions
from wallaroo_workers.stop_signals import NO_SIGNALS

WAIT_S = 60.0
LOOK_S = 0.02


class Collector:
    """What a registry of prometheus-client asks."""

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory

    def collect(self) -> list[Metric]:
        return [*self._observatory.prometheus_families()]


class Observed:
    """One run."""

    def __init__(self, cluster: Cluster, sources: dict[str, str]) -> None:
        self._cluster = cluster
        self._sources = sources
        self._senders: list[asyncio.StreamWriter] = []

    @property
    def observatory(self) -> Observatory:
        return self._cluster.observatory

    def scraped(self) -> dict[str, list[Any]]:
        """Samples by name, as the text for Prometheus says them."""
        registry = CollectorRegistry()
        registry.register(Collector(self.observatory))
        return samples_of(generate_latest(registry).decode())

    def snapshot(self) -> dict[str, Any]:
        return self.observatory.snapshot()

    def counts(self) -> dict[str, list[int]]:
        """Records in, out, filtered and failed of each node."""
        kinds = ("in", "out", "filtered", "failed")
        return {
            node["id"]: [node[kind] for kind in kinds] for node in self.snapshot()["graph"]["nodes"]
        }

    async def send(self, pipeline: str, payloads: Sequence[bytes]) -> None:
        """Send frames over a connection of their own, which stays open."""
        host, port = self._sources[pipeline].split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        self._senders.append(writer)
        writer.write(b"".join(struct.pack(">I", len(each)) + each for each in payloads))
        await writer.drain()

    def close_senders(self) -> None:
        for writer in self._senders:
            writer.close()

    async def until(self, what: str, is_true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look at snapshots until one is so; return it."""
        try:
            async with asyncio.timeout(WAIT_S):
                # Nothing wakes a task that waits for a number of another process.
                while not is_true(view := self.snapshot()):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"not within {WAIT_S:g} s: {what}; {self.counts()}") from None
        return view

    async def until_running(self) -> dict[str, Any]:
        return await self.until("it runs", lambda view: view["phase"] == "running")


@contextlib.asynccontextmanager
async def observed(
    application: str,
    folder: Path,
    sinks: Sequence[str],
    *,
    workers: int,
    ports: Sequence[int],
    is_durable: bool = False,
) -> AsyncIterator[Observed]:
    """Run a module of ``applications`` in ``folder``; stop it in order at the end."""
    ins = ",".join(f"127.0.0.1:{port}" for port in ports)
    arguments = ["wallaroo-run", "--in", ins, "--out", ",".join(sinks)]
    settings = cluster_settings(application, folder, arguments, workers, is_durable=is_durable)
    plan = load_plan(settings.application)
    sys.path.remove(str(APPLICATIONS))
    cluster = Cluster(settings, plan, LocalPlacement(), NO_SIGNALS)
    sources = {
        pipeline.name: pipeline.source.listening_address
        for pipeline in plan.pipelines
        if pipeline.source.listening_address
    }
    running = asyncio.create_task(cluster.run())
    run = Observed(cluster, sources)
    try:
        await run.until_running()
        yield run
    finally:
        run.close_senders()
        if not running.done():
            cluster.stop()
        await running


def cluster_settings(
    application: str, folder: Path, arguments: list[str], workers: int, *, is_durable: bool
) -> ClusterSettings:
    location = str(folder / "state") if is_durable else ""
    journals = str(folder / "journals") if is_durable else ""
    checkpoints = CheckpointSettings(
        location=location, journal_folder=journals, folder=str(folder), interval_s=2.0
    )
    options = RunOptions(
        folder=str(folder),
        dead_letters=str(folder / "dead-letters"),
        resilience=location,
        journal_folder=journals,
    )
    return ClusterSettings(
        application=ApplicationSettings(
            module=application, paths=[str(APPLICATIONS)], arguments=arguments
        ),
        options=options,
        worker_count=workers,
        checkpoints=checkpoints if is_durable else None,
    )
