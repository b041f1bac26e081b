"""A change of the members, as one worker lives through it.

    Gather: link to everybody, find the keys that move while records go on --> Gathered
    Empty, only to one that leaves: stop reading, hand over its senders --> Emptied
    Hold: sources wait behind a barrier; once it is through here, send what moves --> Held
          everything has arrived from all others --> Moved
    Assign with the number of this resize: the change is committed
    Leave instead of Assign, to one that leaves: its sinks get what is theirs --> Drained
    CallOff, at any time before that: nothing has changed

**What can go wrong**

* *Any worker is lost before the commit.* The old members have to go on as if nothing had happened.
  So a worker keeps what it gives, and stages what it gets, until Assign or CallOff says which.
* *Frames of a resize that was called off arrive during the next one.* Every frame names its
  resize, and frames of another number are dropped.
* *A record changes a key that has been sent.* States are sent only once the barrier is through,
  when nothing that could change them is left. Sources stay held until all know the new owners.
* *A key appears after the search for those that move.* Keys are never removed meanwhile, so late
  ones are at the end of their dictionary and are found when the states are sent.
* *A resize is called off while a coroutine waits.* After each wait it compares ``_moving`` with the
  transfer that it began with, and ends if it is another one.
* *The new owner of a key writes results before the old one's have arrived.* The worker reports what
  its sinks owe (``Delivered``), and new owners hold their results back until that is nothing.

**Invariants**, which ``check`` asserts

1. Connections are staged only while a resize is under way.
2. While a resize holds, sources wait.
3. Everything has arrived only if no worker that gives is still missing, and every key is counted.

**Why this order**

Links, the search and the hand-over of senders take long and need no pause, so they come before the
barrier. The inbox is kept small from Gather on (``Pressure.narrow``), since the barrier waits for
all that is in it. Senders are handed over before the barrier, so that what they have read is
before it.
"""

from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.ingest.connection_handover import Handed, Offer, StagedConnections, distribute
from wallaroo.names import NO_BARRIER, Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.runtime.inbox import Link
from wallaroo.wire.control import (
    CallOff,
    Delivered,
    Emptied,
    Empty,
    Gather,
    Gathered,
    Held,
    Hold,
    Leave,
    Moved,
    NotMoved,
)
from wallaroo.wire.data_frames import MovingFrame
from wallaroo.worker.barriers import Barriers, Durability
from wallaroo.worker.context import WorkerContext
from wallaroo.worker.state_transfer import LOOK_S, Maps, StateTransfer

DELIVER_LOOK_S = 0.005


