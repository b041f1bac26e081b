"""One worker's part of a resize.

    Gather: link to everybody, find the keys that move while records go on --> Gathered
    Empty, only to a worker that leaves: stop reading, hand over its senders --> Emptied
    Hold: sources wait behind a barrier; once it is through here, send the keys that move --> Held
          everything has arrived from all others --> Moved
    Assign with the number of this resize: the resize is committed
    Leave instead of Assign, to a worker that leaves: flush its sinks --> Drained
    CallOff, at any time before that: nothing has changed

**What can go wrong**

* *Any worker is lost before the commit.* The old members have to go on as if nothing had happened.
  So a worker keeps what it gives and stages what it receives, until Assign or CallOff arrives.
* *Frames of a resize that was called off arrive during the next one.* Every frame names its
  resize, and frames of another number are dropped.
* *A record changes a key that has been sent.* States are sent only once the barrier is through,
  when nothing that could change them is left. Sources stay held until all know the new owners.
* *A key is created after the search for those that move.* Keys are never removed meanwhile, so new
  ones are at the end of their dictionary and are found when the states are sent.
* *A resize is called off while a coroutine waits.* After each wait the coroutine compares
  ``_moving`` with the transfer that it began with, and ends if it is another one.
* *A split is behind, and its new reader is not.* The reader's watermark would make its records
  late. So ``Held`` has the watermark of its source here, and ``Assign`` tells it to all workers.
* *The new owner of a key writes results before the old one's have arrived.* The worker reports what
  its sinks owe (``Delivered``), and new owners hold their results back until that is nothing.

**Invariants**, which ``check`` asserts

1. Connections are staged only while a resize is under way.
2. While a resize holds, sources wait.
3. Everything has arrived only if no worker that gives is still missing, and every key is counted.

**Why this order**

Links, the search and the hand-over of senders take long and need no pause, so they precede the
barrier. The inbox is kept small from Gather on (``Pressure.narrow``), since the barrier waits for
all that is in it. Senders are handed over before the barrier, so that what was read from them is
before it.
"""

from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.ingest.connection_handover import ConnectionCopy, Offer, StagedConnections, distribute
from wallaroo.names import NO_BARRIER, Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.runtime.inbox import Link
from wallaroo.wire.control import (
    TOO_MANY_SPLITS,
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
    fits,
)
from wallaroo.wire.data_frames import MovingFrame
from wallaroo.worker.barriers import Barriers, Durability
from wallaroo.worker.context import WorkerContext
from wallaroo.worker.state_transfer import POLL_S, Maps, StateTransfer

DELIVERED_POLL_S = 0.005


