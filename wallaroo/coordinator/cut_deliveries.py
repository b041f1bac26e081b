"""Decides, in the initializer, in which order workers deliver the results of one checkpoint.

    manifest with one cut, or none --> nothing to decide: each worker delivers its own
    manifest with several cuts --> all deliver the lowest --> CutDelivered by all
        --> DeliverCut for the next one, and so on; the last one is not reported

Results of a sink that is exactly once are delivered after their checkpoint. At a resize all workers
cut, because a key's results from before it and from after it are delivered by different workers. If
these two cuts were delivered together, results of a key could arrive in the wrong order.

A recovery delivers what is in doubt in the same way, since the manifest that it goes back to has
the same cuts. It begins anew: a worker that has delivered a cut reports that at once.

While cuts are delivered, no other resize begins to hold the sources (``ResizeCoordinator``). So the
members, and the epoch in which they report, stay the same until the last cut.
"""

from collections.abc import Sequence

from wallaroo.coordinator.cluster_state import ClusterState, Phase
from wallaroo.coordinator.events import Effect
from wallaroo.names import CheckpointId, WorkerName
from wallaroo.wire.outbox import CutDelivered, DeliverCut


class CutDeliveries:
    """The cuts of the last manifest that some worker may not have delivered yet."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._cuts: list[CheckpointId] = []
        self._waiting_for: set[WorkerName] = set()

    def begin(self, cuts: Sequence[CheckpointId]) -> None:
        """Start with a manifest that has results of these cuts: all deliver the lowest one."""
        self._cuts = list(cuts)
        self._wait()

    def forget(self) -> None:
        """Forget everything: all workers go back to a checkpoint."""
        self.begin([])

    def _wait(self) -> None:
        # Nobody waits for the last one, so it is not reported.
        self._waiting_for = set(self._state.workers) if len(self._cuts) > 1 else set()

    @property
    def are_under_way(self) -> bool:
        """Whether some cut still has to be ordered."""
        return bool(self._waiting_for)

    def check(self) -> None:
        """Assert what holds between any two steps."""
        assert self._waiting_for <= set(self._state.workers)
        assert not self.are_under_way or self._state.phase is not Phase.MOVING
        if self._state.phase is Phase.FORMING:
            assert not self.are_under_way, "a recovery delivers anew"

    def delivered(self, worker: WorkerName, frame: CutDelivered) -> list[Effect]:
        """Handle a worker's report; order the next cut if it was the last worker."""
        if not self.are_under_way or frame.cut != self._cuts[0]:
            return []
        self._waiting_for.discard(worker)
        if self._waiting_for:
            return []
        del self._cuts[0]
        self._wait()
        return [self._state.to_all(DeliverCut(self._state.epoch, self._cuts[0]))]
