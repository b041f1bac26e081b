"""The rounds of checkpoints, seen from the initializer: one at a time, each saved or abandoned.

    IDLE --begin--> SAVING --Saved by all--> COMMITTING --manifest written--> IDLE
                      |                          |
                      +------ give_up -----------+-- manifest not written --> IDLE

    IDLE --settle--> COMMITTING: at the end of a run, nobody saves

Each round has a number of its own, even if it is abandoned. So a late barrier of an abandoned round
cannot be confused with a barrier of the next one.
"""

import enum
from typing import Any

from wallaroo.names import CheckpointId, WorkerName


class RoundPhase(enum.Enum):
    """How far the running checkpoint has come."""

    IDLE = "idle"
    SAVING = "saving"
    COMMITTING = "committing"


class CheckpointRound:
    """The running checkpoint, and what each worker has saved of it."""

    def __init__(self, last: CheckpointId) -> None:
        self.checkpoint = last
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row = 0
        self.is_replayed = True
        """Whether no worker that has saved was replaying a journal."""
        self._saved: dict[WorkerName, list[Any]] = {}

    def begin(self) -> CheckpointId:
        """Start a round; return its number."""
        assert self.phase is RoundPhase.IDLE
        self.phase = RoundPhase.SAVING
        self._saved = {}
        self.is_replayed = True
        return self.barrier()

    def barrier(self) -> CheckpointId:
        """Return a number for a barrier. A resize uses one too, but saves nothing."""
        self.checkpoint = CheckpointId(self.checkpoint + 1)
        return self.checkpoint

    def saved(
        self, worker: WorkerName, content: list[Any], worker_count: int, *, is_replayed: bool = True
    ) -> dict[WorkerName, list[Any]] | None:
        """Add a worker's part; return all parts once every worker has saved, else ``None``."""
        self.is_replayed &= is_replayed
        self._saved[worker] = content
        if len(self._saved) < worker_count:
            return None
        self.phase = RoundPhase.COMMITTING
        return self._saved

    def committed(self) -> None:
        """End the round: the checkpoint is committed."""
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row = 0

    def settle(self) -> CheckpointId:
        """Start a round in which nobody saves: the last checkpoint is written once more."""
        assert self.phase is RoundPhase.IDLE
        self.phase = RoundPhase.COMMITTING
        return self.barrier()

    def failed(self) -> None:
        """End the round without a checkpoint, and count the failure."""
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row += 1

    def give_up(self) -> None:
        """End the round without a checkpoint; this is not a failure."""
        self.phase = RoundPhase.IDLE
