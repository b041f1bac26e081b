"""The sinks of a simulated worker: streams that may lose their receiver, and files."""

from collections.abc import Awaitable, Callable

from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.connectors.file import FileSink, staged_name
from wallaroo.names import CheckpointId, SinkId
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.testing.streams import Receivers, StreamSink
from wallaroo.testing.waiting import Flag
from wallaroo.topology.plan import Plan

BREAK_PROBABILITY = 0.03
SLOW_PROBABILITY = 0.05
DELAY_S = 0.004
SLOW_DELAY_S = 1.0
LOOK_S = 0.01
WRITE_BYTES_MAX = 1 << 10


class StagedSink:
    """One worker's output for a file: staged until its checkpoint is committed."""

    def __init__(self, sink: int, path: str, stage: str, process: Process, disk: Disk) -> None:
        self._sink = sink
        self._path = path
        self._stage = stage
        self._process = process
        self._disk = disk
        self._number = 0
        self._present = ""
        self._uncommitted: dict[CheckpointId, str] = {}

    def write(self, chunk: bytes) -> None:
        """Append to the present staged file."""
        if not self._present:
            self._number += 1
            self._present = staged_name(self._path, self._stage, self._number)
            self._disk.staged[self._present] = bytearray()
        self._disk.staged[self._present] += chunk

    def cut(self, checkpoint: CheckpointId) -> None:
        """Have what was written until now belong to ``checkpoint``."""
        if self._present:
            self._uncommitted[checkpoint] = self._present
            self._present = ""

    def uncommitted(self, checkpoint: CheckpointId) -> list[StagedOutput]:
        """Return the parts up to ``checkpoint`` that no checkpoint holds yet."""
        return [
            StagedOutput(self._sink, name, len(self._disk.staged[name]), each)
            for each, name in sorted(self._uncommitted.items())
            if each <= checkpoint
        ]

    def committed(self, checkpoint: CheckpointId) -> None:
        """The parts up to this checkpoint are the initializer's."""
        for each in [each for each in self._uncommitted if each <= checkpoint]:
            del self._uncommitted[each]

    def discard(self) -> None:
        """Delete what belongs to no checkpoint."""
        for name in [*self._uncommitted.values(), self._present]:
            self._disk.staged.pop(name, None)
        self._uncommitted.clear()
        self._present = ""


class AppendedSink:
    """One worker's output for a file that all workers append to, each when it gets to it."""

    def __init__(self, path: str, process: Process, disk: Disk) -> None:
        self._content = disk.files.setdefault(path, bytearray())
        self._process = process
        self._queue: list[bytes] = []
        self.is_written = Flag()
        self.is_written.set()

    def write(self, chunk: bytes) -> None:
        """Queue whole records."""
        if self.is_written.is_set():
            self._process.call_later(self._process.loop.random.random() * DELAY_S, self._append)
        self.is_written.clear()
        self._queue.append(chunk)

    def _append(self) -> None:
        for chunk in self._queue:
            self._content += chunk
        self._queue.clear()
        self.is_written.set()


class SimulatedSinks:
    """All sinks of one worker; without a ``stage`` files are appended to."""

    def __init__(
        self,
        plan: Plan,
        stage: str | None,
        process: Process,
        disk: Disk,
        receivers: Receivers,
        chaos: Chaos,
    ) -> None:
        self._process = process
        self._files: dict[int, StagedSink] = {}
        self._appended: dict[int, AppendedSink] = {}
        self._streams: dict[int, StreamSink] = {}
        for index, sink in enumerate(plan.sinks):
            if isinstance(sink, FileSink) and stage is None:
                self._appended[index] = AppendedSink(sink.path, process, disk)
            elif isinstance(sink, FileSink):
                assert stage is not None
                self._files[index] = StagedSink(index, sink.path, stage, process, disk)
            else:
                self._streams[index] = StreamSink(index, process, receivers, chaos)

    def when_progressing(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever a backlog has shrunk."""
        for sink in self._streams.values():
            sink.on_progress = call

    def write(self, sink: SinkId, chunk: bytes) -> None:
        """Queue whole records for a sink."""
        (self._files.get(sink) or self._appended.get(sink) or self._streams[sink]).write(chunk)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that no sink has taken yet."""
        return sum(sink.backlog_bytes for sink in self._streams.values())

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        await self._pause()

    async def _pause(self) -> None:
        await self._process.pause(self._process.loop.random.random() * DELAY_S)

    def cut(self, checkpoint: CheckpointId) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Have what was written until now belong to ``checkpoint``; wait until it is safe."""
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
        """As ``cut``, for files alone; where output is not staged, until all of it is written."""
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
        """The checkpoint stands."""
        for file in self._files.values():
            file.committed(checkpoint)

    async def discard(self) -> None:
        """Give up all staged output that belongs to no checkpoint."""
        await self._pause()
        for file in self._files.values():
            file.discard()

    async def flush(self) -> None:
        """Wait until the sinks have everything."""
        await self._written()
        while any(sink.settled_bytes < sink.written_bytes for sink in self._streams.values()):
            await self._process.pause(LOOK_S)
