"""A worker's sources and sinks, made from the plan and driven as one."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.connectors.base import Assignment
from wallaroo.connectors.file import FileSink
from wallaroo.connectors.tcp import TCPSink
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import PlacedSource, SourceEvents, SourceListener
from wallaroo.ingest.sources import Sources
from wallaroo.ingest.split_ports import SplitSource
from wallaroo.names import CheckpointId, SinkId
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Application
from wallaroo.worker.result_order import ResultOrder
from wallaroo.worker.sink_port import SinkEvents
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import RunOptions, WorkerSettings
from wallaroo_workers.sinks.file import FileSinkRunner
from wallaroo_workers.sinks.tcp import TCPSinkRunner
from wallaroo_workers.sources.context import SourceContext, new_runner
from wallaroo_workers.sources.frame_limits import intake_limits

log = get_logger()

FLUSH_POLL_S = 0.01
FLUSH_LOG_EVERY_S = 5.0


def new_sources(
    plan: Application,
    engine: Engine,
    settings: WorkerSettings,
    journal: Journal | None,
    events: SourceEvents,
) -> Sources:
    """Return all sources of one worker."""
    intake = ReadBudget()
    own = settings.source_addresses
    limits = intake_limits(settings.options.frame_bytes_max, len(plan.pipelines))
    contexts = [
        SourceContext(
            index,
            pipeline,
            engine,
            settings.options,
            intake,
            limits,
            journal,
            events,
            None if own is None else own[index],
        )
        for index, pipeline in enumerate(plan.pipelines)
    ]
    return Sources(_SourcePorts(plan, engine, intake, contexts), events)


class _SourcePorts:
    """What the sources of a worker need from its process."""

    def __init__(
        self,
        plan: Application,
        engine: Engine,
        intake: ReadBudget,
        contexts: Sequence[SourceContext],
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.intake = intake
        self.listeners: dict[int, SourceListener] = {
            context.index: new_runner(context)
            for context in contexts
            if context.source.assignment is Assignment.EVERY_WORKER
        }
        self.replayed = asyncio.Event()
        self._contexts = contexts

    def new_placed(self, index: int) -> PlacedSource:
        """Return what runs the source of this pipeline."""
        source: PlacedSource = new_runner(self._contexts[index])
        return source

    def new_split_source(self, index: int) -> SplitSource:
        """Return what reads splits of the source of this pipeline."""
        source: SplitSource = new_runner(self._contexts[index])
        return source

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time; return when the last one has ended."""
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        log.info(event, **values)