class WorkerResize:
    """All resizes of one worker during one epoch; at most one is under way."""

    def __init__(self, worker: WorkerContext, pickler: StatePickler) -> None:
        self._worker = worker
        self._pickler = pickler
        self._me = worker.me
        self._dataflow = worker.dataflow
        self._moving: StateTransfer | None = None
        self._epoch = worker.epoch
        """The one in which the resize was asked for."""
        self._takers: list[WorkerName] = []
        self._empty_order: Empty | None = None
        self._is_emptying = False
        self._is_empty = False
        self._handed_over = 0
        """The attempt at which all of this worker's takers have taken their shares; 0 for none."""
        self._staged = StagedConnections()
        self._addresses: list[str] = []
        self._marks: dict[int, int] = {}
        """How far each sink was written to at the barrier."""
        self._owed: list[int] = []
        """Sinks that lacked something of that when this worker was ``Held``."""
        self.held = NO_BARRIER
        """The barrier that holds the sources; 0 where none does."""

    def _is_on(self, moving: StateTransfer) -> bool:
        return self._moving is moving

    def _fail(self, epoch: Epoch, moving: StateTransfer, error: WallarooError) -> None:
        if self._is_on(moving):
            self._worker.send(NotMoved(epoch, moving.number, error.what))

    # Before anything pauses

    def gather(self, order: Gather, now: Maps | None, addresses: list[str]) -> None:
        """Other members are wanted; ``now`` is who owns what, ``None`` for one that joins."""
        then = {each.state: each for each in map(PartitionMap.from_wire, order.partition_maps)}
        everybody = [
            (WorkerName(name), Epoch(epoch), address) for name, epoch, address in order.members
        ]
        self._takers = [WorkerName(name) for name in order.new_workers]
        # Those that join have an incarnation of the epoch that begins with them.
        givers = [name for name, epoch, _ in everybody if epoch <= order.epoch]
        moving = self._moving = StateTransfer(
            order.resize, self._me, self._dataflow, now, then, givers, self._pickler
        )
        self._epoch = order.epoch
        self._addresses = addresses
        self.held = NO_BARRIER
        worker = self._worker
        worker.mesh.link(everybody)
        worker.mesh.pressure.narrow()
        self._worker.backlog_changed()
        worker.start(self._gather(order, moving, is_new=now is None))

    async def _gather(self, order: Gather, moving: StateTransfer, *, is_new: bool) -> None:
        worker = self._worker
        await worker.mesh.connected()
        if is_new:
            await worker.sinks.connected()
        else:
            # What a journal has comes before what its worker's senders send, wherever that goes.
            await worker.sources.replayed()
            await moving.find(self._worker.clock, self._worker.pause)
        # A barrier waits for all that is here before it, however long that takes.
        while self._is_on(moving) and not self._has_little():
            await self._worker.pause(LOOK_S)
        if self._is_on(moving):
            worker.send(Gathered(order.epoch, order.resize))

    def _has_little(self) -> bool:
        worker = self._worker
        return worker.mesh.pressure.is_little(worker.engine.inbox.byte_count)

    def _widen(self) -> None:
        self._worker.mesh.pressure.widen()
        self._worker.backlog_changed()

    def empty(self, order: Empty) -> None:
        """This worker leaves: nothing that it has read may stay behind."""
        self._empty_order = order
        if not self._is_emptying:
            self._is_emptying = True
            self._worker.start(self._empty())

    async def _empty(self) -> None:
        while (order := self._empty_order) is not None:
            self._handed_over = await self._hand_over(order)
            if not self._handed_over and order is self._empty_order:
                await self._worker.sources.senders.close()
            if order is self._empty_order:
                self._is_empty, self._is_emptying = True, False
                self._worker.send(Emptied(order.epoch, order.resize))
                return
            # Called off meanwhile, and perhaps there is another one.
        self._is_emptying = False
        await self._go_on_taking()

    async def _hand_over(self, order: Empty) -> int:
        """Return the attempt by which all connections lie aside; 0 if they are read on here."""
        worker = self._worker
        senders, here = worker.sources.senders, worker.hand_over.is_here
        paths = [path for path in order.takers if here(path)]
        reason = "no remaining worker is on this host"
        if paths:
            await senders.pause_reading(self._worker.pause)
            try:
                if attempt := await self._give_senders(order, paths):
                    return attempt
                reason = "no remaining worker accepted them"
            except OSError as problem:
                reason = str(problem)
            senders.resume_reading()
        if worker.sources.connection_count and order is self._empty_order:
            what = f"source connections cannot be handed over: {reason}"
            error = ProtocolError(what, "senders have to reconnect")
            worker.warn("source_connections.closed", error)

        return 0

    async def _give_senders(self, order: Empty, paths: list[str]) -> int:
        """Offer them to all takers, then to those that took; return the attempt that succeeded.

        Raises ``OSError``.
        """
        attempt = 0
        while paths and order is self._empty_order:
            attempt += 1
            shares = distribute(self._me, self._worker.sources.senders.handed(), paths)
            offer = Offer(order.resize, self._me, attempt)
            took = await self._worker.hand_over.give(offer, shares)
            if len(took) == len(shares):
                return attempt
            # Where there are few connections, not everybody was asked.
            paths = [path for path in paths if path in took or path not in shares]
        return 0

    async def _go_on_taking(self) -> None:
        self._worker.sources.senders.resume_reading()
        try:
            await self._worker.sources.listen(self._addresses)
        except OSError as error:
            self._worker.warn(
                "source.listen_failed", ProtocolError(f"a source cannot listen: {error}")
            )

    # The pause

    def hold(self, order: Hold, barriers: Barriers, durability: Durability | None) -> None:
        """Have sources wait behind a barrier, and give what moves once it is through here."""
        moving = self._moving
        if moving is None or moving.number != order.resize:
            return
        self.held = order.checkpoint
        barriers.hold(order.checkpoint, lambda: self._held(order, moving, durability))
        if self._me in self._takers and moving.has_become_whole():
            self._send_moved(moving)

    def _held(self, order: Hold, moving: StateTransfer, durability: Durability | None) -> None:
        self._worker.start(self._give(order, moving, durability))

    async def _give(
        self, order: Hold, moving: StateTransfer, durability: Durability | None
    ) -> None:
        """Nothing comes to this worker's states any more: give, and tell."""
        if not self._is_on(moving):
            return  # called off meanwhile: links to those who would have joined are gone
        worker = self._worker
        through_s = self._worker.clock()
        self._marks = worker.sinks.order.marks()
        files = worker.sinks.cut_files(order.checkpoint, is_staged=durability is not None)
        try:
            await moving.give(self._takers, worker.mesh, self._worker.clock, self._worker.pause)
            if not self._is_on(moving):
                return
            left = []
            if self._me not in self._takers:
                staged = await files()
                positions, counts = worker.sources.positions(), self._dataflow.counts()
                legacy = Departure(self._me, [], positions, staged, counts, self._handed_over)
                if durability is not None:
                    legacy.journals.extend(durability.journal.current_positions())
                    legacy.staged.extend(durability.saving.inherited)
                left = legacy.to_wire()
            elif durability is None:
                # What the new owner of a key appends to a file belongs behind what this one did.
                await files()
        except WallarooError as error:
            self._fail(order.epoch, moving, error)
            return
        if self._is_on(moving):
            gave_us = int(1e6 * (self._worker.clock() - through_s))
            self._owed = worker.sinks.order.owed(self._marks)
            worker.send(Held(order.epoch, order.resize, left, gave_us, self._owed))

    def received(self, link: Link, frame: MovingFrame) -> None:
        """Another worker gives states, for this resize or for one that was called off."""
        moving = self._moving
        if moving is not None and moving.number == frame.resize:
            try:
                if moving.received(link, frame):
                    self._send_moved(moving)
            except WallarooError as error:
                self._fail(self._worker.epoch, moving, error)
        link.processed(frame)

    def _send_moved(self, moving: StateTransfer) -> None:
        moved = Moved(self._epoch, moving.number, moving.key_count, moving.byte_count)
        self._worker.send(moved)

    def offered(self, offer: Offer, handed: list[Handed]) -> bool:
        """Another worker gives connections of senders; say whether they lie aside here."""
        if self._moving is None or self._moving.number != offer.resize:
            return False
        self._staged.stage(offer, handed)
        return True

    def check(self) -> None:
        """Assert what holds between any two steps."""
        moving = self._moving
        assert not (self._is_emptying and self._is_empty)
        if moving is None:
            assert self._staged.is_empty, "connections are staged for no resize"
            return
        moving.check()
        assert not self.held or self._worker.engine.holds_sources, "sources go on before the end"

    # The end

    def take_over(self, left: list[Departure]) -> None:
        """It is done: what those who left have given is read on here, from now on or soon."""
        for each in left:
            taken = self._staged.take(each.worker, each.handed_over)
            self._worker.sources.senders.take_over(taken)
        self._staged.drop()

    def end(self) -> None:
        """The epoch ends, and what was under way with it."""
        self._moving = None
        self._staged.drop()

    def finish(self, number: int) -> bool:
        """It is done; say whether this worker has given anything away."""
        moving, self._moving = self._moving, None
        assert moving is not None
        assert moving.number == number
        self._widen()
        self._worker.start(self._deliver(number))
        return moving.finish()

    async def _deliver(self, resize: int) -> None:
        """Report what the sinks have acknowledged of what was written before the barrier.

        New owners hold their results back until then.
        """
        worker = self._worker
        marks, told = self._marks, self._owed
        while told:
            owed = worker.sinks.order.owed(marks)
            if owed != told:
                told = owed
                worker.send(Delivered(worker.epoch, resize, owed))
            else:
                await self._worker.pause(DELIVER_LOOK_S)

    def call_off(self, order: CallOff, barriers: Barriers | None) -> None:
        """There will be no such resize."""
        moving = self._moving
        if moving is None or moving.number != order.resize:
            return
        self._moving = None
        moving.call_off()
        self._widen()
        self._staged.drop()
        self._worker.mesh.unlink()
        if self.held:
            assert barriers is not None, "only members hold"
            barriers.release_hold(self.held)
        self._empty_order = None
        if self._is_empty:
            self._is_empty = False
            self._worker.start(self._go_on_taking())

    def leave(self, order: Leave) -> None:
        """This worker is no member any more."""
        self._moving = None
        self._worker.mesh.close()
        self._worker.start(self._deliver(order.resize))
        self._worker.start(self._leave(order))

    async def _leave(self, order: Leave) -> None:
        worker = self._worker
        worker.sources.senders.detach()
        worker.sources.stop_placed()
        await worker.sinks.flush()
        worker.send_drained(order.epoch, self.held)
