"""One worker's part in its cluster: follows the initializer's orders from epoch to epoch.

    Join --> Assign: states, sources, journals back to the checkpoint; links --> Ready
         --> Open: sources take records --> Opened --> Checkpoint, Committed, Abandon ... --> Drain
      ^
      +-- Rewind, at any time: another worker was lost, all begin again from the last checkpoint

While sources take records the members may change, see ``Resizing``; one that joins has its Assign
only with that change.

Links, barriers and states are those of one epoch; sources and sinks outlive it. Without checkpoints
an epoch does not end with a loss: another ``Assign`` names the lost worker's successor.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.departure import Departure, successor_of
from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.restorer import (
    Restored,
    Restorer,
    UnreadableKey,
    counts_of,
    journals_of,
)
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.share_writer import Limits, ShareWriter
from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.ingest.connection_handover import HandOver
from wallaroo.ingest.sources import Sources
from wallaroo.links.mesh import Mesh
from wallaroo.metrics.tally import Counts
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.runtime.engine import Engine
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import (
    Abandon,
    Assign,
    CallOff,
    Checkpoint,
    Committed,
    ControlFrame,
    Counted,
    Drain,
    Empty,
    Failed,
    Gather,
    Hold,
    Join,
    Leave,
    Open,
    Opened,
    Ready,
    Release,
    Rewind,
    SourcesEnded,
    Stop,
)
from wallaroo.worker.barriers import Barriers, Durability, Surroundings
from wallaroo.worker.resize import WorkerResize
from wallaroo.worker.sink_port import Sinks


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableStorage:
    """What a worker keeps beyond its own life."""

    store: ObjectStore
    manifests: ManifestLog
    """What a worker goes back to is read through this one's store, which may be a patient one."""
    journal: Journal
    pause: Pause
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPorts:
    """What a worker's decisions need of the process that they are made in."""

    name: WorkerName
    pid: int
    plan: Plan
    engine: Engine
    sources: Sources
    sinks: Sinks
    hand_over: HandOver
    durable: DurableStorage | None
    """``None`` where checkpoints are off."""
    pickler: StatePickler
    leave_out: Callable[[int, list[UnreadableKey]], None]
    """Takes note that these keys of a checkpoint are gone; raises ``WallarooError`` if the run is
    not to go on without them."""
    clock: Callable[[], float]
    pause: Pause
    new_dataflow: Callable[[], Dataflow]
    new_mesh: Callable[[Epoch], Mesh]
    listen: Callable[[Mesh], Coroutine[Any, Any, str]]
    """Takes links for this mesh from now on; returns the address."""
    send: Callable[[ControlFrame], None]
    start: Callable[[Coroutine[Any, Any, None]], None]
    """Starts what ends with the epoch."""
    end_epoch: Callable[[], None]
    """Ends everything that ``start`` started."""
    before_first_open: Callable[[], None]
    failed: Callable[[Failure], None]
    """A failure stops the run: keep the record."""
    counts: Callable[[Dataflow], dict[str, Counts]]
    """What to tell of a dataflow's counts: results count as out of a sink only when it has them."""
    end: Callable[[int], None]
    """Ends the process with this status."""
    tell: Callable[[str, dict[str, Any]], None]
    """One line for people."""
    warn: Callable[[str, WallarooError], None]


