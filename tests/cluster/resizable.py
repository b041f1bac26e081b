"""``wallaroo-run`` that also takes requests for a resize, as lines of JSON on its input.

Each is ``[joining, leaving]``, two lists of names, and answered by a line on its output: an object
with the facts, or a text with the reason.
"""

import asyncio
import json
import sys
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.topology.plan import Application
from wallaroo_cli import run
from wallaroo_cli.process_signals import ProcessSignals
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement


async def run_and_listen(settings: ClusterSettings, plan: Application) -> int:
    cluster = Cluster(settings, plan, LocalPlacement(), ProcessSignals())
    asking = asyncio.create_task(take_requests(cluster))
    try:
        return await cluster.run()
    finally:
        asking.cancel()


async def take_requests(cluster: Cluster) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()
    async for line in reader:
        task = asyncio.create_task(answer(cluster, *json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


async def answer(cluster: Cluster, joining: list[str], leaving: list[str]) -> None:
    told: Any
    try:
        assert cluster.resizes is not None
        told = await cluster.resizes.make(joining, leaving)
    except ClusterError as error:
        told = error.what
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run._run = run_and_listen
    run.main()
