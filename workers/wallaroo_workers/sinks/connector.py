"""Sinks of authors that get each record at least once.

rows --RowQueue--> open, write, write, ... close
                    ^  | a method raised: close, a pause of 0.05 to 5 s, open, the same rows
                    +--+
"""

import asyncio
from typing import Any

from wallaroo.connectors.custom_sinks import Custom
from wallaroo.connectors.row_queue import RowQueue
from wallaroo.names import CheckpointId
from wallaroo.worker.sink_port import FinishCut, SinkContext, nothing_to_name
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.author_sink import AuthorSink, SinkFailed
from wallaroo_workers.sinks.runner import ProcessSinkRunner, SinkWait, cut_when_settled, flush_queue
from wallaroo_workers.sources.reading import Backoff

log = get_logger()


def new_runner(sink: Custom, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of this sink."""
    address = sink.sink.identity()
    return ConnectorRunner(AuthorSink(sink.sink, context, address), context, address)


class ConnectorRunner:
    """This worker's rows for one sink, and the task that writes them."""

    # Rows are written as they come.
    outbox = None
    preparing = None

    def __init__(self, author: AuthorSink, context: SinkContext, address: str) -> None:
        self.stream = self
        self.name = context.name
        self.address = address
        self.written_bytes = 0
        self.connection_count = 0
        """How often the sink was opened."""
        self._author = author
        self._events = context.events
        self._queue = RowQueue()
        self._changed = asyncio.Event()
        """Set when there are rows to write, or the sink is to close."""
        self._is_closing = False
        self._connected = asyncio.Event()
        self._ended = asyncio.Event()
        self._backoff = Backoff()

    @property
    def queued_bytes(self) -> int:
        """About how many bytes the sink has not accepted."""
        return self._queue.queued_bytes

    @property
    def backlog_bytes(self) -> int:
        """The same: what is being written is still in memory."""
        return self._queue.queued_bytes

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes the sink has accepted or refused."""
        return self.written_bytes - self._queue.queued_bytes

    @property
    def is_connected(self) -> bool:
        """Whether the sink is open."""
        return self._connected.is_set()

    @property
    def wait(self) -> SinkWait | None:
        """For what the author's method waits."""
        return self._author.wait

    @property
    def batches(self) -> dict[str, Any]:
        """What the report says of the batches."""
        return self._author.facts()

    def write(self, rows: list[Any]) -> int:
        """Queue rows."""
        byte_count = self._queue.append(rows)
        self.written_bytes += byte_count
        self._changed.set()
        return byte_count

    async def connected(self) -> None:
        """Wait until the sink is open."""
        await self._connected.wait()

    def settle(self) -> None:
        """Do nothing: rows are settled when ``write`` returns."""

    # The task

    async def run(self) -> None:
        """Keep the sink open and write what is queued, until it is closed or this is cancelled."""
        while not await self._serve():  # noqa: ASYNC110  it sleeps between attempts
            await asyncio.sleep(self._backoff.next_s())
        await self._author.end()
        self._ended.set()

    async def _serve(self) -> bool:
        """Write until the sink is to close, or the run ends; return ``False`` to try again."""
        method = "open"
        try:
            await self._author.call("open")
            self._opened()
            method = "write"
            while await self._has_rows():
                await self._write_batch()
        except SinkFailed as error:
            self._connected.clear()
            self._author.end_run(error)
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            self._connected.clear()
            self._author.failed(method, error, self.queued_bytes)
            await self._author.close(is_broken=True)
            return False
        await self._author.close()
        return True

    def _opened(self) -> None:
        self.connection_count += 1
        self._connected.set()
        if not self._queue.has_waiting:
            self._author.works()
        log.info(
            "sink.connected",
            sink=self.name,
            address=self.address,
            next="queued output is sent",
        )

    async def _has_rows(self) -> bool:
        """Wait for rows; return ``False`` if there are none and the sink is to close."""
        while not self._queue.has_waiting:
            if self._is_closing:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def _write_batch(self) -> None:
        await self._author.write(self._queue.take(), keep=self._queue.keep)
        self._queue.written()
        self._author.wrote()
        self._backoff.reset()
        self._events.backlog_changed()

    # When keys change their worker

    def hold(self, number: int) -> None:
        """Hold back what is written from now on, until ``release(number)``."""
        self._queue.hold(number)

    def release(self, number: int) -> None:
        """Write what this hold keeps back, once no earlier hold does."""
        self._queue.release(number)
        self._changed.set()

    def drop_held(self) -> None:
        """Forget everything that is held back, since a replay produces it again."""
        self._queue.drop_held()

    # For checkpoints, and at the end

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Wait until the sink has everything written so far."""
        return cut_when_settled(self)

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Do nothing: holds keep the order."""
        return nothing_to_name

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: what a checkpoint needed is written."""

    async def discard(self) -> None:
        """Do nothing: what is written is visible."""

    async def flush(self) -> None:
        """Wait until the sink has everything and its author's ``close`` has returned."""
        await flush_queue(self)
        self.close()
        await self._ended.wait()

    def close(self) -> None:
        """Let the task close the sink, which has everything."""
        self._is_closing = True
        self._changed.set()
