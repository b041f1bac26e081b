"""Delivers the results of one sink exactly once: the outbox of a worker.

    add --full, or a cut--> object put into the store --> stored
    cut: the results before a barrier are all in objects --> listed in the worker's share
    committed: the manifest names them --> open the slot, write them in order --> delivered
    abandon: the checkpoint failed --> they are listed in the next share

The target keeps, for each *slot*, the number of the last batch beside the records. Records and
number are written in one step. A slot belongs to a worker's name, and one process at a time has it
open. So after any crash ``last() >= number`` says of each batch whether the target has it.

**What can go wrong**

* *Results become visible that no checkpoint holds.* After a crash the state goes back, the same
  records are processed again, and their results are written a second time. So nothing is written
  before the manifest exists.
* *The worker dies between the manifest and the write.* The results exist nowhere but in the store,
  so they have to be durable before the share is reported, and the manifest names them.
* *The answer to a write is lost.* The slot is opened again and asked for its number. This excludes
  that the write takes effect later, because ``open`` waits for it or excludes it.
* *A predecessor wakes up.* It has the same slot, and the successor has opened it since.
* *Batches pile up in doubt.* A target remembers one number for a slot, and a manifest names one
  interval. So a share is complete only when all batches of earlier checkpoints are delivered. If
  the target is away, the next checkpoint waits, and then back-pressure holds the sources.
* *An object cannot be stored.* Its bytes stay in memory and count for back-pressure. A drain, and a
  worker that leaves, wait for records that are held back, and no cut comes before that. So the
  object is put again after a pause, and not only by the next cut.
* *A number is used twice.* The number of a checkpoint would be: a run that goes back to an older
  one counts on from there. So a slot counts for itself, from the highest number that the target or
  the manifest knows.
* *Keys move to another worker.* The old owner's results have to be there before the new owner's.
  So batches have the barrier before which they were made, and ``limit`` says up to which one this
  worker may deliver, see ``Outboxes``.

**Invariants**

1. Numbers of this worker's own batches rise by one, in the order in which results were made.
2. Batches are written in the order of their cuts, and within a slot in the order of their numbers.
3. A batch is written only if a manifest names it, and at most one manifest's batches are in doubt.
4. Every batch is in memory or in the store until it is delivered.

**Why this order**

Results are pickled when they are added. User code may change an object later, and what is written
now must be what a recovery would write. Full objects are put into the store at once, so a long
interval does not wait in memory. A batch that fails is written again only after its slot was opened
again, since nothing else says whether it was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import OutboxBatch, outbox_name
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import WallarooError
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, SinkId, WorkerName
from wallaroo.worker.outbox_batches import BatchInProgress, MadeBatch, cut_of
from wallaroo.worker.retries import retry_pause_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """Sizes, in bytes but for one; a simulation has smaller ones."""

    batch: int = 8 << 20
    """A batch has at most this many, unless a single result has more."""
    results: int = 50_000
    """A batch has about this many results at most. More of them at a time are slower to read back,
    since their memory is then new to the process."""
    kept: int = 32 << 20
    """Batches that are in the store stay in memory up to this, so they need not be read back."""
    undelivered: int = 64 << 20
    """What is in the store counts for back-pressure beyond this, as long as a batch of an earlier
    checkpoint is not delivered. If it did not count, a target slower than the stream would make
    each interval longer than the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxOwner:
    """What names of objects and slots are made of."""

    sink: SinkId
    worker: WorkerName
    epoch: Epoch


class OutboxPorts(Protocol):
    """What an outbox asks of its process. Each request has one answer, unless it is discarded."""

    def put(self, name: str, data: bytes, after_s: float) -> None:
        """After a pause put an object into the store; the answer is ``stored``."""
        ...

    def open(self, slot: str, after_s: float) -> None:
        """Close the slot that is open, if any; after a pause open this one, and ask for its number.

        The answer is ``opened``, or ``failed``.
        """
        ...

    def write(self, batch: OutboxBatch, data: bytes | None) -> None:
        """Write a batch in the open slot; without `data` read its object from the store first.

        The answer is ``written``, or ``failed``.
        """
        ...

    def refuse(self, result: Any, reason: str) -> None:
        """Make this result a dead letter: it cannot be pickled."""
        ...

    def number_missing(self, batch: OutboxBatch) -> bool:
        """Report that the target knows no number, although it has earlier batches of this slot.

        Return whether the batch is to be written; otherwise the run ends.
        """
        ...

    def progressed(self) -> None:
        """Look again at what is waited for, and at the backlog."""
        ...