class WorkerMachine:
    """One worker, from the start of its process on."""

    def __init__(self, process: WorkerPorts, incarnation: Epoch) -> None:
        self._process = process
        self._incarnation = incarnation
        self._dataflow = process.new_dataflow()
        self.mesh = process.new_mesh(incarnation)
        self._barriers: Barriers
        self._durability: Durability | None = None
        self._resizing = self._new_resizing()
        self._assignment: Assign | None = None
        self._is_open = False
        engine = self._engine = process.engine
        engine.restart(self._dataflow)
        engine.must_pause = lambda: self.mesh.pressure.must_pause
        engine.on_barrier = lambda link, barrier: self._barriers.came(link, barrier)
        engine.on_moving = lambda link, frame: self._resizing.came(link, frame)
        process.hand_over.on_offer = lambda *offer: self._resizing.offered(*offer)
        engine.on_stop = self.stop_on_error
        engine.on_turn = self.backlog_changed
        if process.durable is not None:
            engine.before_flush = process.durable.journal.sync
        process.sources.on_ended = self._source_ended
        process.sources.on_failed = lambda error: self.fail(error.what, error.hint, error.exit_code)

    @property
    def epoch(self) -> Epoch:
        """The epoch of whatever this worker says."""
        return self._incarnation if self._assignment is None else self._assignment.epoch

    @property
    def dataflow(self) -> Dataflow:
        """What records run through in this epoch."""
        return self._dataflow

    async def join(self) -> None:
        """Take links, and tell the initializer."""
        process = self._process
        address = await process.listen(self.mesh)
        journals: list[Any] = []
        folder = ""
        if process.durable is not None:
            folder = process.durable.journal.folder.location
            try:
                journals = [each.to_wire() for each in process.durable.journal.folder.extents()]
            except WallarooError as error:
                self.fail(error.what, error.hint, error.exit_code)
                return
        process.send(
            Join(
                epoch=self._incarnation,
                name=process.name,
                pid=process.pid,
                data_address=address,
                outline=list(outline(process.plan)),
                hand_over_path=process.hand_over.path,
                journals=journals,
                journal_folder=folder,
            )
        )

    def ordered(self, frame: ControlFrame) -> None:
        """The initializer has sent an order."""
        match frame:
            case Assign():
                self._assign(frame)
            case Open():
                self._process.start(self._open(frame))
            case Drain():
                self._barriers.drain(frame.checkpoint)
            case Checkpoint():
                self._barriers.checkpoint(frame.checkpoint)
            case Committed():
                self._barriers.committed(frame)
            case Abandon():
                self._barriers.abandon(frame.checkpoint)
            case Rewind():
                self._rewind(frame)
            case Stop():
                self._process.end(0)
            case _:
                self._resize_ordered(frame)

    def _resize_ordered(self, frame: ControlFrame) -> None:
        match frame:
            case Gather():
                assign = self._assignment
                now = None if assign is None else _partition_maps(assign)
                addresses = [] if assign is None else assign.source_addresses
                self._resizing.gather(frame, now, addresses)
            case Empty():
                self._resizing.empty(frame)
            case Hold():
                self._resizing.hold(frame, self._barriers, self._durability)
            case CallOff():
                self._resizing.call_off(frame, self._barriers)
            case Leave():
                self._resizing.leave(frame)
            case Release():
                self._process.sinks.order.release(frame.resize, frame.held_sinks)
            case _:
                what = f"{type(frame).__name__} is no order of an initializer"
                self._process.warn("order.refused", ClusterError(what))

    # From epoch to epoch

    def _rewind(self, order: Rewind) -> None:
        """Give up this epoch; join the next one as if just started."""
        process = self._process
        process.tell(
            "worker.rewinding", {"epoch": order.epoch, "next": "joins again, as if just started"}
        )
        process.end_epoch()
        self.mesh.close()
        self._incarnation = order.epoch
        self._assignment = None
        process.sinks.order.release_all()
        process.sources.rewind()
        self._dataflow = process.new_dataflow()
        self._engine.restart(self._dataflow)
        self.mesh = process.new_mesh(order.epoch)
        self._durability = None
        self._resizing.end()
        self._resizing = self._new_resizing()
        process.start(self.join())

    def _assign(self, assign: Assign) -> None:
        is_first, self._assignment = self._assignment is None, assign
        if assign.resize:
            self._resized(assign, is_new=is_first)
        elif not is_first:
            self._follow(assign)
            self._process.start(self._report_ready(assign))
        elif self._process.durable is None:
            self._begin(assign, None)
        else:
            self._process.start(self._go_back(assign, self._process.durable))

    async def _go_back(self, assign: Assign, durable: DurableStorage) -> None:
        """Bring states and sources back to the checkpoint that ``assign`` names."""
        process = self._process
        # Whether the last checkpoint stands is decided by now; what is still staged is of none.
        await process.sinks.discard()
        try:
            manifest = await durable.manifests.load(assign.manifest) if assign.manifest else None
            restored = await self._restore(manifest, assign, durable)
            if restored.unreadable:
                process.leave_out(assign.manifest, restored.unreadable)
        except WallarooError as error:
            self.fail(error.what, error.hint, error.exit_code)
            return
        saving = self._new_saving(assign, durable)
        if manifest is not None:
            members = tuple(WorkerName(name) for name, _, _ in assign.members)
            self._dataflow.carried = counts_of(process.name, members, manifest)
        if restored.parts is None:
            saving.mark_all_changed()
        else:
            saving.parts = restored.parts
            saving.gave_at = restored.gave_at
        try:
            replay_count = self._rewind_sources(assign, manifest, restored, durable.journal)
        except WallarooError as error:
            self.fail(error.what, error.hint, error.exit_code)
            return
        values = {
            "checkpoint": assign.manifest,
            "keys": sum(map(len, self._dataflow.states.values())),
            "journals": replay_count,
            "next": "replays its journals once all are ready" if replay_count else "gets ready",
        }
        process.tell("worker.restored", values)
        self._begin(assign, Durability(saving, durable.journal, durable.store, durable.pause))

    async def _restore(
        self, manifest: Manifest | None, assign: Assign, durable: DurableStorage
    ) -> Restored:
        if manifest is None:
            return Restored([], {})
        restorer = Restorer(
            self._process.name,
            self._process.plan,
            self._dataflow.states,
            _partition_maps(assign),
            fresh_shapes(self._process.plan),
            durable.manifests.store,
            durable.pause,
        )
        return await restorer.restore(manifest)

    def _rewind_sources(
        self, assign: Assign, manifest: Manifest | None, restored: Restored, journal: Journal
    ) -> int:
        """Have sources begin where the checkpoint was; return how many journals are replayed."""
        members = tuple(WorkerName(name) for name, _, _ in assign.members)
        positions = [] if manifest is None else manifest.journal_positions()
        extents = {each.journal: each for each in journal.folder.extents()}
        replays = journals_of(self._process.name, members, [*extents], positions)
        replays = [
            extents[each.journal].from_here_on(each) if each.journal in assign.given_up else each
            for each in replays
        ]
        progress = journal.go_back(replays)
        self._process.sources.go_back(
            restored.sources,
            [(journal.folder.read(each), progress[each.journal]) for each in replays],
        )
        return len(replays)

    def _begin(self, assign: Assign, durability: Durability | None) -> None:
        process = self._process
        workers = tuple(WorkerName(name) for name, _, _ in assign.members)
        self._dataflow.bind(workers, _partition_maps(assign))
        self._durability = durability
        self._barriers = Barriers(
            process.plan, process.name, workers, self._surroundings(), durability, assign.barrier
        )
        self._follow(assign)
        process.start(self._report_ready(assign))

    def _new_saving(self, assign: Assign, durable: DurableStorage) -> ShareWriter:
        process = self._process
        return ShareWriter(
            process.name,
            assign.epoch,
            self._dataflow,
            process.clock,
            durable.limits,
            process.pickler,
        )

    def _surroundings(self) -> Surroundings:
        process = self._process
        return Surroundings(
            epoch=lambda: self.epoch,
            engine=process.engine,
            mesh=self.mesh,
            sources=process.sources,
            sinks=process.sinks,
            hand_over=process.hand_over,
            incarnation=self._incarnation,
            counts=lambda: process.counts(self._dataflow),
            send=process.send,
            start=process.start,
            warn=process.warn,
        )

    # Other members

    def _new_resizing(self) -> WorkerResize:
        process = self._process
        return WorkerResize(
            process.name,
            self._surroundings(),
            self._dataflow,
            process.clock,
            process.pause,
            self.backlog_changed,
            process.pickler,
        )

    def _resized(self, assign: Assign, *, is_new: bool) -> None:
        """The members have changed: drop what went, take in what came, look after what was left.

        Sources stay held until ``Open``: not everybody knows the new owners yet.
        """
        process, durable = self._process, self._process.durable
        has_given = self._resizing.finish(assign.resize)
        durability = self._durability
        if is_new and durable is not None:
            durable.journal.go_back([])
            saving = self._new_saving(assign, durable)
            durability = Durability(saving, durable.journal, durable.store, durable.pause)
        if has_given and durability is not None:
            durability.saving.gave_at = assign.barrier
        if is_new or assign.left:
            # It owns keys, or reads connections, whose earlier results another worker wrote.
            process.sinks.order.hold(assign.resize, assign.held_sinks)
        self._begin(assign, durability)
        self._engine.inbox.release(assign.barrier)
        members = [WorkerName(name) for name, _, _ in assign.members]
        left = [Departure.from_wire(each) for each in assign.left]
        self._resizing.take_over(left)
        for legacy in left:
            process.sources.place(legacy.sources)
            if successor_of(legacy.worker, members) == process.name:
                self._dataflow.carry(legacy.counts)
                if durability is not None:
                    durability.saving.inherited += legacy.staged
            if durable is not None:
                heirs = [
                    each
                    for each in legacy.journals
                    if successor_of(each.journal, members) == process.name
                ]
                durable.journal.inherit(heirs)

    def _follow(self, assign: Assign) -> None:
        members = [
            (WorkerName(name), Epoch(epoch), address) for name, epoch, address in assign.members
        ]
        self.mesh.follow(members, self.backlog_changed)
        self._engine.connect(self.mesh.outgoing)

    async def _report_ready(self, assign: Assign) -> None:
        await self.mesh.connected()
        await self._process.sinks.connected()
        self._process.send(Ready(assign.epoch))

    async def _open(self, order: Open) -> None:
        assert self._assignment is not None
        process = self._process
        if not self._is_open:
            self._is_open = True
            process.before_first_open()
        # A change of the members held them.
        self._engine.holds_sources = False
        here = [worker == process.name for worker in self._assignment.source_workers]
        try:
            await process.sources.open(self._assignment.source_addresses, here)
        except OSError as error:
            self.fail(f"a source cannot listen: {error}", "is its port in use?", 1)
            return
        except WallarooError as error:
            self.fail(error.what, error.hint, error.exit_code)
            return
        except StopOnError as stop:
            self.stop_on_error(stop.failure)
            return
        if process.durable is None:
            process.sources.senders.read_on()
        process.send(Opened(order.epoch))
        if process.sources.ended != ([], []):
            # What was told of an older epoch is forgotten.
            self._source_ended()

    def tell_counts(self) -> None:
        """Tell the initializer how many records were counted here."""
        process = self._process
        counts = process.counts(self._dataflow)
        process.send(Counted(self.epoch, process.name, self._incarnation, counts))

    def _source_ended(self) -> None:
        self._process.send(SourcesEnded(self.epoch, *self._process.sources.ended))

    # What goes on meanwhile

    def backlog_changed(self) -> None:
        """Something came or went; sources may have to pause, or the engine may go on."""
        inbox = self._engine.inbox.byte_count
        backlog = inbox + self.mesh.backlog_bytes + self._process.sinks.backlog_bytes
        self.mesh.backlog_changed(backlog, inbox)
        self._engine.schedule()

    # Ends

    def stop_on_error(self, failure: Failure) -> None:
        """A record failed, and the run is to stop for that."""
        # Payload and traceback are wanted in this case too.
        self._process.failed(failure)
        on_key = "" if failure.key is None else f" on key {failure.key!r}"
        self.fail(
            f"step {failure.step!r} of pipeline {failure.pipeline!r} failed{on_key}: "
            f"{failure.error}",
            hint=f"look at {failure.at}" if failure.at else "",
            exit_code=WallarooError.exit_code,
        )

    def fail(self, what: str, hint: str, exit_code: int) -> None:
        """The run cannot go on."""
        self.tell_counts()
        self._process.send(Failed(self.epoch, self._process.name, what, hint, exit_code))
        self._process.end(exit_code)


def _partition_maps(assign: Assign) -> dict[str, PartitionMap]:
    return {each.state: each for each in map(PartitionMap.from_wire, assign.partition_maps)}
