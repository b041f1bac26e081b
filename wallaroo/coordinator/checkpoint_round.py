"""The rounds of checkpoints, as the initializer sees them: one at a time, each saved or given up.

    IDLE --begin--> SAVING --Saved by all--> COMMITTING --manifest written--> IDLE
                      |                          |
                      +------ give_up -----------+-- manifest not written --> IDLE

A round gets a number of its own, whatever becomes of it: a barrier of a round that was given up
cannot be taken for one of the next.
"""

import enum
from typing import Any

from wallaroo.names import CheckpointId, WorkerName


class RoundPhase(enum.Enum):
    """Where the running checkpoint is."""

    IDLE = "idle"
    SAVING = "saving"
    COMMITTING = "committing"


class CheckpointRound:
    """Who has saved what of the running checkpoint."""

    def __init__(self, last: CheckpointId) -> None:
        self.checkpoint = last
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row = 0
        self.is_replayed = True
        """Whether no worker that has saved was replaying a journal."""
        self._saved: dict[WorkerName, list[Any]] = {}

    def begin(self) -> CheckpointId:
        """Begin a round; return its number."""
        assert self.phase is RoundPhase.IDLE
        self.phase = RoundPhase.SAVING
        self._saved = {}
        self.is_replayed = True
        return self.barrier()

    def barrier(self) -> CheckpointId:
        """Return the number of another barrier, which nothing is saved for."""
        self.checkpoint = CheckpointId(self.checkpoint + 1)
        return self.checkpoint

    def saved(
        self, worker: WorkerName, content: list[Any], worker_count: int
    ) -> dict[WorkerName, list[Any]] | None:
        """A worker has saved its part; return all parts once every worker has."""
        self._saved[worker] = content
        if len(self._saved) < worker_count:
            return None
        self.phase = RoundPhase.COMMITTING
        return self._saved

    def committed(self) -> None:
        """The manifest is written: the checkpoint stands."""
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row = 0

    def failed(self) -> None:
        """There will be no such checkpoint, and something is to be mended."""
        self.phase = RoundPhase.IDLE
        self.failures_in_a_row += 1

    def give_up(self) -> None:
        """There will be no such checkpoint; it was nobody's fault."""
        self.phase = RoundPhase.IDLE