class Outbox:
    """The outbox of one worker for one sink, from one rewind to the next."""

    def __init__(
        self, owner: OutboxOwner, pickler: StatePickler, ports: OutboxPorts, limits: OutboxLimits
    ) -> None:
        self._owner = owner
        self._ports = ports
        self._limits = limits
        self._filling = BatchInProgress(
            pickler, limits.batch, limits.results, self._made, ports.refuse
        )
        self._made_count = 0
        self._last_barrier = NO_BARRIER
        self._next_number = 1
        self._uncommitted: list[MadeBatch] = []
        """Made, and in no manifest; those that a cut has not listed yet have no cut."""
        self._undelivered: list[MadeBatch] = []
        """In a manifest, in the order of delivery."""
        self._limit = NO_BARRIER
        """Batches with a higher cut have to wait for other workers."""
        self._kept_bytes = 0
        self._slot = ""
        """The slot that is open; empty for none."""
        self._last = 0
        """The number of its last batch."""
        self._has_numbers = self._is_ready = self._is_asking = self._is_over = False
        self._failure_count = 0
        self.delivered_bytes = 0
        """Of the bytes that ``add`` has counted, those that the target has."""

    # Before the first record

    def begin(
        self, barrier: CheckpointId, in_doubt: Sequence[OutboxBatch], limit: CheckpointId
    ) -> None:
        """Open the own slot; before that, deliver what a manifest names and the target lacks.

        ``in_doubt`` are the batches of this worker, and of workers that have left it to this one.
        """
        self._last_barrier, self._limit = barrier, limit
        own = [each.number for each in in_doubt if each.slot == self._owner.worker]
        self._next_number = max(own, default=0) + 1
        self._undelivered = [MadeBatch(each, None) for each in in_doubt]
        self._undelivered.sort(key=lambda batch: batch.order)
        self._deliver()

    @property
    def is_ready(self) -> bool:
        """Whether everything that was in doubt at the beginning is delivered, and the numbers of
        the own slot are known."""
        return self._is_ready

    # Results

    def add(self, results: list[Any]) -> int:
        """Add results behind all others; return how many bytes they count as."""
        assert self._has_numbers, "the numbers of this slot are not known yet"
        before = self._filling.added_bytes
        self._filling.add(results)
        return self._filling.added_bytes - before

    def _made(self, data: bytes, record_count: int) -> None:
        """Give a batch its number and its name, and put it into the store."""
        owner = self._owner
        name = outbox_name(
            self._last_barrier + 1, owner.worker, owner.epoch, owner.sink, self._made_count
        )
        number, self._next_number = self._next_number, self._next_number + 1
        self._made_count += 1
        batch = MadeBatch(
            OutboxBatch(
                owner.sink, owner.worker, name, number, record_count, len(data), NO_BARRIER
            ),
            data,
        )
        self._uncommitted.append(batch)
        self._put(batch)

    def _put(self, batch: MadeBatch) -> None:
        assert batch.data is not None
        self._ports.put(batch.content.name, batch.data, retry_pause_s(batch.failure_count))

    def stored(self, name: str, error: WallarooError | None) -> None:
        """Note that an object is durable; if it could not be stored, put it again."""
        for batch in self._uncommitted:
            if batch.content.name == name and not batch.is_stored:
                batch.end_put(error)
                if error is None:
                    self._keep(batch)
                else:
                    self._put(batch)
                self._ports.progressed()

    def _keep(self, batch: MadeBatch) -> None:
        """Keep the bytes of a batch in the store, if there is room for them."""
        size = batch.content.byte_count
        if self._kept_bytes + size > self._limits.kept:
            batch.drop_data()
        else:
            self._kept_bytes += size

    # Checkpoints

    def cut(self, barrier: CheckpointId) -> None:
        """End the present batch: everything added until now is before this barrier."""
        self._filling.end()
        self._last_barrier = barrier
        for batch in self._uncommitted:
            if not batch.content.cut:
                batch.cut_at(barrier)
            batch.forget_failures()

    def is_settled(self) -> bool:
        """Return whether the share is complete: nothing of an earlier checkpoint is in doubt, and
        the results before the last cut are durable.

        Raises what ``is_durable`` raises.
        """
        return self.is_durable() and not self._undelivered

    def is_durable(self) -> bool:
        """Return whether the results before the last cut are in the store.

        Raises ``WallarooError`` if one of their objects could not be stored.
        """
        cut = cut_of(self._uncommitted)
        for batch in cut:
            if batch.error is not None:
                raise batch.error
        return all(batch.is_stored for batch in cut)

    def uncommitted(self) -> list[OutboxBatch]:
        """Return the batches before the last cut that no manifest names."""
        return [batch.content for batch in cut_of(self._uncommitted)]

    def inherit(self, batches: Sequence[OutboxBatch]) -> None:
        """List batches of a worker that has left in the next share; they stay in its slot."""
        self._uncommitted[:0] = [MadeBatch(each, None) for each in batches]

    def give_away(self) -> None:
        """Forget what no manifest names: this worker leaves, and its successor delivers it."""
        self._uncommitted = []

    def committed(self, limit: CheckpointId) -> None:
        """Deliver what was cut, as a manifest names it now; at first up to the cut ``limit``."""
        self._limit = limit
        self._undelivered += cut_of(self._uncommitted)
        self._undelivered.sort(key=lambda batch: batch.order)
        self._uncommitted = [batch for batch in self._uncommitted if not batch.content.cut]
        self._deliver()

    def deliver_cut(self, limit: CheckpointId) -> None:
        """Deliver up to this cut: all workers have delivered those before it."""
        self._limit = limit
        self._deliver()

    def abandon(self, checkpoint: CheckpointId) -> None:
        """The checkpoint failed: its batches join the next cut and keep their numbers."""
        for batch in self._uncommitted:
            if batch.content.cut == checkpoint:
                batch.cut_at(NO_BARRIER)

    def discard(self) -> None:
        """Drop everything: the worker goes back to a checkpoint, or ends. Answers are ignored."""
        self._is_over = True
        self._uncommitted, self._undelivered = [], []
        self._filling.drop()

    # Delivery

    def has_delivered(self, cut: CheckpointId) -> bool:
        """Return whether all batches up to this cut are delivered."""
        return all(batch.content.cut > cut for batch in self._undelivered)

    @property
    def in_doubt(self) -> list[OutboxBatch]:
        """What a manifest names and is not known to be delivered, in the order of delivery."""
        return [batch.content for batch in self._undelivered]

    @staticmethod
    def missing(batches: Sequence[OutboxBatch], last: int | None) -> list[OutboxBatch]:
        """Return which batches of one slot the target lacks, given the number that it has."""
        return [batch for batch in batches if batch.number > (last or 0)]

    def _next(self) -> MadeBatch | None:
        if self._undelivered and self._undelivered[0].content.cut <= self._limit:
            return self._undelivered[0]
        return None

    def _deliver(self) -> None:
        """Ask for the next step of the delivery, unless one is under way."""
        if self._is_asking or self._is_over:
            return
        while (batch := self._next()) is not None and batch.content.slot == self._slot:
            if self.missing([batch.content], self._last):
                self._is_asking = True
                self._ports.write(batch.content, batch.data)
                return
            self._delivered(batch)
        if self._has_numbers and not self._undelivered and not self._is_ready:
            self._is_ready = True
            self._ports.progressed()
        # Without anything to write, the own slot stays open or is opened again.
        slot = self._owner.worker if batch is None else batch.content.slot
        if slot != self._slot:
            self._slot = ""
            self._is_asking = True
            self._ports.open(slot, retry_pause_s(self._failure_count))

    def _delivered(self, batch: MadeBatch) -> None:
        self._undelivered.remove(batch)
        if batch.data is not None:
            self._kept_bytes -= batch.content.byte_count
        self.delivered_bytes += batch.result_bytes
        self._ports.progressed()

    def opened(self, slot: str, last: int | None) -> None:
        """The slot is open, and ``last`` is the number of its last batch, if it has any."""
        if self._is_over:
            return
        if last is None and not self._may_write(slot):
            return
        self._is_asking = False
        self._slot, self._last = slot, last or 0
        if slot == self._owner.worker:
            self._next_number = max(self._next_number, self._last + 1)
            self._has_numbers = True
        self._deliver()

    def _may_write(self, slot: str) -> bool:
        """Return whether to write in a slot that has no number."""
        batch = self._next()
        if batch is None or batch.content.slot != slot or batch.content.number == 1:
            return True
        return self._ports.number_missing(batch.content)

    def written(self) -> None:
        """The batch that was to be written is written."""
        if self._is_over:
            return
        self._is_asking = False
        self._failure_count = 0
        batch = self._undelivered[0]
        self._last = batch.content.number
        self._delivered(batch)
        self._deliver()

    def failed(self) -> None:
        """The slot could not be opened, or the batch perhaps not be written: try again."""
        if self._is_over:
            return
        self._is_asking = False
        self._failure_count += 1
        self._slot = ""
        self._deliver()

    # Back-pressure

    @property
    def backlog_bytes(self) -> int:
        """Bytes that hold the sources back.

        The batch that is being filled does not count, and neither does one that is on its way to
        the store: sources would pause before each batch is full. What is in the store counts only
        while the target is behind. Otherwise nothing but the next checkpoint makes it less, and a
        drain has that behind all records that were read.
        """
        on_the_way = in_the_store = 0
        for batch in self._uncommitted:
            if batch.is_stored:
                in_the_store += batch.content.byte_count
            else:
                on_the_way += batch.content.byte_count
        undelivered = sum(batch.content.byte_count for batch in self._undelivered)
        in_the_store = in_the_store + undelivered if undelivered else 0
        return max(0, on_the_way - self._limits.batch) + max(
            0, in_the_store - self._limits.undelivered
        )

    @property
    def added_bytes(self) -> int:
        """What ``add`` has counted altogether."""
        return self._filling.added_bytes

    @property
    def undelivered_bytes(self) -> int:
        """Bytes of all results that the target does not have yet."""
        batches = [*self._uncommitted, *self._undelivered]
        made = sum(batch.content.byte_count for batch in batches)
        return made + self._filling.byte_count
