"""Frames from other workers that wait to be processed, in order of arrival, barriers respected.

Once a barrier has arrived over an edge from a worker, what that worker sends over that edge is not
part of the checkpoint: it is held back until the barrier is through everywhere on this worker. So
is a barrier of a later checkpoint, which follows these records.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.operators.batches import Batch, BatchFormat
from wallaroo.operators.dataflow import Dataflow
from wallaroo.wire.data_frames import Barrier, BatchFrame, ClockFrame, NumberedFrame


class Link(Protocol):
    """The link over which a frame arrived."""

    @property
    def worker(self) -> WorkerName:
        """The worker that sent it."""
        ...

    @property
    def incarnation(self) -> Epoch:
        """The epoch at which that worker was started, or joined again."""
        ...

    def processed(self, frame: NumberedFrame) -> None:
        """Note that all of the frame is processed."""
        ...


@dataclass(slots=True)
class Waiting:
    """A frame, and how many of its records are processed."""

    link: Link
    frame: BatchFrame | Barrier | ClockFrame
    position: int = 0
    _batch: Batch | None = None

    def unpacked(self, dataflow: Dataflow) -> Batch:
        """Return the records of a batch frame; unpack them the first time."""
        if self._batch is None:
            assert isinstance(self.frame, BatchFrame)
            form = BatchFormat(self.frame.form)
            self._batch = dataflow.unpack(self.frame.edge, form, self.frame.body)
        return self._batch

    def advance(self, record_count: int) -> int:
        """Count records as processed; return how many are."""
        self.position += record_count
        return self.position


class Inbox:
    """The frames of one worker."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self._held_back: deque[Waiting] = deque()
        self._behind_barrier: dict[tuple[WorkerName, EdgeId], CheckpointId] = {}
        self.byte_count = 0
        """Bytes of all batches here, including those held back."""

    def append(self, link: Link, frame: BatchFrame | Barrier | ClockFrame) -> None:
        """Queue a frame that has arrived."""
        self._queue.append(Waiting(link, frame))
        if isinstance(frame, BatchFrame):
            self.byte_count += len(frame.body)

    @property
    def first(self) -> Waiting | None:
        """The frame that may be processed next."""
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
        """Remove the first frame, which is processed, and report that to its sender."""
        waiting = self._queue.popleft()
        if isinstance(waiting.frame, BatchFrame):
            self.byte_count -= len(waiting.frame.body)
        waiting.link.processed(waiting.frame)

    def hold_back(self, worker: WorkerName, edge: EdgeId, checkpoint: CheckpointId) -> None:
        """Hold back what this worker sends over this edge from now on, behind its barrier."""
        self._behind_barrier[worker, edge] = checkpoint

    def check(self) -> None:
        """Assert that frames are held back for a barrier only, and that the bytes are counted."""
        assert self._behind_barrier or not self._held_back, "frames are held back without a barrier"
        frames = [waiting.frame for waiting in (*self._queue, *self._held_back)]
        byte_count = sum(len(frame.body) for frame in frames if isinstance(frame, BatchFrame))
        assert byte_count == self.byte_count

    def release(self, checkpoint: CheckpointId) -> None:
        """Queue again, in its order, what was held back for a barrier that is through or given up.

        What is behind the barrier of a later checkpoint stays held back. Such a barrier may arrive
        before this worker knows that the earlier checkpoint was given up.
        """
        self._behind_barrier = {
            place: held_for
            for place, held_for in self._behind_barrier.items()
            if held_for > checkpoint
        }
        self._queue.extendleft(reversed(self._held_back))
        self._held_back.clear()
