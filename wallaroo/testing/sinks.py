"""The sinks of a simulated worker: streams that may lose their receiver, and files."""

from collections.abc import Awaitable, Callable

from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.names import CheckpointId, SinkId
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import Chaos
from wallaroo.testing.file_sinks import AppendedSink, StagedSink
from wallaroo.testing.loop import Process
from wallaroo.testing.streams import Receivers, StreamSink
from wallaroo.topology.plan import Application
from wallaroo.worker.result_order import ResultOrder
from wallaroo.worker.sink_port import SinkEvents

DELAY_S = 0.004
LOOK_S = 0.03


class SimulatedSinks:
    """All sinks of one worker; without a ``stage`` it appends to files."""

    def __init__(
        self,
        plan: Application,
        stage: str | None,
        process: Process,
        disk: Disk,
        receivers: Receivers,
        chaos: Chaos,
        events: SinkEvents,
    ) -> None:
        self._process = process
        self._files: dict[int, StagedSink] = {}
        self._appended: dict[int, AppendedSink] = {}
        self._streams: dict[int, StreamSink] = {}
        for index, sink in enumerate(plan.sinks):
            if sink.path is not None and stage is None:
                self._appended[index] = AppendedSink(sink.path, process, disk)
            elif sink.path is not None:
                assert stage is not None
                self._files[index] = StagedSink(index, sink.path, stage, process, disk)
            else:
                self._streams[index] = StreamSink(
                    index, process, receivers, chaos, events.backlog_changed
                )

        self.order = ResultOrder(self._streams)

    def write(self, sink: SinkId, chunk: bytes) -> None:
        """Queue whole records for a sink."""
        (self._files.get(sink) or self._appended.get(sink) or self._streams[sink]).write(chunk)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the sinks have not taken yet."""
        return sum(sink.backlog_bytes for sink in self._streams.values())

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        await self._pause()

    async def _pause(self) -> None:
        await self._process.pause(self._process.loop.random.random() * DELAY_S)

    def cut(self, checkpoint: CheckpointId) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """End the output of ``checkpoint``; the result waits until a crash cannot lose it."""
        for file in self._files.values():
            file.cut(checkpoint)
        marks = [(sink, sink.written_bytes) for sink in self._streams.values()]
        return lambda: self._finish_cut(checkpoint, marks)

    async def _finish_cut(
        self, checkpoint: CheckpointId, marks: list[tuple[StreamSink, int]]
    ) -> list[StagedOutput]:
        await self._pause()
        while any(sink.settled_bytes < mark for sink, mark in marks):
            await self._process.pause(LOOK_S)
        return [part for file in self._files.values() for part in file.uncommitted(checkpoint)]

    def cut_files(
        self, checkpoint: CheckpointId, *, is_staged: bool
    ) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Do the same as ``cut`` for files only; without staging wait until all is written."""
        if not is_staged:
            return self._written
        for file in self._files.values():
            file.cut(checkpoint)
        return lambda: self._finish_cut(checkpoint, [])

    async def _written(self) -> list[StagedOutput]:
        for file in self._appended.values():
            await file.is_written.wait()
        return []

    def committed(self, checkpoint: CheckpointId) -> None:
        """Note that the checkpoint is committed."""
        for file in self._files.values():
            file.committed(checkpoint)

    async def discard(self) -> None:
        """Delete staged output that does not belong to a committed checkpoint."""
        await self._pause()
        for file in self._files.values():
            file.discard()

    async def flush(self) -> None:
        """Wait until the sinks have everything."""
        await self._written()
        while any(sink.settled_bytes < sink.written_bytes for sink in self._streams.values()):
            await self._process.pause(LOOK_S)
