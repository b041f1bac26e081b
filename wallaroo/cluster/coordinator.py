"""Decides, in the initializer, how a cluster starts, saves, recovers, drains and stops.

    FORMING --all joined--> CONNECTING --all Ready--> OPENING --all Opened--> RUNNING
       ^                        |                        |                      |  |
       +------WorkerLost--------+------------------------+----------------------+  |
                                                               StopRequested       |
    STOPPED <--all Drained-- DRAINING <--------------------------------------------+
       ^                        |
       +--StopRequested-- DRAINED, after a DrainRequested: only the stop follows

Each loss of a worker begins a new epoch; what a worker says of an older one is dropped in
``_received``, and nowhere else. Two things hold whatever the epoch: that a run cannot go on
(``Failed``), and that somebody wants it to stop (``RequestStop``).

With checkpoints on, a loss sends all workers back to the last checkpoint: those that live rewind
and join again as if they were started anew. While a manifest is being written nobody is told where
to go back to; the answer may be that very checkpoint.

Before the application has been ready once, a loss ends the start.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.cluster.ended_sources import EndedSources
from wallaroo.cluster.ending import Ending
from wallaroo.cluster.events import (
    Announce,
    CheckpointDue,
    DrainRequested,
    Effect,
    EndCluster,
    Event,
    ManifestNotWritten,
    ManifestWritten,
    Publish,
    Received,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.cluster.rounds import RoundPhase, Rounds
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Abandon,
    Assign,
    Checkpoint,
    Committed,
    ControlFrame,
    Drain,
    Drained,
    Failed,
    Join,
    NotSaved,
    Open,
    Opened,
    Ready,
    RequestStop,
    Rewind,
    Saved,
    SourcesEnded,
    Stop,
)

STORY_STEPS_MAX = 64

FIRST_EPOCH = Epoch(1)

ASKED_BY_A_WORKER = StopRequested(may_force=False)
"""A supervisor that signals every process means one stop, not many."""

CARRY_ON = "nothing is lost: the same command carries on from the last checkpoint"


class Phase(enum.Enum):
    """Where the cluster is."""

    FORMING = "forming"
    CONNECTING = "connecting"
    OPENING = "opening"
    RUNNING = "running"
    DRAINING = "draining"
    DRAINED = "drained"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the coordinator is told at the start."""

    workers: tuple[WorkerName, ...]
    outline: list[str]
    difference: Callable[[list[str], list[str]], str]
    """Two outlines to a sentence that names the step in which they differ."""
    partition_maps: list[Any]
    source_addresses: list[str]
    source_workers: list[str]
    may_restart: bool = True
    is_patient: bool = False
    """Whether a loss before the application has been ready is mended, too."""
    is_durable: bool = False
    epoch: Epoch = FIRST_EPOCH
    """The first of this run; with checkpoints on it goes up from run to run."""
    manifest: int = 0
    """The number of the checkpoint to begin with; 0 for none."""
    checkpoint_failures_max: int | None = None
    """Checkpoints that may fail in a row before the run ends."""


