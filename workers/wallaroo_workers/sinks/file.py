"""File sinks: write queued output in a thread, in order, one piece at a time.

A write blocks while the system is busy writing to the disk: up to 60 ms were measured, instead of
the usual 80 microseconds a piece. The thread costs about 70 microseconds a piece, and output that
arrives meanwhile becomes the next piece.
"""

import asyncio
import os
from collections import deque
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.manifest import SinkShare, StagedOutput
from wallaroo.connectors.file import FileSink, StagedPart
from wallaroo.errors import ClusterError
from wallaroo.names import CheckpointId
from wallaroo.worker.sink_port import FinishCut, SinkContext
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.runner import ProcessSinkRunner, flush_queue
from wallaroo_workers.sinks.staged import AppendedFile, StagedFiles

log = get_logger()

WRITE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class _Cut:
    """Output queued before it belongs to a checkpoint."""

    checkpoint: CheckpointId
    done: "asyncio.Future[StagedPart | None]"


@dataclass(frozen=True, slots=True)
class _Discard:
    """Staged output that belongs to no checkpoint is to be deleted."""

    done: "asyncio.Future[None]"


@dataclass(frozen=True, slots=True)
class _Mark:
    """Somebody waits until the output queued before it is written."""

    done: "asyncio.Future[None]"


