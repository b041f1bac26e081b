"""One worker's part in its cluster: follows the initializer's orders from epoch to epoch.

    Join --> Assign: states, sources, journals back to the checkpoint; links --> Ready
         --> Open: sources take records --> Opened --> Checkpoint, Committed, Abandon ... --> Drain
      ^
      +-- Rewind, at any time: another worker was lost, all start again from the last checkpoint

The members may change while sources take records, see ``WorkerResize``. A worker that joins then
receives its first Assign when that resize is committed.

Links, barriers and states belong to one ``WorkerContext``; sources and sinks outlive it. Without
checkpoints a loss does not end a context: another ``Assign`` names the lost worker's successor.
"""

from typing import Any

from wallaroo.checkpoint.departure import Departure, successor_of
from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.checkpoint.share_writer import ShareWriter
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.routing.keys import Key
from wallaroo.topology.fingerprint import outline
from wallaroo.wire.control import (
    Abandon,
    Assign,
    CallOff,
    Checkpoint,
    Committed,
    ControlFrame,
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
from wallaroo.wire.outbox import DeliverCut
from wallaroo.wire.splits import Splits
from wallaroo.worker.barriers import Barriers, Durability
from wallaroo.worker.context import WorkerContext, WorkerParts
from wallaroo.worker.outboxes import OutboxStart
from wallaroo.worker.ports import DurableStorage
from wallaroo.worker.resize import WorkerResize
from wallaroo.worker.restoration import (
    Restoration,
    begin_outboxes,
    partition_maps,
    workers_of,
)
from wallaroo.worker.split_reading import SplitReading


class Lifecycle:
    """One worker, from the start of its process on."""

    def __init__(self, parts: WorkerParts, incarnation: Epoch) -> None:
        self._parts = parts
        self._ports = parts.ports
        self._worker = WorkerContext(parts, incarnation)
        self._resize = WorkerResize(self._worker, self._ports.pickler)
        self._splits = self._new_splits()
        self._barriers: Barriers | None = None
        self._durability: Durability | None = None
        self._assignment: Assign | None = None
        self._is_open = False

    @property
    def worker(self) -> WorkerContext:
        """Links, states and epoch since this worker's last *Join*."""
        return self._worker

    @property
    def barriers(self) -> Barriers:
        """The barriers among the present members. There are none before the first ``Assign``."""
        assert self._barriers is not None, "no members are assigned"
        return self._barriers

    @property
    def resize(self) -> WorkerResize:
        """This worker's part of the resizes of this epoch."""
        return self._resize

    async def join(self) -> None:
        """Accept links, and report to the initializer."""
        ports = self._ports
        address = await ports.listen(self._worker.mesh)
        journals: list[Any] = []
        folder = ""
        if ports.durable is not None:
            folder = ports.durable.journal.folder.location
            try:
                journals = [each.to_wire() for each in ports.durable.journal.folder.extents()]
            except WallarooError as error:
                self.fail(error.what, error.hint, error.exit_code)
                return
        self._worker.send(
            Join(
                epoch=self._worker.incarnation,
                name=ports.name,
                pid=ports.pid,
                data_address=address,
                outline=list(outline(ports.plan)),
                hand_over_path=self._worker.hand_over.path,
                journals=journals,
                journal_folder=folder,
            )
        )

    def ordered(self, frame: ControlFrame) -> None:
        """Carry out an order of the initializer."""
        match frame:
            case Assign():
                self._assign(frame)
            case Open():
                self._worker.start(self._open(frame))
            case Drain():
                self._splits.end()
                self.barriers.drain(frame.checkpoint, is_final=frame.is_final)
            case Checkpoint():
                self.barriers.checkpoint(frame.checkpoint)
            case Committed():
                self.barriers.committed(frame)
            case Abandon():
                self.barriers.abandon(frame.checkpoint)
            case Rewind():
                self._rewind(frame)
            case Splits():
                self._splits.given(frame)
            case Stop():
                self._stop()
            case _:
                self._resize_ordered(frame)

    def _resize_ordered(self, frame: ControlFrame) -> None:
        match frame:
            case Gather():
                assign = self._assignment
                current = None if assign is None else partition_maps(assign)
                addresses = [] if assign is None else assign.source_addresses
                if assign is None and self._ports.durable is not None:
                    self._begin_outboxes(frame)
                self._resize.gather(frame, current, addresses)
            case Empty():
                self._resize.empty(frame)
            case Hold():
                self._resize.hold(frame, self.barriers, self._durability)
            case CallOff():
                self._resize.call_off(frame, self._barriers)
            case Leave():
                self._splits.end()
                self._resize.leave(frame)
            case Release():
                self._worker.sinks.order.release(frame.resize, frame.held_sinks)
            case DeliverCut():
                self._worker.sinks.deliver_cut(frame.cut)
            case _:
                what = f"{type(frame).__name__} is not an order from an initializer"
                self._worker.warn("order.refused", ClusterError(what))

    def _begin_outboxes(self, order: Gather) -> None:
        """Open the slots of a worker that joins, before records wait for the resize."""
        worker = self._worker
        start = OutboxStart(
            application=self._ports.plan.name,
            lineage=order.lineage,
            worker=worker.me,
            epoch=worker.incarnation,
            prepared=PreparedStart(spares=True),
        )
        begin_outboxes(self._ports, worker, start)

    # From epoch to epoch

    def _rewind(self, order: Rewind) -> None:
        """Give up this epoch, and join the next one as if just started."""
        values = {"epoch": order.epoch, "next": "joins again, as if just started"}
        self._ports.report("worker.rewinding", values)
        self._ports.end_epoch()
        self._worker.mesh.close()
        self._assignment = None
        self._barriers = self._durability = None
        self._worker.sinks.order.drop_held()
        self._worker.sources.rewind()
        self._resize.end()
        self._worker = WorkerContext(self._parts, order.epoch)
        self._resize = WorkerResize(self._worker, self._ports.pickler)
        self._splits = self._new_splits()
        self._worker.start(self.join())

    def _assign(self, assign: Assign) -> None:
        is_first, self._assignment = self._assignment is None, assign
        self._worker.enter(assign.epoch)
        if self._worker.engine.timing is not None:
            members = [(WorkerName(name), Epoch(epoch)) for name, epoch, _ in assign.members]
            self._worker.engine.timing.set_members(
                members, assign.source_times, is_resize=bool(assign.resize)
            )
            if not assign.resize:
                self._worker.engine.timing.wait_for_open()
        if assign.resize:
            self._resized(assign, is_new=is_first)
        elif not is_first:
            self._follow(assign)
            self._worker.start(self._report_ready(assign))
        elif self._ports.durable is None:
            self._begin(assign, None)
        else:
            self._worker.start(self._go_back(assign, self._ports.durable))

    async def _go_back(self, assign: Assign, durable: DurableStorage) -> None:
        """Restore the checkpoint that ``assign`` names, then begin."""
        saving = self._new_saving(assign, durable)
        try:
            await Restoration(self._ports, self._worker, assign, durable).run(saving)
        except WallarooError as error:
            self.fail(error.what, error.hint, error.exit_code)
            return
        self._worker.engine.restore_held()
        self._begin(assign, Durability(saving, durable.journal, durable.store, durable.pause))

    def _begin(self, assign: Assign, durability: Durability | None) -> None:
        worker, workers = self._worker, workers_of(assign)
        worker.dataflow.bind(workers, partition_maps(assign))
        if worker.engine.timing is not None:
            worker.engine.timing.begin()
        self._durability = durability
        self._barriers = Barriers(self._ports.plan, workers, worker, durability, assign.barrier)
        self._follow(assign)
        worker.start(self._report_ready(assign))

    def _new_saving(self, assign: Assign, durable: DurableStorage) -> ShareWriter:
        ports = self._ports
        return ShareWriter(
            ports.name,
            assign.epoch,
            self._worker.dataflow,
            ports.clock,
            durable.limits,
            ports.pickler,
            self,
        )

    # Reports of the share writer, which outlives a resize; the barriers do not

    def part_written(self, name: str, data: bytes) -> None:
        """Put a part of a share into the store."""
        self.barriers.part_written(name, data)

    def share_saved(self, content: WorkerCheckpoint) -> None:
        """Report that a share is durable."""
        self.barriers.share_saved(content)

    def share_failed(self, error: WallarooError) -> None:
        """Report that a share cannot be saved."""
        self.barriers.share_failed(error)

    # Resizes

    def _resized(self, assign: Assign, *, is_new: bool) -> None:
        """Go on among new members: drop keys, install keys, and inherit from departed workers.

        Sources stay held until ``Open``, since not everybody knows the new owners yet.
        """
        worker, durable = self._worker, self._ports.durable
        if self._durability is not None:
            self._durability.saving.before_take_in()
        moved = self._resize.finish(assign.resize)
        worker.engine.restore_held()
        if worker.engine.timing is not None:
            worker.engine.timing.resized()
        durability = self._durability
        if is_new and durable is not None:
            durable.journal.go_back([])
            # Objects of its outboxes are named after the barriers of the cluster from here on.
            worker.sinks.cut_for_resize(assign.barrier)
            saving = self._new_saving(assign, durable)
            durability = Durability(saving, durable.journal, durable.store, durable.pause)
        if durability is not None:
            durability.saving.owners_changed(
                assign.barrier, gave=moved.gives, took=moved.taken_partitions()
            )
        if is_new or assign.left:
            # It owns keys or reads connections whose earlier results were written elsewhere.
            worker.sinks.order.hold(assign.resize, assign.held_sinks)
        self._begin(assign, durability)
        worker.engine.inbox.release(assign.barrier)
        departures = [Departure.from_wire(each) for each in assign.left]
        self._resize.take_over(departures)
        for departure in departures:
            self._inherit(departure, workers_of(assign), durability)

    def _inherit(
        self, departure: Departure, members: tuple[WorkerName, ...], durability: Durability | None
    ) -> None:
        """Take over what this worker is the successor for."""
        worker = self._worker
        worker.sources.set_positions(departure.sources)
        if durability is None:
            return  # the initializer keeps the counts of each process
        if successor_of(departure.worker, members) == worker.me:
            worker.dataflow.carry_counts(departure.counts)
            durability.saving.inherit(departure.staged)
            worker.sinks.inherit(departure.outbox, departure.prepared)
        inherited = [
            each for each in departure.journals if successor_of(each.journal, members) == worker.me
        ]
        durability.journal.inherit(inherited)

    def _follow(self, assign: Assign) -> None:
        members = [
            (WorkerName(name), Epoch(epoch), address) for name, epoch, address in assign.members
        ]
        self._worker.mesh.follow(members)
        self._worker.engine.connect(self._worker.mesh.outgoing)

    async def _report_ready(self, assign: Assign) -> None:
        await self._worker.mesh.connected()
        await self._worker.sinks.connected()
        self._worker.send(Ready(assign.epoch))

    async def _open(self, order: Open) -> None:
        assert self._assignment is not None
        sources = self._worker.sources
        if not self._is_open:
            self._is_open = True
            self._ports.before_first_open()
        # A resize may have held them.
        self._worker.engine.release_sources()
        if self._worker.engine.timing is not None:
            self._worker.engine.timing.opened()
        here = [name == self._worker.me for name in self._assignment.source_workers]
        try:
            await sources.open(self._assignment.source_addresses, here)
        except OSError as error:
            self.fail(f"a source cannot listen: {error}", "check whether its port is in use", 1)
            return
        except WallarooError as error:
            self.fail(error.what, error.hint, error.exit_code)
            return
        except StopOnError as stop:
            self.stop_on_error(stop.failure)
            return
        if self._ports.durable is None:
            sources.senders.read_on()
        self._worker.send(Opened(order.epoch))
        if sources.ended != ([], []):
            # The initializer has forgotten the ended sources of an older epoch.
            self.source_ended()
        self._splits.opened(workers_of(self._assignment))

    def _new_splits(self) -> SplitReading:
        names = [pipeline.name for pipeline in self._ports.plan.pipelines]
        return SplitReading(self._worker, names)

    def split_ended(self, pipeline: int, split: str, problem: str) -> None:
        """Report that a split of a source has ended, and why if it broke off."""
        self._splits.ended(pipeline, split, problem)

    def delete_key(self, state: str, key: Key) -> bool:
        """Delete the state of a key; return whether there was any.

        Raises ``ClusterError`` if it is uncertain whose the key is.
        """
        assign = self._assignment
        if assign is None or self._resize.gives_states:
            raise ClusterError(
                "keys are being moved or restored", "ask again when the cluster runs again"
            )
        owners = partition_maps(assign)
        if state not in owners or owners[state].owner_of(key) != self._worker.me:
            raise ClusterError("the key is not here", "ask again")
        return self._worker.dataflow.saved_states[state].delete(key)

    def source_ended(self) -> None:
        """Report which sources have ended."""
        worker = self._worker
        if worker.engine.timing is not None:
            worker.engine.timing.end_placed(worker.sources.ended[0])
        worker.send(SourcesEnded(worker.epoch, *worker.sources.ended))

    def check(self) -> None:
        """Assert the invariants of the whole worker."""
        worker = self._worker
        assert worker.epoch >= worker.incarnation
        assert worker.me not in worker.mesh.members
        assert worker.mesh.outgoing.keys() >= {*worker.mesh.members}
        assert (self._barriers is None) or (self._assignment is not None)
        worker.engine.check()
        worker.sources.check()
        self._resize.check()
        if self._barriers is not None:
            self._barriers.check()

    # Ends

    def _stop(self) -> None:
        if self._worker.sources.splits.open_sources:
            self._worker.start(self._close_and_end())
        else:
            self._ports.end(0)

    async def _close_and_end(self) -> None:
        """Let readers close their connections, which takes a limited time."""
        try:
            await self._worker.sources.splits.close()
        finally:
            self._ports.end(0)

    def stop_on_error(self, failure: Failure) -> None:
        """End the run because of a record that failed."""
        # The dead letter has the payload and the traceback.
        self._ports.records_failed([failure])
        on_key = "" if failure.key is None else f" on key {failure.key!r}"
        self.fail(
            f"step {failure.step!r} of pipeline {failure.pipeline!r} failed{on_key}: "
            f"{failure.error}",
            hint=f"look at {failure.at}" if failure.at else "",
            exit_code=WallarooError.exit_code,
        )

    def fail(self, what: str, hint: str, exit_code: int) -> None:
        """Report that the run cannot go on, and end the process."""
        worker = self._worker
        worker.send_counts()
        worker.send(Failed(worker.epoch, worker.me, what, hint, exit_code))
        self._ports.end(exit_code)
