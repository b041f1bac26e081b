"""A worker's one sink of an author, with a store of checkpoints in memory or without one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from wallaroo.checkpoint.manifest import SinkShare
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, SinkId, WorkerName
from wallaroo.operators.failures import Failure
from wallaroo.worker.outbox import OutboxLimits
from wallaroo.worker.outboxes import OutboxStart
from wallaroo.worker.sink_port import SinkContext
from wallaroo.worker.worker_sinks import WorkerSinks
from wallaroo_workers.sinks.process_sinks import run_together
from wallaroo_workers.sinks.runner import new_runner
from wallaroo_workers.storage.store import open_store

W1 = WorkerName("w1")
SLOT = "wallaroo.letters.5ca1ab1e.sink0.w1"
FIRST, SECOND = CheckpointId(1), CheckpointId(2)


class Events:
    """What the sink reports."""

    def __init__(self) -> None:
        self.refused: list[Failure] = []
        self.errors: list[WallarooError] = []

    def backlog_changed(self) -> None: ...

    def records_refused(self, sink: SinkId, failures: list[Failure]) -> None:
        self.refused += failures

    def sink_failed(self, error: WallarooError) -> None:
        self.errors.append(error)


class Running:
    """The sink, its runner, and the author's object that the runner uses."""

    def __init__(self, sink: Any, *, is_durable: bool = True) -> None:
        self.events = Events()
        self.store = open_store("memory://")
        context = SinkContext(
            index=SinkId(0),
            name="totals",
            pipeline="orders",
            worker=W1,
            events=self.events,
            application="letters",
            store=self.store if is_durable else None,
        )
        runner: Any = new_runner(sink.sink(), context)
        self.runner = runner
        self.sinks = WorkerSinks([runner], run_together)
        self.target: Any = runner._author._sink

    def begin(self, **named: Any) -> None:
        """Begin an epoch with what a manifest names."""
        start = OutboxStart(
            application="letters", lineage="5ca1ab1e", worker=W1, epoch=Epoch(1), **named
        )
        self.sinks.begin_outboxes(start, StatePickler(), OutboxLimits(), lambda _: None)

    async def share(self, checkpoint: CheckpointId) -> SinkShare:
        """Return what the sink adds to a checkpoint."""
        return await self.sinks.cut(checkpoint)()


@contextlib.asynccontextmanager
async def running(
    sink: Any, *, is_durable: bool = True, fails: bool = False
) -> AsyncIterator[Running]:
    """Run a sink; with checkpoints, it has begun and is connected. It ``fails``, or does not."""
    worker = Running(sink, is_durable=is_durable)
    work = asyncio.create_task(worker.runner.run())
    try:
        async with asyncio.timeout(20):
            if is_durable:
                worker.begin()
            await worker.sinks.connected()
            yield worker
    finally:
        work.cancel()
    assert bool(worker.events.errors) == fails


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that a thread or a task brings about."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
