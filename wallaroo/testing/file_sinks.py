"""Simulated files that sinks write to: staged with checkpoints, appended to without."""

from typing import Any

from wallaroo.checkpoint.manifest import SinkShare, StagedOutput
from wallaroo.connectors.file import staged_name
from wallaroo.names import CheckpointId
from wallaroo.testing.disk import Disk
from wallaroo.testing.loop import Process
from wallaroo.testing.waiting import Flag
from wallaroo.worker.sink_port import FinishCut

DELAY_S = 0.004


class _FileSink:
    """What both kinds of files have: nothing waits for them, and cuts keep their order."""

    stream = None
    preparing = None
    outbox = None
    settled_bytes = 0
    backlog_bytes = 0

    def __init__(self, process: Process) -> None:
        self._process = process

    async def connected(self) -> None:
        """Wait a moment."""
        await pause_a_moment(self._process)

    def settle(self) -> None:
        """Do nothing: a file acknowledges nothing."""

    def close(self) -> None:
        """Do nothing: what is staged stays as it is."""


class StagedSink(_FileSink):
    """One worker's output for a file: staged until its checkpoint is committed."""

    def __init__(self, sink: int, path: str, stage: str, process: Process, disk: Disk) -> None:
        super().__init__(process)
        self._sink = sink
        self._path = path
        self._stage = stage
        self._disk = disk
        self._number = 0
        self._present = ""
        self._uncommitted: dict[CheckpointId, tuple[str, int]] = {}
        """Name and size. An abandoned checkpoint may ask for them when a later one is committed."""

    def write(self, rows: list[Any]) -> int:
        """Append to the current staged file."""
        chunk = b"".join(rows)
        if not self._present:
            self._number += 1
            self._present = staged_name(self._path, self._stage, self._number)
            self._disk.staged[self._present] = bytearray()
        self._disk.staged[self._present] += chunk
        return len(chunk)

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """End the current staged file, which belongs to ``checkpoint``."""
        if self._present:
            size = len(self._disk.staged[self._present])
            self._uncommitted[checkpoint] = (self._present, size)
            self._present = ""

        async def finish() -> SinkShare:
            await pause_a_moment(self._process)
            return SinkShare(staged=self._parts(checkpoint))

        return finish

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Cut: what other workers write from now on is appended behind it."""
        return self.cut(checkpoint)

    def _parts(self, checkpoint: CheckpointId) -> list[StagedOutput]:
        """Return the parts up to ``checkpoint`` that no committed checkpoint has."""
        return [
            StagedOutput(self._sink, name, size, each)
            for each, (name, size) in sorted(self._uncommitted.items())
            if each <= checkpoint
        ]

    def committed(self, checkpoint: CheckpointId) -> None:
        """Forget the parts up to this checkpoint, which the initializer appends to the file."""
        for each in [each for each in self._uncommitted if each <= checkpoint]:
            del self._uncommitted[each]

    async def discard(self) -> None:
        """Delete staged files that do not belong to a committed checkpoint."""
        await pause_a_moment(self._process)
        for name in [*(name for name, _ in self._uncommitted.values()), self._present]:
            self._disk.staged.pop(name, None)
        self._uncommitted.clear()
        self._present = ""

    async def flush(self) -> None:
        """Do nothing: everything is staged at once."""


class AppendedSink(_FileSink):
    """One worker's output for a file to which all workers append."""

    def __init__(self, path: str, process: Process, disk: Disk) -> None:
        super().__init__(process)
        self._content = disk.files.setdefault(path, bytearray())
        self._queue: list[bytes] = []
        self._is_written = Flag()
        self._is_written.set()

    def write(self, rows: list[Any]) -> int:
        """Queue whole records."""
        chunk = b"".join(rows)
        if self._is_written.is_set():
            self._process.call_later(self._process.loop.random.random() * DELAY_S, self._append)
        self._is_written.clear()
        self._queue.append(chunk)
        return len(chunk)

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Wait until everything written so far is appended."""
        return self._appended

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Do the same, so that what other workers write from now on is behind it."""
        return self._appended

    async def _appended(self) -> SinkShare:
        await self._is_written.wait()
        return SinkShare()

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: there are no checkpoints."""

    async def discard(self) -> None:
        """Discard nothing, since there are no checkpoints."""
        await pause_a_moment(self._process)

    async def flush(self) -> None:
        """Wait until everything is appended."""
        await self._appended()

    def _append(self) -> None:
        for chunk in self._queue:
            self._content += chunk
        self._queue.clear()
        self._is_written.set()


async def pause_a_moment(process: Process) -> None:
    """Wait as long as the simulation draws, at most ``DELAY_S``."""
    await process.pause(process.loop.random.random() * DELAY_S)