def new_runner(sink: FileSink, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of this sink."""
    return FileSinkRunner(os.path.join(context.folder, sink.path), context)


class FileSinkRunner:
    """This worker's output for one file, including what still has to be written.

    Without a ``stage`` output is appended to the file at ``path``, which exists. With a ``stage``,
    which names this incarnation of the worker, output goes to staged files: ``cut`` ends a file and
    makes it durable, ``committed`` reports that its checkpoint is committed, and ``discard``
    deletes files that belong to no checkpoint.
    """

    stream = None
    preparing = None
    outbox = None
    """Results are in order by their cuts."""
    connection_count = 1
    wait = None
    batches = None
    """A file is always there."""

    def __init__(self, path: str, context: SinkContext) -> None:
        self.address = path
        self.name = context.name
        self._index = context.index
        stage = context.stage
        self._appended = AppendedFile(path)
        self._staged = StagedFiles(path, stage) if stage is not None else None
        self._queue: deque[bytes | _Cut | _Discard | _Mark] = deque()
        self._has_work = asyncio.Event()
        self._uncommitted: dict[CheckpointId, StagedPart] = {}
        self.written_bytes = 0
        self.queued_bytes = 0
        """Bytes that are not in a file yet."""
        self._started = asyncio.Event()
        self._events = context.events

    @property
    def backlog_bytes(self) -> int:
        """Bytes that are not in a file yet."""
        return self.queued_bytes

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever queued here are in a file or were discarded."""
        return self.written_bytes - self.queued_bytes

    @property
    def is_connected(self) -> bool:
        """Whether ``run`` has started."""
        return self._started.is_set()

    async def connected(self) -> None:
        """Wait until ``run`` has started."""
        await self._started.wait()

    def write(self, rows: list[Any]) -> int:
        """Queue whole records."""
        chunk = b"".join(rows)
        self.written_bytes += len(chunk)
        self.queued_bytes += len(chunk)
        self._add(chunk)
        return len(chunk)

    async def run(self) -> None:
        """Write what is queued until cancelled, or until the file cannot be written."""
        self._started.set()
        try:
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                while self._queue:
                    await self._work_off_first()
        except OSError as error:
            self._fail(error)

    def settle(self) -> None:
        """Do nothing: files send no acknowledgements."""

    def close(self) -> None:
        """Close the file, since everything is written. Staged output that is not cut stays."""
        self._appended.close()

    # For checkpoints

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """End the staged file; the checkpoint names all parts that no checkpoint has yet."""
        cut = self.end_file(checkpoint)

        async def finish() -> SinkShare:
            await cut
            parts = self.uncommitted(checkpoint)
            return SinkShare(
                staged=[
                    StagedOutput(self._index, part.name, part.byte_count, each)
                    for each, part in parts
                ]
            )

        return finish

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Cut; without staged files, wait until everything is appended."""
        return self.cut(checkpoint) if self._staged is not None else self._written

    async def _written(self) -> SinkShare:
        await self.written()
        return SinkShare()

    async def flush(self) -> None:
        """Wait until everything is in a file, staged or not."""
        await flush_queue(self)

    def end_file(self, checkpoint: CheckpointId) -> "asyncio.Future[StagedPart | None]":
        """Make what was written so far part of ``checkpoint``; later output belongs to the next.

        The result is the staged file with all of it once that is durable, or ``None`` if there was
        no output since the last cut.
        """
        done: asyncio.Future[StagedPart | None] = asyncio.get_running_loop().create_future()
        self._add(_Cut(checkpoint, done))
        return done

    def uncommitted(self, checkpoint: CheckpointId) -> list[tuple[CheckpointId, StagedPart]]:
        """Return the parts up to ``checkpoint`` that no checkpoint holds yet, oldest first.

        The key of a part is the barrier that it was cut at.
        """
        return [
            (each, part) for each, part in sorted(self._uncommitted.items()) if each <= checkpoint
        ]

    async def written(self) -> None:
        """Wait until everything that is queued now is in the file."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Mark(done))
        await done

    def committed(self, checkpoint: CheckpointId) -> None:
        """Forget the parts up to this checkpoint; the initializer commits and deletes them."""
        for each in [each for each in self._uncommitted if each <= checkpoint]:
            del self._uncommitted[each]

    async def discard(self) -> None:
        """Discard everything that no committed checkpoint has, staged or only queued."""
        await self.discard_after(CheckpointId(0))

    def discard_after(self, committed: CheckpointId) -> "asyncio.Future[None]":
        """Discard everything after the last committed checkpoint, staged or only queued.

        The result is set when its staged files are deleted. New output may be queued immediately.
        """
        self.committed(committed)
        self._cancel_queued()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Discard(done))
        return done

    # The queue, worked off in order

    def _add(self, work: bytes | _Cut | _Discard | _Mark) -> None:
        self._queue.append(work)
        self._has_work.set()

    async def _work_off_first(self) -> None:
        loop = asyncio.get_running_loop()
        work = self._queue[0]
        if isinstance(work, bytes):
            data = self._take_chunks()
            await loop.run_in_executor(None, (self._staged or self._appended).write, data)
            self.queued_bytes -= len(data)
            self._events.backlog_changed()
            return
        self._queue.popleft()
        if isinstance(work, _Mark):
            if not work.done.done():
                work.done.set_result(None)
            return
        assert self._staged is not None, "only staged output can be cut"
        try:
            if isinstance(work, _Cut):
                part = await loop.run_in_executor(None, self._staged.cut)
                if part is not None:
                    self._uncommitted[work.checkpoint] = part
                if not work.done.done():
                    work.done.set_result(part)
            else:
                # Collected only now, so that a cut still running in the thread is included.
                parts = [*self._uncommitted.values()]
                self._uncommitted.clear()
                await loop.run_in_executor(None, self._staged.drop, parts)
                if not work.done.done():
                    work.done.set_result(None)
        except OSError:
            work.done.cancel()
            raise

    def _take_chunks(self) -> bytes:
        """Remove one or more chunks from the queue, for one write."""
        chunks: list[bytes] = []
        size = 0
        while self._queue and isinstance(chunk := self._queue[0], bytes):
            size += len(chunk)
            if chunks and size > WRITE_BYTES_MAX:
                break
            chunks.append(chunk)
            self._queue.popleft()
        return b"".join(chunks)

    def _cancel_queued(self) -> None:
        for work in self._queue:
            if isinstance(work, bytes):
                self.queued_bytes -= len(work)
            else:
                work.done.cancel()
        self._queue.clear()

    def _fail(self, error: OSError) -> None:
        log.error(
            "sink.failed",
            sink=self.name,
            path=self.address,
            reason=error.strerror,
            bytes_queued=self.queued_bytes,
            next="the cluster stops",
        )
        for work in self._queue:
            if not isinstance(work, bytes):
                work.done.cancel()
        self._events.sink_failed(
            ClusterError(
                f"the output file {self.address} cannot be written: {error.strerror}",
                hint="make room, or give permission, and start again; what it holds is kept",
            )
        )
