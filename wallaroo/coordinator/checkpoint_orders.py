"""Decides when a checkpoint is taken, and what follows if it fails."""

from collections.abc import Callable

from wallaroo.checkpoint.lost_input import NeededInput
from wallaroo.coordinator.checkpoint_round import RoundPhase
from wallaroo.coordinator.cluster_state import ClusterState, Phase
from wallaroo.coordinator.cut_deliveries import CutDeliveries
from wallaroo.coordinator.events import (
    Announce,
    Effect,
    ManifestNotWritten,
    ManifestWritten,
    SettleManifest,
    WriteManifest,
)
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import WorkerName
from wallaroo.wire.control import Abandon, Checkpoint, Committed, NotSaved, Saved

CARRY_ON = "nothing is lost: the same command continues from the last checkpoint"


class CheckpointOrders:
    """The checkpoints of one cluster, from the order to the manifest.

    ``go_on`` does what had to wait for the end of a round; ``end`` ends the run.
    """

    def __init__(
        self,
        state: ClusterState,
        deliveries: CutDeliveries,
        go_on: Callable[[], list[Effect]],
        end: Callable[[WallarooError], list[Effect]],
    ) -> None:
        self._state = state
        self._rounds = state.rounds
        self._deliveries = deliveries
        self._is_settling = False
        self._go_on = go_on
        self._end = end

    def begin(self) -> list[Effect]:
        """Take a checkpoint, unless one is being taken."""
        state = self._state
        if state.phase is not Phase.RUNNING or self._rounds.phase is not RoundPhase.IDLE:
            return []
        return [state.to_all(Checkpoint(state.epoch, self._rounds.begin()))]

    def answered(self, worker: WorkerName, frame: Saved | NotSaved) -> list[Effect]:
        """Handle a worker's answer: it has saved its share, or could not."""
        rounds, state = self._rounds, self._state
        if frame.checkpoint != rounds.checkpoint or rounds.phase is not RoundPhase.SAVING:
            return []
        if isinstance(frame, NotSaved):
            rounds.failed()
            return self._failed(f"worker {worker}: {frame.reason}", frame.hint)
        contents = rounds.saved(
            worker, frame.content, len(state.workers), is_replayed=frame.is_replayed
        )
        return [] if contents is None else [WriteManifest(rounds.checkpoint, state.epoch, contents)]

    def _failed(self, reason: str, hint: str) -> list[Effect]:
        state = self._state
        remedy = f"{hint}; {CARRY_ON}" if hint else CARRY_ON
        if state.phase is Phase.DRAINING:
            what = f"the last checkpoint cannot be saved: {reason}"
            return self._end(ClusterError(what, hint=remedy))
        count, limit = self._rounds.failures_in_a_row, state.begin.checkpoint_failures_max
        if limit is not None and count > limit:
            what = f"{count} checkpoints in a row could not be saved: {reason}"
            return self._end(ClusterError(what, hint=remedy))
        values = {
            "reason": reason,
            "failed_in_a_row": count,
        }
        if hint:
            values["hint"] = hint
        following = "processing continues; the next checkpoint saves these changes too"
        failed: Effect = Announce("checkpoint.failed", values, following, is_warning=True)
        if state.phase is not Phase.RUNNING:
            return [failed, *self._go_on()]
        abandon = state.to_all(Abandon(state.epoch, self._rounds.checkpoint))
        return [failed, abandon, *self._go_on()]

    def manifest_answered(self, event: ManifestWritten | ManifestNotWritten) -> list[Effect]:
        """Handle the outcome of a manifest: it is committed, or was not written."""
        state = self._state
        if self._is_settling:
            return self._settled(event)
        if isinstance(event, ManifestNotWritten):
            self._rounds.failed()
            return self._failed(event.reason, event.hint)
        state.committed(event.number, event.cuts, has_prepared=event.has_prepared)
        state.input.committed(NeededInput(event.number, event.journals))
        self._rounds.committed()
        effects: list[Effect] = []
        if state.phase in (Phase.RUNNING, Phase.DRAINING):
            rounds, number, oldest = self._rounds, event.number, event.oldest_number
            frame = Committed(
                state.epoch, rounds.checkpoint, number, oldest, rounds.is_replayed, [*event.cuts]
            )
            self._deliveries.begin(event.cuts)
            effects = [state.to_all(frame)]
        return [*effects, *self._go_on()]

    # The end of a run

    def settle(self) -> list[Effect]:
        """Write the last checkpoint once more, without what sinks have by now.

        Targets may forget numbers and prepared work before the next start, which would deliver or
        commit it again.
        """
        self._is_settling = True
        return [SettleManifest(self._rounds.settle(), self._state.epoch)]

    def _settled(self, event: ManifestWritten | ManifestNotWritten) -> list[Effect]:
        """Go on in any case: without it the next start asks the sinks what they have."""
        self._is_settling = False
        self._rounds.committed()
        if isinstance(event, ManifestWritten):
            self._state.committed(event.number, ())
            return self._go_on()
        self._state.committed(self._state.manifest, ())
        values = {"reason": event.reason}
        following = "the next run asks the sinks what they have"
        failed = Announce("checkpoint.not_settled", values, following, is_warning=True)
        return [failed, *self._go_on()]
