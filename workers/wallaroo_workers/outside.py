"""A worker's sources and sinks, made from the plan and driven as one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.names import SinkId
from wallaroo.topology.plan import Plan
from wallaroo_workers.engine import Engine
from wallaroo_workers.intake import Intake
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sinks.tcp import TCPSinkRunner
from wallaroo_workers.sources.generator import GeneratorRunner
from wallaroo_workers.sources.tcp import TCPSourceListener

log = structlog.get_logger()

FLUSH_LOOK_S = 0.01
FLUSH_TOLD_EVERY_S = 5.0


class Sources:
    """All sources of one worker; the index of a pipeline is that of its source."""

    def __init__(self, plan: Plan, engine: Engine, options: RunOptions) -> None:
        self._plan = plan
        self._engine = engine
        self._options = options
        intake = Intake()
        self._listeners = {
            index: TCPSourceListener(
                pipeline.source, index, engine, intake, options.frame_bytes_max
            )
            for index, pipeline in enumerate(plan.pipelines)
            if isinstance(pipeline.source, TCPSource)
        }
        self._generators: list[GeneratorRunner] = []

    async def open(self, addresses: list[str], generators_here: list[bool]) -> None:
        """Listen, and start the generators that are this worker's. Raises ``OSError``."""
        for index, listener in self._listeners.items():
            await listener.listen(addresses[index])
        for index, pipeline in enumerate(self._plan.pipelines):
            if generators_here[index] and isinstance(pipeline.source, GeneratorSource):
                runner = GeneratorRunner(
                    pipeline.source,
                    index,
                    pipeline.name,
                    self._engine,
                    stops_on_error=self._options.stop_on_error,
                )
                self._generators.append(runner)
                runner.start()

    async def drain(self) -> None:
        """Take what was sent until now, then take nothing more."""
        for generator in self._generators:
            generator.stop()
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners.values():
                tasks.create_task(listener.drain())


class Sinks:
    """All sinks of one worker."""

    def __init__(self, plan: Plan, timeout_s: float | None) -> None:
        self._runners = [TCPSinkRunner(sink) for sink in plan.sinks if isinstance(sink, TCPSink)]
        assert len(self._runners) == len(plan.sinks)
        self._timeout_s = timeout_s

    def when_progressing(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever a backlog has shrunk."""
        for sink in self._runners:
            sink.on_progress = callback

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what keeps the sinks connected, to be run as tasks."""
        return [sink.run() for sink in self._runners]

    def write(self, sink: SinkId, chunk: bytes) -> None:
        """Queue whole records for a sink."""
        self._runners[sink].write(chunk)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that no kernel has taken yet."""
        return sum(sink.backlog_bytes for sink in self._runners)

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        for sink in self._runners:
            await sink.connected.wait()

    def settle(self) -> None:
        """Forget what the sinks' side has acknowledged."""
        for sink in self._runners:
            sink.settle()

    def timed_out(self) -> TCPSinkRunner | None:
        """Return a sink that is away for longer than is allowed."""
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
        """Wait until the sinks' side has acknowledged everything, then hang up."""
        loop = asyncio.get_running_loop()
        told_s = loop.time()
        while unflushed := [sink for sink in self._runners if sink.queued_bytes]:
            await asyncio.sleep(FLUSH_LOOK_S)
            self.settle()
            if loop.time() - told_s >= FLUSH_TOLD_EVERY_S:
                told_s = loop.time()
                for sink in unflushed:
                    log.warning(
                        "sink.flushing",
                        address=sink.address,
                        bytes_queued=sink.queued_bytes,
                        hint="the stop waits for it; ask a second time to stop at once",
                    )
        for sink in self._runners:
            sink.close()
