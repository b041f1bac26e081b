"""Frames from other workers that wait to be processed, in order of arrival, barriers respected.

Once a barrier has come over an edge from a worker, what that worker sends over that edge belongs
behind the checkpoint: it is held back until the barrier is through everywhere on this worker. So
is a barrier of a later checkpoint, which belongs behind those records in its turn.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from wallaroo.names import CheckpointId, EdgeId, WorkerName
from wallaroo.operators.batches import Batch, BatchFormat
from wallaroo.operators.dataflow import Dataflow
from wallaroo.wire.data_frames import Barrier, BatchFrame, NumberedFrame


class Link(Protocol):
    """Where a frame came from."""

    @property
    def worker(self) -> WorkerName:
        """Who sent it."""
        ...

    def processed(self, frame: NumberedFrame) -> None:
        """All of the frame is processed."""
        ...


@dataclass(slots=True)
class Waiting:
    """A frame and how far it is processed."""

    link: Link
    frame: BatchFrame | Barrier
    position: int = 0
    _batch: Batch | None = None

    def unpacked(self, dataflow: Dataflow) -> Batch:
        """Return the records of a batch frame, which are unpacked once."""
        if self._batch is None:
            assert isinstance(self.frame, BatchFrame)
            form = BatchFormat(self.frame.form)
            self._batch = dataflow.unpack(self.frame.edge, form, self.frame.body)
        return self._batch

    def advance(self, record_count: int) -> int:
        """So many more records are processed; return how many are by now."""
        self.position += record_count
        return self.position


class Inbox:
    """The frames of one worker."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self._held_back: deque[Waiting] = deque()
        self._behind_barrier: dict[tuple[WorkerName, EdgeId], CheckpointId] = {}
        self.byte_count = 0
        """Of all batches here, those held back included."""

    def append(self, link: Link, frame: BatchFrame | Barrier) -> None:
        """A frame has come."""
        self._queue.append(Waiting(link, frame))
        if isinstance(frame, BatchFrame):
            self.byte_count += len(frame.body)

    @property
    def first(self) -> Waiting | None:
        """What may be processed next."""
        while self._queue:
            waiting = self._queue[0]
            if (
                not self._behind_barrier
                or (waiting.link.worker, waiting.frame.edge) not in self._behind_barrier
            ):
                return waiting
            self._held_back.append(self._queue.popleft())
        return None

    def remove_first(self) -> None:
        """The first frame is processed; its sender may know."""
        waiting = self._queue.popleft()
        if isinstance(waiting.frame, BatchFrame):
            self.byte_count -= len(waiting.frame.body)
        waiting.link.processed(waiting.frame)

    def hold_back(self, worker: WorkerName, edge: EdgeId, checkpoint: CheckpointId) -> None:
        """A barrier came: what this worker sends over this edge from now on has to wait."""
        self._behind_barrier[worker, edge] = checkpoint

    def check(self) -> None:
        """Assert that frames are held back for a barrier only, and that the bytes are counted."""
        assert self._behind_barrier or not self._held_back, "frames are held back for no barrier"
        frames = [waiting.frame for waiting in (*self._queue, *self._held_back)]
        byte_count = sum(len(frame.body) for frame in frames if isinstance(frame, BatchFrame))
        assert byte_count == self.byte_count

    def release(self, checkpoint: CheckpointId) -> None:
        """The barrier is through, or given up: what was held back for it goes on, in its order.

        What is behind the barrier of a later checkpoint stays: it may be here before this worker
        hears that the one before was given up.
        """
        self._behind_barrier = {
            place: held_for
            for place, held_for in self._behind_barrier.items()
            if held_for > checkpoint
        }
        self._queue.extendleft(reversed(self._held_back))
        self._held_back.clear()