class Coordinator:
    """One cluster. ``step`` takes what happened and returns what to do, in order."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.phase = Phase.FORMING
        self.epoch = membership.epoch
        self._incarnations = dict.fromkeys(membership.workers, self.epoch)
        self._processes = dict(self._incarnations)
        """The epoch at which each worker's process was started; it may rewind to a later one."""
        self._data_addresses: dict[WorkerName, str] = {}
        self._waiting_for: set[WorkerName] = set(membership.workers)
        self._has_been_ready = False
        self.ending = Ending()
        self._manifest = membership.manifest
        # A round's number is above that of every manifest: what parts it left can be told apart.
        self._rounds = Rounds(membership.workers, CheckpointId(membership.manifest))
        self._lost: set[WorkerName] = set(membership.workers)
        """Not there: at the start, or lost, and its process has not joined."""
        self._ended_sources = EndedSources(len(membership.source_workers))
        self._drained: list[Drained] = []
        self._story: list[str] = []

    def start(self) -> list[Effect]:
        """Return the first effects: one process for each worker."""
        return [
            StartWorker(worker, self.epoch, is_restart=False) for worker in self._membership.workers
        ]

    def step(self, event: Event) -> list[Effect]:
        """Apply one event; return the effects to carry out, in order."""
        effects = self._apply(event)
        self._story = [*self._story, f"{event} -> {self.phase.name} {effects}"][-STORY_STEPS_MAX:]
        return effects

    @property
    def story(self) -> list[str]:
        """The last steps, oldest first."""
        return list(self._story)

    @property
    def waiting_for(self) -> list[WorkerName]:
        """The workers that have not done what the phase waits for."""
        return [worker for worker in self._membership.workers if worker in self._waiting_for]

    def _apply(self, event: Event) -> list[Effect]:
        if self.phase is Phase.STOPPED:
            return []
        match event:
            case StopRequested() | DrainRequested():
                return self._stop_in_order(event)
            case WorkerLost(worker, incarnation, reason):
                if incarnation != self._processes[worker]:
                    return []
                return self._worker_lost(worker, reason)
            case Received(worker, frame):
                return self._received(worker, frame)
            case CheckpointDue():
                return self._begin_checkpoint()
            case ManifestWritten() | ManifestNotWritten():
                return self._manifest_answered(event)

    def _received(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        match frame:
            case Join():
                if frame.epoch != self._incarnations[worker]:
                    return []
                return self._joined(worker, frame)
            case Failed():
                error = ConfigError if frame.exit_code == ConfigError.exit_code else ClusterError
                return self._end(error(frame.what, frame.hint))
            case RequestStop():
                return self._stop_in_order()
            case _:
                return self._reported(worker, frame) if frame.epoch == self.epoch else []

    # Start

    def _joined(self, worker: WorkerName, frame: Join) -> list[Effect]:
        if frame.outline != self._membership.outline:
            what = self._membership.difference(self._membership.outline, frame.outline)
            return self._end(
                ClusterError(
                    f"worker {worker} runs another application than the initializer: {what}",
                    hint="give both the same code and arguments, and build the application "
                    "without chance or time in it",
                )
            )
        self._lost.discard(worker)
        self._data_addresses[worker] = frame.data_address
        return self._counted(worker, "worker.joined", self._assign)

    def _assign(self) -> list[Effect]:
        if self._rounds.phase is RoundPhase.COMMITTING:
            return []
        self.phase = Phase.CONNECTING
        workers = self._membership.workers
        self._waiting_for = set(workers)
        members = [
            [worker, self._incarnations[worker], self._data_addresses[worker]] for worker in workers
        ]
        return [
            self._to_all(
                Assign(
                    self.epoch,
                    members,
                    self._membership.partition_maps,
                    self._membership.source_addresses,
                    self._membership.source_workers,
                    self._manifest,
                )
            )
        ]

    def _reported(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        match frame, self.phase:
            case SourcesEnded(_, pipelines, problems), phase:
                self._ended_sources.add(pipelines, problems)
                is_over = self._ended_sources.are_all and phase is Phase.RUNNING
                return self._stop_in_order() if is_over else []
            case Ready(), Phase.CONNECTING:
                return self._counted(worker, "worker.ready", self._open)
            case Opened(), Phase.OPENING:
                return self._counted(worker, "", self._run)
            case Drained(), Phase.DRAINING:
                self._drained.append(frame)
                return self._counted(worker, "worker.drained", self._finish)
            case (Saved() | NotSaved()) as answer, Phase.RUNNING | Phase.DRAINING:
                return self._answered_round(worker, answer)
            case _:
                raise AssertionError(f"{frame} from {worker} in {self.phase}: {self._story}")

    def _counted(
        self, worker: WorkerName, event: str, when_all: Callable[[], list[Effect]]
    ) -> list[Effect]:
        """One more worker has done what the phase waits for; go on when it was the last."""
        self._waiting_for.discard(worker)
        total = len(self._membership.workers)
        values = {
            "worker": worker,
            "worker_count": f"{total - len(self._waiting_for)} of {total}",
        }
        effects: list[Effect] = [Announce(event, values)] if event else []
        return effects if self._waiting_for else [*effects, *when_all()]

    def _open(self) -> list[Effect]:
        self.phase = Phase.OPENING
        self._waiting_for = set(self._membership.workers)
        return [self._to_all(Open(self.epoch))]

    def _run(self) -> list[Effect]:
        self.phase = Phase.RUNNING
        is_again, self._has_been_ready = self._has_been_ready, True
        effects: list[Effect] = [Publish(self.epoch, is_again)]
        if self.ending.is_requested:
            return [*effects, *self._drain()]
        return [*effects, *self._stop_in_order()] if self._ended_sources.are_all else effects

    # Loss

    def _worker_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        what = f"worker {worker} was lost ({reason})"
        if not (self._has_been_ready or self._membership.is_patient):
            return self._end(ClusterError(f"{what} before the application was ready"))
        if self.phase is Phase.DRAINED:
            return self._end(ClusterError(f"{what} after everything was drained"))
        if self.phase is Phase.DRAINING:
            what = f"{what} while the cluster was stopping"
            if not self._membership.is_durable:
                return self._end(ClusterError(f"{what}; what it held is lost"))
            return self._end(ClusterError(what, hint=CARRY_ON))
        if not self._membership.may_restart:
            hint = CARRY_ON if self._membership.is_durable else ""
            return self._end(ClusterError(f"{what}, and --no-restart is set", hint=hint))
        if self._membership.is_durable:
            return self._go_back(worker, reason)
        self.epoch = Epoch(self.epoch + 1)
        self._ended_sources.begin_epoch()
        self._incarnations[worker] = self._processes[worker] = self.epoch
        if self.phase is not Phase.FORMING:
            self._waiting_for = set()
        self.phase = Phase.FORMING
        self._waiting_for.add(worker)
        lost = "its state and the records it held"
        values = {"worker": worker, "reason": reason, "epoch": self.epoch, "lost": lost}
        return [
            Announce("worker.lost", values, is_warning=True),
            StartWorker(worker, self.epoch, is_restart=True),
        ]

    def _go_back(self, worker: WorkerName, reason: str) -> list[Effect]:
        """All workers begin a new epoch from the last checkpoint."""
        self.epoch = Epoch(self.epoch + 1)
        self._ended_sources.begin_epoch()
        self.phase = Phase.FORMING
        if self._rounds.phase is RoundPhase.SAVING:
            self._rounds.give_up()
        self._lost.add(worker)
        workers = self._membership.workers
        self._incarnations = dict.fromkeys(workers, self.epoch)
        self._waiting_for = set(workers)
        self._processes |= dict.fromkeys(self._lost, self.epoch)
        is_committing = self._rounds.phase is RoundPhase.COMMITTING
        undecided = ", or to the one that is being written" if is_committing else ""
        values = {
            "worker": worker,
            "reason": reason,
            "epoch": self.epoch,
            "lost": "nothing",
            "next": f"all workers go back to checkpoint {self._manifest}{undecided}",
        }
        return [
            Announce("worker.lost", values, is_warning=True),
            Send(tuple(name for name in workers if name not in self._lost), Rewind(self.epoch)),
            # A process that was being started for an older epoch gives way to one of this.
            *(
                StartWorker(name, self.epoch, is_restart=name == worker)
                for name in workers
                if name in self._lost
            ),
        ]

    # Checkpoints

    def _begin_checkpoint(self) -> list[Effect]:
        if self.phase is not Phase.RUNNING or self._rounds.phase is not RoundPhase.IDLE:
            return []
        return [self._to_all(Checkpoint(self.epoch, self._rounds.begin()))]

    def _answered_round(self, worker: WorkerName, frame: Saved | NotSaved) -> list[Effect]:
        rounds = self._rounds
        if frame.checkpoint != rounds.checkpoint or rounds.phase is not RoundPhase.SAVING:
            return []
        if isinstance(frame, NotSaved):
            rounds.failed()
            return self._checkpoint_failed(f"worker {worker}: {frame.reason}")
        contents = rounds.saved(worker, frame.content)
        return [] if contents is None else [WriteManifest(rounds.checkpoint, self.epoch, contents)]

    def _checkpoint_failed(self, reason: str) -> list[Effect]:
        if self.phase is Phase.DRAINING:
            what = f"the last checkpoint cannot be saved: {reason}"
            return self._end(ClusterError(what, hint=CARRY_ON))
        count, limit = self._rounds.failures_in_a_row, self._membership.checkpoint_failures_max
        if limit is not None and count > limit:
            what = f"{count} checkpoints in a row could not be saved: {reason}"
            return self._end(ClusterError(what, hint=CARRY_ON))
        values = {
            "reason": reason,
            "failed_in_a_row": count,
            "next": "records go on; what this one was to hold is saved by the next",
        }
        told: Effect = Announce("checkpoint.failed", values, is_warning=True)
        if self.phase is not Phase.RUNNING:
            return [told, *self._after_commit()]
        abandon = self._to_all(Abandon(self.epoch, self._rounds.checkpoint))
        return [told, abandon, *self._after_commit()]

    def _manifest_answered(self, event: ManifestWritten | ManifestNotWritten) -> list[Effect]:
        if isinstance(event, ManifestNotWritten):
            self._rounds.failed()
            return self._checkpoint_failed(event.reason)
        self._manifest = event.number
        self._rounds.committed()
        effects: list[Effect] = []
        if self.phase in (Phase.RUNNING, Phase.DRAINING):
            checkpoint, oldest = self._rounds.checkpoint, event.oldest_number
            effects = [self._to_all(Committed(self.epoch, checkpoint, event.number, oldest))]
        return [*effects, *self._after_commit()]

    def _after_commit(self) -> list[Effect]:
        """Do what had to wait for the manifest."""
        if self._waiting_for:
            return []
        match self.phase:
            case Phase.FORMING:
                return self._assign()
            case Phase.DRAINING:
                return self._finish()
            case Phase.RUNNING if self.ending.is_requested:
                return self._drain()
            case _:
                return []

    # Stop

    def _stop_in_order(
        self, asked: StopRequested | DrainRequested = ASKED_BY_A_WORKER
    ) -> list[Effect]:
        if self.ending.asked(asked):
            lost = "stopped at once; what was not yet delivered is lost"
            kept = f"stopped at once; {CARRY_ON}"
            return self._end(ClusterError(kept if self._membership.is_durable else lost))
        if self.phase is Phase.DRAINED and not self.ending.stays_when_drained:
            return self._end(self._ended_sources.error)
        if self.ending.is_requested:
            return []
        self.ending.is_requested = True
        if not self._has_been_ready:
            return self._end(None)
        if self.phase is Phase.RUNNING:
            return self._drain()
        values = {
            "next": "stop once the lost workers are back",
            "hint": "once more to stop at once",
        }
        return [Announce("cluster.stop_requested", values)]

    def _drain(self) -> list[Effect]:
        effects: list[Effect] = []
        match self._rounds.phase:
            case RoundPhase.COMMITTING:
                return []
            case RoundPhase.SAVING:
                effects.append(self._to_all(Abandon(self.epoch, self._rounds.checkpoint)))
                self._rounds.give_up()
            case RoundPhase.IDLE:
                pass
        self.phase = Phase.DRAINING
        self._waiting_for = set(self._membership.workers)
        return [
            *effects,
            Announce("cluster.draining", {"hint": "once more to stop at once"}),
            self._to_all(Drain(self.epoch, self._rounds.begin())),
        ]

    def _finish(self) -> list[Effect]:
        if self._membership.is_durable and self._rounds.phase is not RoundPhase.IDLE:
            return []
        values = {
            "record_count": sum(frame.record_count for frame in self._drained),
            "failure_count": sum(frame.failure_count for frame in self._drained),
        }
        drained = Announce("cluster.drained", values)
        if self.ending.stays_when_drained:
            self.phase = Phase.DRAINED
            return [drained]
        return [drained, *self._end(self._ended_sources.error)]

    def _end(self, error: WallarooError | None) -> list[Effect]:
        self.phase = Phase.STOPPED
        return [self._to_all(Stop(self.epoch)), EndCluster(error)]

    def _to_all(self, frame: ControlFrame) -> Send:
        return Send(self._membership.workers, frame)
