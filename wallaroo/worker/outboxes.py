"""All outboxes of one worker, and the order of cuts across workers.

    Assign, Committed: a manifest has batches of these cuts --> deliver the lowest one
    all sinks have it --> CutDelivered, to the initializer --> DeliverCut, once all workers have it

A manifest has the batches of one cut, unless keys have moved since the one before. Then the old
owner's results of a key are in the cut of the resize, and the new owner's in a later one. Both are
delivered by different workers, so all deliver cut by cut. With one cut nobody waits for anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, SinkId, WorkerName
from wallaroo.worker.outbox import Outbox

NO_LIMIT = CheckpointId(1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStart:
    """What the outboxes of a worker begin with."""

    application: str
    lineage: str
    """See ``Manifest.lineage``."""
    worker: WorkerName
    epoch: Epoch
    barrier: CheckpointId = NO_BARRIER
    """Objects of an outbox are named after barriers behind this one."""
    in_doubt: tuple[OutboxBatch, ...] = ()
    """What the manifest names, and this worker delivers: its own batches, and those of workers
    that are not members any more and are assigned to it."""
    prepared: PreparedStart = field(default_factory=PreparedStart)
    """What the manifest says of sinks that prepare their results instead."""
    cuts: tuple[CheckpointId, ...] = ()
    """The cuts of all batches in the manifest, of all workers."""


class Outboxes:
    """The outboxes of one worker by sink, from one rewind to the next."""

    def __init__(
        self, by_sink: Mapping[SinkId, Outbox], report: Callable[[CheckpointId], None]
    ) -> None:
        """``report`` is called once all sinks have the batches of a cut that is not the last."""
        self._by_sink = by_sink
        self._report = report
        self._cuts: list[CheckpointId] = []
        """The cuts that are not known to be delivered by all workers, lowest first."""
        self._is_reported = False

    def begin(self, start: OutboxStart) -> None:
        """Open all slots, and deliver what is in doubt."""
        for sink, outbox in self._by_sink.items():
            mine = [each for each in start.in_doubt if each.sink == sink]
            outbox.begin(start.barrier, mine, _limit(start.cuts))
        self._follow(start.cuts)

    def inherit(self, batches: Sequence[OutboxBatch]) -> None:
        """List batches of a worker that has left in the next share."""
        for sink, outbox in self._by_sink.items():
            outbox.inherit([each for each in batches if each.sink == sink])

    def give_away(self) -> None:
        """Forget what no manifest names: the successor of this worker has it."""
        for outbox in self._by_sink.values():
            outbox.give_away()

    def committed(self, cuts: Sequence[CheckpointId]) -> None:
        """Deliver what was cut; the manifest has batches of these cuts, of all workers."""
        self._cuts = []
        for outbox in self._by_sink.values():
            outbox.committed(_limit(cuts))
        self._follow(cuts)

    def deliver_cut(self, cut: CheckpointId) -> None:
        """Deliver this cut: all workers have delivered those before it."""
        cuts = [each for each in self._cuts if each >= cut]
        self._cuts = []
        for outbox in self._by_sink.values():
            outbox.deliver_cut(_limit(cuts))
        self._follow(cuts)

    def _follow(self, cuts: Sequence[CheckpointId]) -> None:
        # Only now: an outbox that had not heard of the manifest yet would count as done with it.
        self._cuts, self._is_reported = list(cuts), False
        self.progressed()

    def progressed(self) -> None:
        """Look whether all sinks have the lowest cut now."""
        if len(self._cuts) < 2 or self._is_reported:
            return
        if all(outbox.has_delivered(self._cuts[0]) for outbox in self._by_sink.values()):
            self._is_reported = True
            self._report(self._cuts[0])

    def abandon(self, checkpoint: CheckpointId) -> None:
        """The checkpoint failed: its batches join the next cut."""
        for outbox in self._by_sink.values():
            outbox.abandon(checkpoint)


def _limit(cuts: Sequence[CheckpointId]) -> CheckpointId:
    return cuts[0] if len(cuts) > 1 else NO_LIMIT
