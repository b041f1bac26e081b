"""The barriers that run through one worker: for a checkpoint while records go on, and for a stop.

    checkpoint, hold --> sources wait and note their positions, barriers leave for all workers
    received, from each worker --> what follows over that link is held back; see ``Aligner``
    received from all --> aligned: what is here is exactly what was before the barrier
    checkpoint --> share frozen, output cut, everything goes on; parts and output become durable
    hold --> everything stays held until ``release_hold``, or until the members have changed
    drain --> sinks flushed

**What can go wrong**

* *A record from behind the barrier is processed before it is through.* A replay would apply it
  again, since its source reads it again. So sources wait, and the inbox holds back every link over
  which the barrier has arrived.
* *A barrier arrives before this worker has heard of its checkpoint.* Orders and links are
  independent. The aligner counts a barrier from the first event of its checkpoint on.
* *A barrier arrives after its checkpoint was given up.* It would hold back a link for good.
  ``_abandoned`` is the last barrier that is given up, and older ones are dropped.
* *A coroutine would go on in a later epoch.* All of them are started with ``start``, and are
  cancelled when the worker has to join again.

**Invariants**, which ``check`` asserts

1. From the moment a barrier has left this worker's sources until it is through, sources are held.
   A drain is the exception: it has closed them.
2. A barrier passes the exchanges of a pipeline in their order.
3. Frames are held back only for a barrier that is neither through nor given up.

**Why this order**

Positions are noted before the barrier leaves, since what is read later is behind it. The engine is
flushed before each barrier, because batches that wait for the end of the turn are before it. The
share is frozen before anything is released, and the output is cut in the same call. So state
changes only in calls that do not wait, and no record runs between two of these steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.lost_input import keeps_input
from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.share_writer import ShareWriter, SourcePositions
from wallaroo.checkpoint.store import ObjectStore, Pause, create_or_find
from wallaroo.errors import StoreError, WallarooError
from wallaroo.names import NO_BARRIER, CheckpointId, StepId, WorkerName
from wallaroo.runtime.clock_facts import saved_vectors
from wallaroo.runtime.inbox import Link
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Committed, NotSaved, Saved
from wallaroo.wire.data_frames import Barrier
from wallaroo.worker.barrier_alignment import (
    Aligned,
    Aligner,
    EdgePassed,
    Event,
    PassStation,
    SendBarrier,
    SourcePassed,
    StationPassed,
)
from wallaroo.worker.context import WorkerContext
from wallaroo.worker.sink_port import FinishCut

FIRED_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class Durability:
    """How the shares of one epoch are saved."""

    saving: ShareWriter
    journal: Journal
    store: ObjectStore
    pause: Pause


class Barriers:
    """The barriers of one worker among one set of members."""

    def __init__(
        self,
        plan: Application,
        workers: tuple[WorkerName, ...],
        worker: WorkerContext,
        durability: Durability | None,
        past: CheckpointId = NO_BARRIER,
    ) -> None:
        """Barriers up to ``past`` are ignored."""
        self._pipeline_count = len(plan.pipelines)
        self._writes_journal = keeps_input(plan)
        self._aligner = Aligner(plan, worker.me, workers)
        self._worker = worker
        self._durability = durability
        self._positions = SourcePositions([], {})
        self._checkpoint = NO_BARRIER
        self._is_replayed = True
        self._abandoned = past
        self._is_draining = False
        self._on_held: Callable[[], None] | None = None
        """Called when a barrier of ``hold`` is through this worker."""
        self._not_cut = ""
        """Why journals could not be cut; logged once, not after each checkpoint."""

    # Orders of the initializer

    def checkpoint(self, checkpoint: CheckpointId) -> None:
        """Send a barrier behind everything that was taken from the sources."""
        assert self._durability is not None
        self._durability.saving.hold()
        self._worker.engine.hold_sources()
        self._pass_sources(checkpoint)

    def hold(self, checkpoint: CheckpointId, on_held: Callable[[], None]) -> None:
        """Send a barrier, and hold the sources until ``release_hold`` or the end of the epoch."""
        self._worker.engine.hold_sources()
        self._on_held = on_held
        self._pass_pipelines(checkpoint)

    def release_hold(self, checkpoint: CheckpointId) -> None:
        """Let everything go on that waits for this barrier, wherever the barrier is."""
        self._abandoned = max(self._abandoned, checkpoint)
        self._on_held = None
        self._release(checkpoint)

    def drain(self, checkpoint: CheckpointId, *, is_final: bool = False) -> None:
        """Close the sources, and send a barrier behind the last record.

        ``is_final``: no run goes on from there, so all windows and timers fire before the barrier.
        """
        self._is_draining = True
        self._worker.start(self._drain(checkpoint, is_final=is_final))

    async def _drain(self, checkpoint: CheckpointId, *, is_final: bool) -> None:
        await self._worker.sources.drain()
        timing = self._worker.engine.timing
        if timing is not None and is_final:
            timing.finish()
            while not timing.has_finished:
                await self._worker.pause(FIRED_POLL_S)
        elif timing is not None:
            # Sources are closed and not held. What fired behind the barrier would be lost.
            timing.hold_due()
        self._pass_sources(checkpoint)

    def committed(self, order: Committed) -> None:
        """Delete what is no longer needed, now that the checkpoint is committed."""
        assert self._durability is not None
        self._durability.saving.committed()
        self._worker.sinks.committed(order.checkpoint, order.cuts)
        self._cut_journals(order, self._durability.journal)
        self._worker.sources.splits.committed(self._positions.sources)
        if order.is_replayed:
            self._worker.sources.senders.read_on()
        if not self._is_draining:
            self._worker.start(self._compact(self._durability))

    def _cut_journals(self, order: Committed, journal: Journal) -> None:
        try:
            journal.committed(order.number, order.oldest_number)
            self._not_cut = ""
        except StoreError as error:
            if error.what != self._not_cut:
                what = f"{error.what}; it uses disk space until a later checkpoint succeeds"
                self._worker.warn("journal.truncate_failed", StoreError(what, error.hint))
            self._not_cut = error.what

    def abandon(self, checkpoint: CheckpointId) -> None:
        """Give up a checkpoint; the next one saves what it would have saved."""
        assert self._durability is not None
        self._abandoned = checkpoint
        self._durability.saving.abandon()
        self._worker.sinks.abandon(checkpoint)
        self._worker.engine.save_with(None)
        self._release(checkpoint)

    # The way of a barrier through this worker

    def _pass_sources(self, checkpoint: CheckpointId) -> None:
        self._checkpoint = checkpoint
        self._is_replayed = self._worker.sources.is_replayed
        if self._durability is not None:
            try:
                sources = self._worker.sources.positions()
            except WallarooError as error:
                self.share_failed(error)
                return
            # After a drain nothing more is read, and without TCP sources nothing ever was.
            is_closed = self._is_draining or not self._writes_journal
            positions = self._durability.journal.positions(is_closed=is_closed)
            timing = self._worker.engine.timing
            times = {} if timing is None else timing.clocks.source_times()
            self._positions = SourcePositions(positions, sources, times)
        self._pass_pipelines(checkpoint)

    def _pass_pipelines(self, checkpoint: CheckpointId) -> None:
        for pipeline in range(self._pipeline_count):
            self._align(SourcePassed(checkpoint, pipeline))

    def received(self, link: Link, barrier: Barrier) -> None:
        """Note a barrier of another worker. Everything before it has been processed."""
        if barrier.checkpoint > self._abandoned:
            self._worker.engine.inbox.hold_back(link.worker, barrier.edge, barrier.checkpoint)
            self._align(EdgePassed(barrier.checkpoint, barrier.edge, link.worker))

    def _align(self, event: Event) -> None:
        worker = self._worker
        for effect in self._aligner.step(event):
            worker.engine.flush()
            match effect:
                case PassStation(checkpoint, step):
                    self._pass_station(checkpoint, step)
                case SendBarrier(checkpoint, edge):
                    if worker.engine.timing is not None:
                        worker.engine.timing.pass_barrier(edge)
                    worker.mesh.send_barrier(worker.epoch, checkpoint, edge)
                case Aligned(checkpoint):
                    self._aligned(checkpoint)

    def _pass_station(self, checkpoint: CheckpointId, step: StepId) -> None:
        self._worker.engine.pass_station(
            step,
            is_last=self._is_draining,
            then=lambda: self._align(StationPassed(checkpoint, step)),
        )

    def _aligned(self, checkpoint: CheckpointId) -> None:
        worker = self._worker
        worker.engine.save_held()
        if self._on_held is not None:
            self._on_held()
            return
        if self._durability is not None:
            saving = self._durability.saving
            timing = worker.engine.timing
            vectors = {} if timing is None else saved_vectors(timing.clocks)
            saving.freeze(checkpoint, self._positions, vectors)
            worker.engine.save_with(saving.write_slice)
            worker.start(self._reach_sinks(checkpoint, saving, worker.sinks.cut(checkpoint)))
        elif self._is_draining:
            worker.start(self._finish_drain(checkpoint))
        self._release(checkpoint)

    def _release(self, checkpoint: CheckpointId) -> None:
        self._worker.engine.inbox.release(checkpoint)
        self._worker.engine.release_sources()
        self._worker.engine.schedule()
        if self._durability is not None:
            self._durability.saving.resume()

    def check(self) -> None:
        """Assert that sources are held from the time a barrier leaves them until it is through."""
        self._aligner.check()
        is_behind = self._aligner.waits_for_others() > self._abandoned
        assert not is_behind or self._is_draining or self._worker.engine.holds_sources

    # Making durable what was before the barrier

    def part_written(self, name: str, data: bytes) -> None:
        """Put a part of the share into the store."""
        self._worker.start(self._store(name, data))

    async def _store(self, name: str, data: bytes) -> None:
        assert self._durability is not None
        error = await create_or_find(self._durability.store, name, data)
        self._durability.saving.part_stored(name, error)

    async def _reach_sinks(
        self,
        checkpoint: CheckpointId,
        saving: ShareWriter,
        finish_cut: FinishCut,
    ) -> None:
        try:
            output = await finish_cut()
        except WallarooError as error:
            saving.output_failed(checkpoint, error)
        else:
            saving.output_settled(checkpoint, output)

    def share_saved(self, content: WorkerCheckpoint) -> None:
        """Report that the share is durable."""
        worker, checkpoint = self._worker, self._checkpoint
        worker.send(Saved(worker.epoch, checkpoint, content.to_wire(), self._is_replayed))
        if self._is_draining:
            worker.start(self._finish_drain(checkpoint))

    def share_failed(self, error: WallarooError) -> None:
        """Report that the share cannot be saved."""
        self._worker.send(NotSaved(self._worker.epoch, self._checkpoint, error.what, error.hint))

    async def _finish_drain(self, checkpoint: CheckpointId) -> None:
        worker = self._worker
        await worker.sinks.flush()
        worker.mesh.end()
        worker.send_drained(worker.epoch, checkpoint)

    async def _compact(self, durability: Durability) -> None:
        try:
            await durability.saving.compact(durability.store, durability.pause)
        except WallarooError as error:
            self._worker.warn("checkpoint.compaction_failed", error)
