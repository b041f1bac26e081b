"""What a cluster answers while it is formed: it waits for a host, and no worker runs yet."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.wallaroo.operators.mesh import tcp_sink
from tests.workers.counting import count, counting
from wallaroo.errors import ClusterError
from wallaroo.statuses import ExitStatus
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.placement.hosts import HostSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.settings import ApplicationSettings, RunOptions
from wallaroo_workers.stop_signals import NO_SIGNALS

WAIT_S = 10.0


@contextlib.asynccontextmanager
async def forming(folder: Path) -> AsyncIterator[tuple[Cluster, asyncio.Task[ExitStatus]]]:
    settings = ClusterSettings(
        application=ApplicationSettings(module="counting", paths=[], arguments=[]),
        options=RunOptions(folder=str(folder)),
        worker_count=0,
        hosts=HostSettings(agent_count=1),
    )
    plan = counting().to_stateful(count, dict, "sum").to_sink(tcp_sink()).build()
    cluster = Cluster(settings, plan, LocalPlacement(), NO_SIGNALS)
    running = asyncio.create_task(cluster.run())
    try:
        async with asyncio.timeout(WAIT_S):
            yield cluster, running
            await running
    finally:
        running.cancel()


async def ask(cluster: Cluster, method: str) -> dict[str, Any]:
    return await cluster.handle(method, {}, lambda _: None)


async def test_requests_are_answered_with_what_the_start_waits_for(tmp_path: Path) -> None:
    async with forming(tmp_path) as (cluster, _):
        with pytest.raises(ClusterError, match="the cluster is not there yet") as refused:
            await ask(cluster, "status")
        assert refused.value.hint
        assert cluster.requests is None
        cluster.stop()


async def test_a_stop_ends_a_cluster_that_is_not_formed(tmp_path: Path) -> None:
    async with forming(tmp_path) as (cluster, running):
        assert await ask(cluster, "stop") == {"stopped": True, "took_s": 0.0}
        assert await running == 0
