"""The barriers that run through one worker: for a checkpoint while records go on, and for a stop.

From the moment a barrier has left the sources until it is through everywhere on this worker, the
sources wait, and what comes behind the barrier over links is held back. What is here then is
exactly what was before the barrier.

State changes only in calls that do not wait. What has to be waited for (a drain, output on its
way, an object on its way to the store) is started by ``start`` and ends with the epoch.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.lost_input import keeps_input
from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.share_writer import ShareWriter, SourcePositions
from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import AlreadyExistsError, StoreError, WallarooError
from wallaroo.ingest.connection_handover import HandOver
from wallaroo.ingest.sources import Sources
from wallaroo.links.mesh import Mesh
from wallaroo.metrics.tally import Counts
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.inbox import Link
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import Committed, ControlFrame, Drained, NotSaved, Saved
from wallaroo.wire.data_frames import Barrier
from wallaroo.worker.barrier_alignment import (
    Aligned,
    Aligner,
    EdgePassed,
    Event,
    SendBarrier,
    SourcePassed,
)
from wallaroo.worker.sink_port import Sinks


@dataclass(frozen=True, slots=True)
class Durability:
    """How the shares of one epoch are saved."""

    saving: ShareWriter
    journal: Journal
    store: ObjectStore
    pause: Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The parts of a worker that barriers pass or stop."""

    epoch: Callable[[], Epoch]
    """Without checkpoints it goes up while these barriers last."""
    engine: Engine
    mesh: Mesh
    sources: Sources
    sinks: Sinks
    hand_over: HandOver
    incarnation: Epoch
    """The epoch at which this worker last joined as if just started."""
    counts: Callable[[], dict[str, Counts]]
    """What it has counted since then, see ``Dataflow.counts``."""
    send: Callable[[ControlFrame], None]
    start: Callable[[Coroutine[Any, Any, None]], None]
    """Starts what ends with the epoch."""
    warn: Callable[[str, WallarooError], None]

    def drained(self, epoch: Epoch, checkpoint: CheckpointId) -> Drained:
        """Return the last words of a worker whose sinks have everything."""
        return Drained(epoch, checkpoint, self.incarnation, self.counts())


