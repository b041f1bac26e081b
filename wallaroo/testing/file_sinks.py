"""Simulated files that sinks write to: staged with checkpoints, appended to without."""

from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.connectors.file import staged_name
from wallaroo.names import CheckpointId
from wallaroo.testing.disk import Disk
from wallaroo.testing.loop import Process
from wallaroo.testing.waiting import Flag

DELAY_S = 0.004


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
        self._uncommitted: dict[CheckpointId, tuple[str, int]] = {}
        """Name and size. An abandoned checkpoint may ask for them when a later one is committed."""

    def write(self, chunk: bytes) -> None:
        """Append to the current staged file."""
        if not self._present:
            self._number += 1
            self._present = staged_name(self._path, self._stage, self._number)
            self._disk.staged[self._present] = bytearray()
        self._disk.staged[self._present] += chunk

    def cut(self, checkpoint: CheckpointId) -> None:
        """End the current staged file, which belongs to ``checkpoint``."""
        if self._present:
            size = len(self._disk.staged[self._present])
            self._uncommitted[checkpoint] = (self._present, size)
            self._present = ""

    def uncommitted(self, checkpoint: CheckpointId) -> list[StagedOutput]:
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

    def discard(self) -> None:
        """Delete staged files that do not belong to a committed checkpoint."""
        for name in [*(name for name, _ in self._uncommitted.values()), self._present]:
            self._disk.staged.pop(name, None)
        self._uncommitted.clear()
        self._present = ""


class AppendedSink:
    """One worker's output for a file to which all workers append."""

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
