"""All outboxes of one worker, and the order of cuts across workers.

    Assign, Committed: a manifest has batches of these cuts --> deliver the lowest one
    all sinks have it --> CutDelivered, to the initializer --> DeliverCut, once all workers have it

A manifest has the batches of one cut, unless keys have moved since the one before. Then the old
owner's results of a key are in the cut of the resize, and the new owner's in a later one. Both are
delivered by different workers, so all deliver cut by cut. With one cut nobody waits for anybody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.names import CheckpointId, SinkId
from wallaroo.worker.outbox import Outbox

NO_LIMIT = CheckpointId(1 << 62)


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

    def begin(
        self, barrier: CheckpointId, in_doubt: Sequence[OutboxBatch], cuts: Sequence[CheckpointId]
    ) -> None:
        """Open all slots, and deliver what is in doubt of a manifest with these cuts."""
        for sink, outbox in self._by_sink.items():
            mine = [each for each in in_doubt if each.sink == sink]
            outbox.begin(barrier, mine, _limit(cuts))
        self._follow(cuts)

    @property
    def is_ready(self) -> bool:
        """Whether nothing is in doubt any more, and all slots of this worker are open."""
        return all(outbox.is_ready for outbox in self._by_sink.values())

    def cut(self, barrier: CheckpointId) -> None:
        """End the present batch of each sink at this barrier."""
        for outbox in self._by_sink.values():
            outbox.cut(barrier)

    def is_settled(self) -> bool:
        """Return whether the share of the last cut is complete, see ``Outbox.is_settled``."""
        # All are asked, so that an error of one shows although another one waits.
        settled = [outbox.is_settled() for outbox in self._by_sink.values()]
        return all(settled)

    def uncommitted(self) -> list[OutboxBatch]:
        """Return all batches before the last cut that no manifest names."""
        return [each for outbox in self._by_sink.values() for each in outbox.uncommitted()]

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

    def discard(self) -> None:
        """Drop everything; answers are ignored."""
        for outbox in self._by_sink.values():
            outbox.discard()

    @property
    def has_all(self) -> bool:
        """Whether the targets have all results."""
        return not any(outbox.undelivered_bytes for outbox in self._by_sink.values())

    @property
    def backlog_bytes(self) -> int:
        """Bytes that hold the sources back."""
        return sum(outbox.backlog_bytes for outbox in self._by_sink.values())

    def __iter__(self) -> Iterator[Outbox]:
        return iter(self._by_sink.values())


def _limit(cuts: Sequence[CheckpointId]) -> CheckpointId:
    return cuts[0] if len(cuts) > 1 else NO_LIMIT
