"""A target that keeps a number for each slot, and an outbox whose requests wait to be answered."""

from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.outbox_objects import read_results
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import StoreError, WallarooError
from wallaroo.names import CheckpointId, Epoch, SinkId, WorkerName
from wallaroo.worker.outbox import Outbox, OutboxLimits, OutboxOwner

W1, W2 = WorkerName("w1"), WorkerName("w2")
NO_LIMIT = CheckpointId(1 << 40)
SMALL = OutboxLimits(batch=200, kept=500, undelivered=1000)


@dataclass
class Target:
    """What outlives all processes."""

    numbers: dict[str, int] = field(default_factory=dict)
    rows: list[Any] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    def write(self, batch: OutboxBatch) -> None:
        """Write records and number in one step."""
        assert batch.number > self.numbers.get(batch.slot, 0), "a batch is written twice"
        self.rows += read_results(self.objects[batch.name], batch, batch.name)
        self.numbers[batch.slot] = batch.number


class Played:
    """One incarnation of an outbox, and its unanswered requests."""

    def __init__(
        self, target: Target, worker: WorkerName = W1, epoch: int = 1, limits: OutboxLimits = SMALL
    ) -> None:
        self.target = target
        self.requests: list[tuple[Any, ...]] = []
        self.refused: list[tuple[Any, str]] = []
        self.unknown: list[OutboxBatch] = []
        self.writes_unknown = True
        self.progress_count = 0
        self.outbox = Outbox(
            OutboxOwner(sink=SinkId(0), worker=worker, epoch=Epoch(epoch)),
            StatePickler(),
            self,
            limits,
        )

    # The ports

    def put(self, name: str, data: bytes, after_s: float) -> None:
        self.requests.append(("put", name, data, after_s))

    def open(self, slot: str, after_s: float) -> None:
        self.requests.append(("open", slot, after_s))

    def write(self, batch: OutboxBatch, data: bytes | None) -> None:
        assert data is None or data == self.target.objects[batch.name]
        self.requests.append(("write", batch))

    def refuse(self, result: Any, reason: str) -> None:
        self.refused.append((result, reason))

    def number_missing(self, batch: OutboxBatch) -> bool:
        self.unknown.append(batch)
        return self.writes_unknown

    def progressed(self) -> None:
        self.progress_count += 1

    # What happens to the requests

    def kinds(self) -> list[str]:
        return [request[0] for request in self.requests]

    def answer(self, index: int = 0) -> None:
        """Carry out a request and answer it."""
        match self.requests.pop(index):
            case ("put", str(name), bytes(data), _):
                assert name not in self.target.objects
                self.target.objects[name] = data
                self.outbox.stored(name, None)
            case ("open", str(slot), _):
                self.outbox.opened(slot, self.target.numbers.get(slot))
            case ("write", batch):
                self.target.write(batch)
                self.outbox.written()

    def fail(self, index: int = 0, *, is_done: bool = False) -> None:
        """Answer a request with a failure; the target may have done what was asked."""
        match self.requests.pop(index):
            case ("put", str(name), bytes(), _):
                self.outbox.stored(name, StoreError("the store is away"))
            case ("open", *_):
                self.outbox.failed()
            case ("write", batch):
                if is_done:
                    self.target.write(batch)
                self.outbox.failed()

    def answer_all(self) -> None:
        while self.requests:
            self.answer()

    def begun(
        self, *in_doubt: OutboxBatch, barrier: int = 0, limit: CheckpointId = NO_LIMIT
    ) -> "Played":
        """Begin, and answer until the outbox is ready."""
        self.outbox.begin(CheckpointId(barrier), in_doubt, limit)
        self.answer_all()
        return self

    def save(self, barrier: int) -> list[OutboxBatch]:
        """Cut, and answer until the share is complete; return what it lists."""
        self.outbox.cut(CheckpointId(barrier))
        self.answer_all()
        assert self.outbox.is_settled()
        return self.outbox.uncommitted()


def settled(outbox: Outbox) -> bool | WallarooError:
    """Return whether the share is complete, or why there is none."""
    try:
        return outbox.is_settled()
    except WallarooError as error:
        return error