class Barriers:
    """The barriers of one worker during one epoch."""

    def __init__(
        self,
        plan: Plan,
        me: WorkerName,
        workers: tuple[WorkerName, ...],
        around: Surroundings,
        durability: Durability | None,
        past: CheckpointId = NO_BARRIER,
    ) -> None:
        """Barriers up to ``past`` are of no concern any more."""
        self._pipeline_count = len(plan.pipelines)
        self._writes_journal = keeps_input(plan)
        self._aligner = Aligner(plan, me, workers)
        self._around = around
        self._durability = durability
        self._positions = SourcePositions([], {})
        self._checkpoint = NO_BARRIER
        self._is_replayed = True
        self._abandoned = past
        self._is_draining = False
        self._on_held: Callable[[], None] | None = None
        """For a barrier that holds: called once it is through here."""
        self._not_cut = ""
        """Why journals stay longer than needed, if they do; told once, not with each checkpoint."""
        if durability is not None:
            durability.saving.put = lambda name, data: around.start(self._store(name, data))
            durability.saving.on_saved = self._saved
            durability.saving.on_failed = self._not_saved

    # Orders of the initializer

    def checkpoint(self, checkpoint: CheckpointId) -> None:
        """Send a barrier behind everything that the sources have taken."""
        assert self._durability is not None
        self._durability.saving.hold()
        self._around.engine.holds_sources = True
        self._pass_sources(checkpoint)

    def hold(self, checkpoint: CheckpointId, on_held: Callable[[], None]) -> None:
        """Send a barrier, and keep the sources behind it until ``let_go_of_hold``, or for good."""
        self._around.engine.holds_sources = True
        self._on_held = on_held
        self._pass_pipelines(checkpoint)

    def let_go_of_hold(self, checkpoint: CheckpointId) -> None:
        """What a barrier holds is to go on, wherever that barrier is."""
        self._abandoned = max(self._abandoned, checkpoint)
        self._on_held = None
        self._let_go(checkpoint)

    def drain(self, checkpoint: CheckpointId) -> None:
        """Close the sources, and send a barrier behind the last record."""
        self._is_draining = True
        self._around.start(self._drain(checkpoint))

    async def _drain(self, checkpoint: CheckpointId) -> None:
        await self._around.sources.drain()
        self._pass_sources(checkpoint)

    def committed(self, order: Committed) -> None:
        """The checkpoint stands: delete what is not needed any more."""
        assert self._durability is not None
        self._durability.saving.committed()
        self._around.sinks.committed(order.checkpoint)
        self._cut_journals(order, self._durability.journal)
        if order.is_replayed:
            self._around.sources.senders.read_on()
        if not self._is_draining:
            self._around.start(self._compact(self._durability))

    def _cut_journals(self, order: Committed, journal: Journal) -> None:
        try:
            journal.committed(order.number, order.oldest_number)
            self._not_cut = ""
        except StoreError as error:
            if error.what != self._not_cut:
                what = f"{error.what}; it takes room until it can be, and each checkpoint tries"
                self._around.warn("journal.not_cut", StoreError(what, error.hint))
            self._not_cut = error.what

    def abandon(self, checkpoint: CheckpointId) -> None:
        """There will be no such checkpoint; the next one holds what it was to hold."""
        assert self._durability is not None
        self._abandoned = checkpoint
        self._durability.saving.abandon()
        self._around.engine.save_with(None)
        self._let_go(checkpoint)

    # The barrier on its way

    def _pass_sources(self, checkpoint: CheckpointId) -> None:
        self._checkpoint = checkpoint
        self._is_replayed = self._around.sources.is_replayed
        if self._durability is not None:
            try:
                sources = self._around.sources.positions()
            except WallarooError as error:
                self._not_saved(error)
                return
            # Nothing is read any more behind a drain, and without TCP sources nothing ever was.
            is_closed = self._is_draining or not self._writes_journal
            positions = self._durability.journal.positions(is_closed=is_closed)
            self._positions = SourcePositions(positions, sources)
        self._pass_pipelines(checkpoint)

    def _pass_pipelines(self, checkpoint: CheckpointId) -> None:
        for pipeline in range(self._pipeline_count):
            self._align(SourcePassed(checkpoint, pipeline))

    def came(self, link: Link, barrier: Barrier) -> None:
        """A barrier came from another worker, and all before it is processed."""
        if barrier.checkpoint > self._abandoned:
            self._around.engine.inbox.hold_back(link.worker, barrier.edge, barrier.checkpoint)
            self._align(EdgePassed(barrier.checkpoint, barrier.edge, link.worker))

    def _align(self, event: Event) -> None:
        around = self._around
        for effect in self._aligner.step(event):
            around.engine.flush()
            match effect:
                case SendBarrier(checkpoint, edge):
                    around.mesh.send_barrier(around.epoch(), checkpoint, edge)
                case Aligned(checkpoint):
                    self._aligned(checkpoint)

    def _aligned(self, checkpoint: CheckpointId) -> None:
        around = self._around
        if self._on_held is not None:
            self._on_held()
            return
        if self._durability is not None:
            saving = self._durability.saving
            saving.freeze(checkpoint, self._positions)
            around.engine.save_with(saving.write_slice)
            around.start(self._reach_sinks(checkpoint, saving, around.sinks.cut(checkpoint)))
        elif self._is_draining:
            around.start(self._finish_drain(checkpoint))
        self._let_go(checkpoint)

    def _let_go(self, checkpoint: CheckpointId) -> None:
        self._around.engine.inbox.release(checkpoint)
        self._around.engine.holds_sources = False
        self._around.engine.schedule()
        if self._durability is not None:
            self._durability.saving.resume()

    # What was before the barrier becomes durable

    async def _store(self, name: str, data: bytes) -> None:
        assert self._durability is not None
        error: WallarooError | None = None
        try:
            await _create(self._durability.store, name, data)
        except WallarooError as problem:
            error = problem
        self._durability.saving.part_stored(name, error)

    async def _reach_sinks(
        self,
        checkpoint: CheckpointId,
        saving: ShareWriter,
        reached: Callable[[], Awaitable[list[Any]]],
    ) -> None:
        saving.output_settled(checkpoint, await reached())

    def _saved(self, content: WorkerCheckpoint) -> None:
        around, checkpoint = self._around, self._checkpoint
        around.send(Saved(around.epoch(), checkpoint, content.to_wire(), self._is_replayed))
        if self._is_draining:
            around.start(self._finish_drain(checkpoint))

    def _not_saved(self, error: WallarooError) -> None:
        self._around.send(NotSaved(self._around.epoch(), self._checkpoint, error.what, error.hint))

    async def _finish_drain(self, checkpoint: CheckpointId) -> None:
        around = self._around
        await around.sinks.flush()
        around.mesh.end()
        around.send(around.drained(around.epoch(), checkpoint))

    async def _compact(self, durability: Durability) -> None:
        try:
            await durability.saving.compact(durability.store, durability.pause)
        except WallarooError as error:
            self._around.warn("checkpoint.not_compacted", error)


async def _create(store: ObjectStore, name: str, data: bytes) -> None:
    """Put a part into the store, never in place of another.

    A run that is fenced off and does not know it yet may come to parts of the same name as the run
    that goes on.
    """
    try:
        await store.create(name, data)
    except AlreadyExistsError:
        # Perhaps by an attempt before, whose answer was lost.
        if await store.get(name) != data:
            raise