class WorkerResize:
    """All resizes of one worker during one epoch; at most one is under way."""

    def __init__(self, worker: WorkerContext, pickler: StatePickler) -> None:
        self._worker = worker
        self._pickler = pickler
        self._me = worker.me
        self._dataflow = worker.dataflow
        self._moving: StateTransfer | None = None
        self._epoch = worker.epoch
        """The epoch in which the resize was requested."""
        self._takers: list[WorkerName] = []
        self._empty_order: Empty | None = None
        self._is_emptying = False
        self._is_empty = False
        self._handed_over = 0
        """The attempt at which all takers have staged their shares; 0 if there was none."""
        self._staged = StagedConnections()
        self._addresses: list[str] = []
        self._marks: dict[int, int] = {}
        """How many bytes had been written to each sink at the barrier."""
        self._splits: dict[int, list[str]] = {}
        """The splits that this worker gives away, by pipeline."""
        self._owed: list[int] = []
        """The sinks that had not acknowledged all of these when this worker was ``Held``."""
        self.held = NO_BARRIER
        """The barrier that holds the sources; 0 if none does."""

    @property
    def gives_states(self) -> bool:
        """Whether states may have been sent to their new owners, who do not hear of a change."""
        return self._moving is not None and self.held != NO_BARRIER

    def _is_on(self, moving: StateTransfer) -> bool:
        return self._moving is moving

    def _fail(self, epoch: Epoch, moving: StateTransfer, error: WallarooError) -> None:
        if self._is_on(moving):
            self._worker.send(NotMoved(epoch, moving.number, error.what))

    # Before the sources pause

    def gather(self, order: Gather, owners: Maps | None, addresses: list[str]) -> None:
        """Prepare for new members. ``owners`` is ``None`` on a worker that joins."""
        new_owners = {
            each.state: each for each in map(PartitionMap.from_wire, order.partition_maps)
        }
        everybody = [
            (WorkerName(name), Epoch(epoch), address) for name, epoch, address in order.members
        ]
        self._takers = [WorkerName(name) for name in order.new_workers]
        # Workers that join have the incarnation of the epoch after this one, and give nothing.
        givers = [name for name, epoch, _ in everybody if epoch <= order.epoch]
        moving = self._moving = StateTransfer(
            order.resize, self._me, self._dataflow, owners, new_owners, givers, self._pickler
        )
        self._epoch = order.epoch
        self._splits = {
            pipeline: splits for pipeline, giver, splits in order.splits if giver == self._me
        }
        self._addresses = addresses
        self.held = NO_BARRIER
        worker = self._worker
        worker.mesh.link(everybody)
        worker.mesh.pressure.narrow()
        self._worker.backlog_changed()
        worker.start(self._gather(order, moving, is_new=owners is None))

    async def _gather(self, order: Gather, moving: StateTransfer, *, is_new: bool) -> None:
        worker = self._worker
        await worker.mesh.connected()
        if is_new:
            await worker.sinks.connected()
        else:
            # The records of a journal precede what senders send now, whichever worker reads that.
            await worker.sources.replayed()
            await moving.find(self._worker.clock, self._worker.pause)
            # A source is asked once where a split starts, so a taker must not have to ask again.
            await worker.sources.splits.resolved(self._splits)
        # The barrier will wait for everything in the inbox, so wait for a small inbox first.
        while self._is_on(moving) and not self._is_inbox_small():
            await self._worker.pause(POLL_S)
        if self._is_on(moving):
            worker.send(Gathered(order.epoch, order.resize))

    def _is_inbox_small(self) -> bool:
        worker = self._worker
        return worker.mesh.pressure.is_small(worker.engine.inbox.byte_count)

    def _widen(self) -> None:
        self._worker.mesh.pressure.widen()
        self._worker.backlog_changed()

    def empty(self, order: Empty) -> None:
        """Stop reading and hand over all senders, because this worker leaves."""
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
            # The resize was called off meanwhile, and another order may have arrived.
        self._is_emptying = False
        await self._resume_sources()

    async def _hand_over(self, order: Empty) -> int:
        """Return the attempt at which all connections were staged; 0 if they stay here."""
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
        """Offer the connections to all takers, then to those that answered.

        Return the attempt that all its takers answered; 0 if there was none. Raises ``OSError``.
        """
        attempt = 0
        while paths and order is self._empty_order:
            attempt += 1
            shares = distribute(self._me, self._worker.sources.senders.copies(), paths)
            offer = Offer(order.resize, self._me, attempt)
            accepted = await self._worker.hand_over.give(offer, shares)
            if len(accepted) == len(shares):
                return attempt
            # With few connections some takers have no share; they may be asked next.
            paths = [path for path in paths if path in accepted or path not in shares]
        return 0

    async def _resume_sources(self) -> None:
        self._worker.sources.senders.resume_reading()
        try:
            await self._worker.sources.listen(self._addresses)
        except OSError as error:
            self._worker.warn(
                "source.listen_failed", ProtocolError(f"a source cannot listen: {error}")
            )

    # The pause

    def hold(self, order: Hold, barriers: Barriers, durability: Durability | None) -> None:
        """Pause the sources behind a barrier; send what moves once it is through this worker."""
        moving = self._moving
        if moving is None or moving.number != order.resize:
            return
        self.held = order.checkpoint
        barriers.hold(order.checkpoint, lambda: self._held(order, moving, durability))
        if self._me in self._takers and moving.has_become_complete():
            self._send_moved(moving)

    def _held(self, order: Hold, moving: StateTransfer, durability: Durability | None) -> None:
        self._worker.start(self._give(order, moving, durability))

    async def _give(
        self, order: Hold, moving: StateTransfer, durability: Durability | None
    ) -> None:
        """Send what moves and report ``Held``. Nothing can change this worker's states any more."""
        if not self._is_on(moving):
            return  # called off meanwhile: the links to new workers are closed
        worker = self._worker
        through_s = self._worker.clock()
        source_times = self._source_times()
        self._marks = worker.sinks.order.marks()
        cut = worker.sinks.cut_for_resize(order.checkpoint)
        try:
            await moving.give(self._takers, worker.mesh, self._worker.clock, self._worker.pause)
            if not self._is_on(moving):
                return
            left = []
            if self._me not in self._takers:
                share = await cut()
                departure = Departure(
                    self._me,
                    [],
                    worker.sources.placed_positions(),
                    share.staged,
                    self._dataflow.counts(),
                    self._handed_over,
                    share.outbox,
                    share.prepared,
                )
                if durability is not None:
                    departure.journals.extend(durability.journal.current_positions())
                    departure.staged.extend(durability.saving.inherited)
                left = departure.to_wire()
            elif durability is None:
                # A file has to have what this worker wrote before what a key's new owner appends.
                await cut()
            splits = worker.sources.splits.positions_of(self._splits)
        except WallarooError as error:
            self._fail(order.epoch, moving, error)
            return
        if self._is_on(moving):
            gave_us = int(1e6 * (self._worker.clock() - through_s))
            self._owed = worker.sinks.order.owed(self._marks)
            held = Held(order.epoch, order.resize, left, gave_us, self._owed, splits, source_times)
            if splits and not fits(held):
                reason = f"its splits would move with their positions, {TOO_MANY_SPLITS}"
                worker.send(NotMoved(order.epoch, order.resize, reason))
            else:
                worker.send(held)

    def _source_times(self) -> dict[int, int]:
        """Return the watermarks of the sources whose splits or connections go on elsewhere."""
        timing = self._worker.engine.timing
        sources = {} if timing is None else timing.clocks.sources
        leaves = self._me not in self._takers
        return {
            pipeline: source.moving_time
            for pipeline, source in sources.items()
            if source.moving_time is not None and (leaves or pipeline in self._splits)
        }

    def received(self, link: Link, frame: MovingFrame) -> None:
        """Stage states of another worker; drop them if their resize was called off."""
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

    def offered(self, offer: Offer, copies: list[ConnectionCopy]) -> bool:
        """Stage connections that another worker offers; return whether they are staged."""
        if self._moving is None or self._moving.number != offer.resize:
            return False
        self._staged.stage(offer, copies)
        return True

    def check(self) -> None:
        """Assert the invariants."""
        moving = self._moving
        assert not (self._is_emptying and self._is_empty)
        if moving is None:
            assert self._staged.is_empty, "connections are staged for no resize"
            return
        moving.check()
        assert not self.held or self._worker.engine.holds_sources, "sources go on before the end"

    # The end

    def take_over(self, left: list[Departure]) -> None:
        """Take over the connections that departed workers gave to this one."""
        for each in left:
            taken = self._staged.take(each.worker, each.handed_over)
            self._worker.sources.senders.take_over(taken)
        self._staged.drop()

    def end(self) -> None:
        """Drop the resize that is under way, since the epoch ends."""
        self._moving = None
        self._staged.drop()

    def finish(self, number: int) -> StateTransfer:
        """Carry out the committed resize; return what has moved."""
        moving, self._moving = self._moving, None
        assert moving is not None
        assert moving.number == number
        self._widen()
        # Not before the commit: until then the old members may have to go on.
        self._worker.sources.splits.remove(self._splits)
        timing = self._worker.engine.timing
        sources = {} if timing is None else timing.clocks.sources
        for pipeline in sources.keys() & self._splits.keys():
            for split in self._splits[pipeline]:
                sources[pipeline].handed_over(split)
        self._worker.start(self._deliver(number))
        moving.finish()
        return moving

    async def _deliver(self, resize: int) -> None:
        """Report, until there are none, the sinks that still owe output from before the barrier.

        New owners hold their results back until then.
        """
        worker = self._worker
        marks, reported = self._marks, self._owed
        while reported:
            owed = worker.sinks.order.owed(marks)
            if owed != reported:
                reported = owed
                worker.send(Delivered(worker.epoch, resize, owed))
            else:
                await self._worker.pause(DELIVERED_POLL_S)

    def call_off(self, order: CallOff, barriers: Barriers | None) -> None:
        """Undo what was prepared, since the resize does not happen."""
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
            self._worker.start(self._resume_sources())

    def leave(self, order: Leave) -> None:
        """Flush the sinks and end, since this worker is no longer a member."""
        self._moving = None
        self._worker.mesh.close()
        self._worker.start(self._deliver(order.resize))
        self._worker.start(self._leave(order))

    async def _leave(self, order: Leave) -> None:
        worker = self._worker
        worker.sources.senders.detach()
        worker.sources.stop()
        worker.sinks.give_away()
        await worker.sinks.flush()
        worker.send_drained(order.epoch, self.held)
