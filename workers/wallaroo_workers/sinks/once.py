"""Sinks of authors that are exactly once.

    rows --Outbox--> object in the store --manifest--> open, last, write with a number

The outbox decides what is asked of the author's sink, one call at a time, and what follows from an
answer. Here the calls are made, and objects are written to the store and read back.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from wallaroo.checkpoint.store import ObjectStore
from wallaroo.connectors.custom_sinks import Custom
from wallaroo.metrics.histogram import Histogram
from wallaroo.names import CheckpointId
from wallaroo.worker.outbox import Outbox
from wallaroo.worker.sink_port import FinishCut, OutboxSetup, SinkContext, cut_outbox
from wallaroo_workers.sinks.author_sink import AuthorSink
from wallaroo_workers.sinks.connector import ConnectorRunner
from wallaroo_workers.sinks.once_delivery import Delivery
from wallaroo_workers.sinks.runner import ProcessSinkRunner, SinkWait, flush_queue
from wallaroo_workers.sinks.without_checkpoints import SlotSink


def new_runner(sink: Custom, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of this sink; without checkpoints it is at least once."""
    address = sink.sink.identity()
    if context.store is None:
        return ConnectorRunner(_Unnumbered(sink.sink, context, address), context, address)
    return OnceRunner(AuthorSink(sink.sink, context, address), context, context.store, address)


class _Unnumbered(SlotSink):
    """Opens the slot as usual, and writes each batch with number 0."""

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call the author's method with what it takes besides the rows."""
        match name:
            case "open":
                return await super().call(name, self.slot)
            case "write":
                return await super().call(name, *arguments, 0)
            case _:
                return await super().call(name, *arguments)


class OnceRunner:
    """This worker's outbox for one sink."""

    stream = None
    preparing = None

    def __init__(
        self, author: AuthorSink, context: SinkContext, store: ObjectStore, address: str
    ) -> None:
        self.outbox = self
        self.name = context.name
        self.address = address
        self._author = author
        self._context = context
        self._store = store
        self._delivery: Delivery | None = None
        self._settled_bytes = 0
        """Bytes of earlier outboxes, which were delivered or given up."""
        self._open_count = 0
        self._delays = Histogram()
        """Of batches: nanoseconds from the commit of their checkpoint until they were written."""
        self._committed_s = 0.0
        """When the last checkpoint was committed. At most one checkpoint's batches are in doubt."""
        self._closing, self._ended = asyncio.Event(), asyncio.Event()

    def new_outbox(self, setup: OutboxSetup) -> Outbox:
        """Return an outbox that this runner serves from now on."""
        self._committed_s = asyncio.get_running_loop().time()
        self._delivery = Delivery(self._author, self._context, self._store, setup, self._written)
        return self._delivery.outbox

    @property
    def _present(self) -> Delivery:
        assert self._delivery is not None, "no outbox was begun"
        return self._delivery

    @property
    def queued_bytes(self) -> int:
        """How many bytes of results the target does not have."""
        return 0 if self._delivery is None else self._delivery.outbox.undelivered_bytes

    @property
    def backlog_bytes(self) -> int:
        """How many bytes hold the sources back."""
        return 0 if self._delivery is None else self._delivery.outbox.backlog_bytes

    @property
    def written_bytes(self) -> int:
        """How many bytes were ever written."""
        added = 0 if self._delivery is None else self._delivery.outbox.added_bytes
        return self._settled_bytes + added

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever written the target has, or were given up."""
        delivered = 0 if self._delivery is None else self._delivery.outbox.delivered_bytes
        return self._settled_bytes + delivered

    @property
    def connection_count(self) -> int:
        """How often a slot was opened."""
        return self._open_count + (0 if self._delivery is None else self._delivery.open_count)

    @property
    def is_connected(self) -> bool:
        """Whether a slot is open."""
        return self._delivery is not None and self._delivery.is_open

    @property
    def wait(self) -> SinkWait | None:
        """For what the author's method waits."""
        return self._author.wait

    @property
    def batches(self) -> dict[str, Any]:
        """What the report says of the batches."""
        in_doubt = [] if self._delivery is None else self._delivery.outbox.in_doubt
        return {
            **self._author.facts(),
            "undelivered": len(in_doubt),
            "undelivered_bytes": sum(batch.byte_count for batch in in_doubt),
            "delays": self._delays.to_wire(),
        }

    def _written(self) -> None:
        delay_s = asyncio.get_running_loop().time() - self._committed_s
        self._delays.record(round(delay_s * 1e9))

    def write(self, rows: list[Any]) -> int:
        """Add rows to the outbox."""
        return self._present.outbox.add(rows)

    def settle(self) -> None:
        """Do nothing: answers arrive by themselves."""

    async def run(self) -> None:
        """Wait until the sink is closed; the outbox starts what is to be done."""
        await self._closing.wait()
        if self._delivery is not None:
            await self._delivery.end()
        await self._author.end()
        self._ended.set()

    async def connected(self) -> None:
        """Wait until nothing is in doubt any more, and the own slot is open."""
        await self._until(lambda: self._present.outbox.is_ready)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._present.changed.clear()
            await self._present.changed.wait()

    # For checkpoints, and at the end

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """End the batch before the barrier."""
        return self._cut(checkpoint, self._present.outbox.is_settled)

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """End the batch before the barrier: new owners' results are delivered behind it."""
        return self._cut(checkpoint, self._present.outbox.is_durable)

    def _cut(self, checkpoint: CheckpointId, is_complete: Callable[[], bool]) -> FinishCut:
        return cut_outbox(self._present.outbox, checkpoint, is_complete, self._until)

    def committed(self, checkpoint: CheckpointId) -> None:
        """Note the time; the worker's outboxes do all else."""
        self._committed_s = asyncio.get_running_loop().time()

    async def discard(self) -> None:
        """Drop what is not delivered, behind the call that is under way."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            await delivery.end()
            self._settled_bytes += delivery.outbox.added_bytes
            self._open_count += delivery.open_count

    async def flush(self) -> None:
        """Wait until the target has everything and the author's ``close`` has returned."""
        await flush_queue(self)
        self.close()
        await self._ended.wait()

    def close(self) -> None:
        """Let the task close the sink, which has everything."""
        self._closing.set()
