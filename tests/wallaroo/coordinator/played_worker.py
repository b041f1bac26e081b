"""A worker that is played: it answers a coordinator's orders by a script, and does nothing else.

The usual script says what a worker that succeeds would say. A test gives other answers for the
orders that it is about, by the class of the order, or has the worker speak at a time of its own
choice by calling an answer itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Assign,
    Checkpoint,
    Committed,
    ControlFrame,
    Drain,
    Drained,
    Emptied,
    Empty,
    Gather,
    Gathered,
    Held,
    Hold,
    Join,
    Moved,
    NotSaved,
    Open,
    Opened,
    Ready,
    Rewind,
    Saved,
)
from wallaroo.wire.outbox import CutDelivered, DeliverCut

OUTLINE = ["step one", "step two"]


class PlayedWorker:
    """One process of a worker: what it has heard, and what it would answer."""

    def __init__(self, name: WorkerName, incarnation: Epoch, *, is_durable: bool = True) -> None:
        self.name = name
        self.incarnation = incarnation
        self.is_durable = is_durable
        self.epoch = incarnation
        self.checkpoint = CheckpointId(0)
        """The last one ordered, by itself or with another order."""
        self.resize = 0
        """The last one that it takes part in."""
        self.cuts: list[CheckpointId] = []
        """Cuts of the last manifest that are not delivered by all workers."""
        self.is_connecting = False
        self.is_replayed = True
        """Whether its journals are replayed."""

    def replays(self, *, is_done: bool) -> None:
        """Begin to replay a journal, or be done with that."""
        self.is_replayed = is_done

    def hear(self, order: ControlFrame) -> None:
        """Take note of an order."""
        self.epoch = order.epoch
        match order:
            case Checkpoint(_, checkpoint) | Drain(_, checkpoint):
                self.checkpoint = checkpoint
            case Hold(_, resize, checkpoint):
                self.resize, self.checkpoint = resize, checkpoint
            case Gather(_, resize) | Empty(_, resize):
                self.resize = resize
            case Assign():
                self.cuts, self.is_connecting = order.cuts, True
            case Committed():
                self.cuts = order.cuts
            case DeliverCut(_, cut):
                self.cuts = [each for each in self.cuts if each >= cut]

    def has_connected(self) -> None:
        """Note that this worker is ready."""
        self.is_connecting = False

    def answers(self, order: ControlFrame, script: "Script | None" = None) -> list[ControlFrame]:
        """Take note of an order; return what the script answers, or else the usual one."""
        self.hear(order)
        answer = (script or {}).get(type(order)) or USUAL.get(type(order), says_nothing)
        return answer(self)


Answer = Callable[[PlayedWorker], list[ControlFrame]]
Script = Mapping[type[ControlFrame], Answer]


# What a worker may say


def joins(worker: PlayedWorker, journals: list[JournalExtent] | None = None) -> list[ControlFrame]:
    address, folder = f"{worker.name}:{worker.epoch}", f"/disk of {worker.name}"
    extents = [each.to_wire() for each in journals or ()]
    return [Join(worker.epoch, worker.name, 1, address, OUTLINE, "", extents, folder)]


def is_ready(worker: PlayedWorker) -> list[ControlFrame]:
    return [Ready(worker.epoch)]


def has_delivered(worker: PlayedWorker) -> list[ControlFrame]:
    """The lowest cut is delivered; the last one is not reported."""
    return [CutDelivered(worker.epoch, worker.cuts[0])] if len(worker.cuts) > 1 else []


def connects(worker: PlayedWorker) -> list[ControlFrame]:
    """It is ready once all results of its checkpoint are delivered."""
    if len(worker.cuts) > 1 or not worker.is_connecting:
        return has_delivered(worker)
    worker.has_connected()
    return is_ready(worker)


def is_open(worker: PlayedWorker) -> list[ControlFrame]:
    return [Opened(worker.epoch)]


def has_saved(worker: PlayedWorker) -> list[ControlFrame]:
    content = content_of(worker.name)
    return [Saved(worker.epoch, worker.checkpoint, content, worker.is_replayed)]


def cannot_save(worker: PlayedWorker) -> list[ControlFrame]:
    return [NotSaved(worker.epoch, worker.checkpoint, "no space left")]


def has_drained(worker: PlayedWorker) -> list[ControlFrame]:
    counts = counted_source(worker.name, 1)
    return [Drained(worker.epoch, worker.checkpoint, worker.incarnation, counts)]


def saves_and_drains(worker: PlayedWorker) -> list[ControlFrame]:
    saved = has_saved(worker) if worker.is_durable else []
    return saved + has_drained(worker)


def cannot_save_and_drain(worker: PlayedWorker) -> list[ControlFrame]:
    return cannot_save(worker) if worker.is_durable else has_drained(worker)


def has_gathered(worker: PlayedWorker) -> list[ControlFrame]:
    return [Gathered(worker.epoch, worker.resize)]


def is_empty(worker: PlayedWorker) -> list[ControlFrame]:
    return [Emptied(worker.epoch, worker.resize)]


def is_held(
    worker: PlayedWorker,
    left: list[Any] | None = None,
    owed_sinks: list[int] | None = None,
    splits: dict[int, Any] | None = None,
) -> list[ControlFrame]:
    return [Held(worker.epoch, worker.resize, left or [], 1000, owed_sinks or [], splits or {})]


def has_moved(worker: PlayedWorker) -> list[ControlFrame]:
    return [Moved(worker.epoch, worker.resize, 10, 100)]


def says_nothing(_worker: PlayedWorker) -> list[ControlFrame]:
    return []


USUAL: Script = {
    Assign: connects,
    Committed: has_delivered,
    DeliverCut: connects,
    Open: is_open,
    Rewind: joins,
    Checkpoint: has_saved,
    Drain: saves_and_drains,
    Gather: has_gathered,
    Empty: is_empty,
    Hold: is_held,
}
FAILS_TO_SAVE: Script = {Checkpoint: cannot_save, Drain: cannot_save_and_drain}


# What it says in them


def counted_source(worker: str, came: int, failed: int = 0) -> dict[str, Any]:
    """Return the counts of a worker that has only one source."""
    return {worker: {"p/source": [came, came - failed, 0, failed]}}


def content_of(worker: WorkerName) -> list[Any]:
    return [f"what {worker} saved"]