class WorkerSinks:
    """All sinks of one worker; with a ``stage``, output to files is staged under that name."""

    def __init__(
        self, plan: Application, options: RunOptions, stage: str | None, events: SinkEvents
    ) -> None:
        self.files: dict[SinkId, FileSinkRunner] = {}
        """Those that write files."""
        self._runners: list[TCPSinkRunner | FileSinkRunner] = []
        self._plan = plan
        self._timeout_s = options.sink_timeout_s
        for index, sink in enumerate(plan.sinks):
            if isinstance(sink, FileSink):
                path = os.path.join(options.folder, sink.path)
                file = self.files[SinkId(index)] = FileSinkRunner(path, events, stage)
                self._runners.append(file)
            else:
                assert isinstance(sink, TCPSink)
                self._runners.append(TCPSinkRunner(sink, events.backlog_changed))

        streams = {
            index: sink
            for index, sink in enumerate(self._runners)
            if isinstance(sink, TCPSinkRunner)
        }
        self.order = ResultOrder(streams)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what keeps the sinks connected, to be run as tasks."""
        return [sink.run() for sink in self._runners]

    def write(self, sink: SinkId, chunk: bytes) -> None:
        """Queue whole records for a sink."""
        self._runners[sink].write(chunk)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait to be written to a socket or file."""
        return sum(sink.backlog_bytes for sink in self._runners)

    def settled_bytes(self) -> list[int]:
        """Return, by sink, how many bytes it has acknowledged since the start of this process."""
        self.settle()
        return [sink.settled_bytes for sink in self._runners]

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts of each sink that a ``Report`` has."""
        return [
            {
                "name": sink.describe(),
                "address": runner.address,
                "bytes": runner.settled_bytes,
                "queued_bytes": runner.queued_bytes,
                "connections": runner.connection_count,
                "connected": runner.connected.is_set(),
            }
            for sink, runner in zip(self._plan.sinks, self._runners, strict=True)
        ]

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        for sink in self._runners:
            await sink.connected.wait()

    # For checkpoints

    def cut(self, checkpoint: CheckpointId) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Make everything written so far part of ``checkpoint``.

        Return a function that waits until all of it has reached the sinks, and returns the staged
        files that become visible with the checkpoint. These include the output of checkpoints that
        were abandoned.
        """
        streams = [sink for sink in self._runners if isinstance(sink, TCPSinkRunner)]
        marks = [(sink, sink.written_bytes) for sink in streams]
        cuts = [file.cut(checkpoint) for file in self.files.values()]
        return lambda: self._finish_cut(checkpoint, marks, cuts)

    async def _finish_cut(
        self,
        checkpoint: CheckpointId,
        marks: list[tuple[TCPSinkRunner, int]],
        cuts: list[asyncio.Future[Any]],
    ) -> list[StagedOutput]:
        await asyncio.gather(*cuts)
        while any(sink.settled_bytes < mark for sink, mark in marks):
            await asyncio.sleep(FLUSH_POLL_S)
            self.settle()
        return [
            StagedOutput(sink, part.name, part.byte_count, cut)
            for sink, file in self.files.items()
            for cut, part in file.uncommitted(checkpoint)
        ]

    def cut_files(
        self, checkpoint: CheckpointId, *, is_staged: bool
    ) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Do what ``cut`` does for file sinks alone, so that later output follows this output.

        If output is not staged, the function waits until all of it is written and returns nothing.
        """
        if not is_staged:
            return self._written
        cuts = [file.cut(checkpoint) for file in self.files.values()]
        return lambda: self._finish_cut(checkpoint, [], cuts)

    async def _written(self) -> list[StagedOutput]:
        await asyncio.gather(*(file.written() for file in self.files.values()))
        return []

    def committed(self, checkpoint: CheckpointId) -> None:
        """Tell file sinks that the checkpoint is committed."""
        for file in self.files.values():
            file.committed(checkpoint)

    async def discard(self) -> None:
        """Discard all staged output that belongs to no checkpoint."""
        await asyncio.gather(*(file.discard(CheckpointId(0)) for file in self.files.values()))

    def settle(self) -> None:
        """Forget what the receivers have acknowledged."""
        for sink in self._runners:
            sink.settle()

    def timed_out(self) -> TCPSinkRunner | FileSinkRunner | None:
        """Return a sink that has been unreachable for longer than allowed."""
        now_s = asyncio.get_running_loop().time()
        for sink in self._runners:
            if (
                self._timeout_s is not None
                and sink.waiting_since_s is not None
                and now_s - sink.waiting_since_s > self._timeout_s
            ):
                return sink
        return None

    async def flush(self) -> None:
        """Wait until the receivers have acknowledged everything, then close the connections.

        What is in a file is acknowledged, staged or not.
        """
        loop = asyncio.get_running_loop()
        logged_s = loop.time()
        while unflushed := [sink for sink in self._runners if sink.queued_bytes]:
            await asyncio.sleep(FLUSH_POLL_S)
            self.settle()
            if loop.time() - logged_s >= FLUSH_LOG_EVERY_S:
                logged_s = loop.time()
                for sink in unflushed:
                    log.warning(
                        "sink.flushing",
                        address=sink.address,
                        bytes_queued=sink.queued_bytes,
                        hint="ask a second time to stop immediately",
                        next="the stop waits for the sink",
                    )
        for sink in self._runners:
            sink.close()
