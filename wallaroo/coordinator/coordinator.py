"""Decides, in the initializer, how a cluster starts, saves, recovers, drains and stops.

    FORMING --all joined--> CONNECTING --all Ready--> OPENING --all Opened--> RUNNING
       ^                        |                        |                      |  |
       +------WorkerLost--------+------------------------+----------------------+  |
                                                               StopRequested       |
    STOPPED <--all Drained-- DRAINING <--------------------------------------------+
       ^                        |
       +--StopRequested-- DRAINED, after a DrainRequested: only the stop follows

While it is RUNNING its members may change (see ``ResizeCoordinator``): RUNNING --> MOVING, and then
CONNECTING after the commit, or RUNNING if the resize is called off. The whole table is
``TRANSITIONS`` in ``cluster_state.py``. An error that the run cannot survive leads from every phase
to STOPPED.

What can go wrong is that a message arrives when the cluster is no longer in the state in which the
message was sent. Workers crash at any step, and each frame they sent before may arrive after the
crash is known. Four rules keep such messages from doing harm:

* **Epochs.** Each loss of a worker starts a new epoch, and so does each committed resize. A frame
  names the epoch in which it was sent, and ``_received`` ignores frames of earlier epochs. This is
  the only place that does, so all code behind it may assume the current epoch. Two frames count
  in every epoch: ``Failed``, by which a worker reports that the run cannot continue, and
  ``RequestStop``, by which a worker passes on a request to stop the cluster.
* **Incarnations.** A worker's process is known by the epoch in which it was started. ``WorkerLost``
  is reported twice, for the process and for its control link, and either report may arrive after
  the next process was started. A loss of any other process than the current one is ignored.
* **All or none.** No phase is left until every worker that the phase waits for has answered. So
  no worker opens its sources before all links exist, and none finishes a drain on its own.
* **No way back while a manifest is being written.** With checkpoints on, a loss sends all workers
  back to the last checkpoint: those that live rewind, and join again as if they had just started.
  But the write under way may have created that checkpoint already, or may do so later. If workers
  went back to the one before, output that the new manifest commits would be produced twice. So
  all workers join, and then wait in FORMING for the outcome of the write.

Without checkpoints, a loss costs the state of that worker alone. The others keep their state and do
not join again: they wait in FORMING for the new process, and get a new assignment together with it.

Before the application was ready for the first time, a loss ends the start: a worker that fails to
start once will probably fail again, and the user is still watching.

``Coordinator._check`` asserts the invariants after each step in tests and simulations:

* There is at least one member, none is listed twice, and the members own all partitions and all
  single-worker sources.
* Each split of a source has a reader among the members, whose shares differ by one at most.
* A worker's process is not newer than its incarnation, and that is not newer than the epoch.
* CONNECTING and OPENING wait for at least one member; RUNNING, MOVING and DRAINED for none.
* A round of a checkpoint saves only in RUNNING and DRAINING; no worker is assigned, and none moves
  keys, while a manifest is being written.
* MOVING is the phase of the cluster if, and only if, a resize is in HOLDING.
* A lost worker is one that the cluster waits for in FORMING.
* Cuts are delivered by members, not while keys move, and anew after a recovery.
"""

from collections.abc import Callable, Iterable

from wallaroo.coordinator.checkpoint_orders import CARRY_ON, CheckpointOrders
from wallaroo.coordinator.checkpoint_round import RoundPhase
from wallaroo.coordinator.cluster_state import FIRST_EPOCH, ClusterState, Membership, Phase
from wallaroo.coordinator.cut_deliveries import CutDeliveries
from wallaroo.coordinator.events import (
    Announce,
    CheckpointDue,
    DrainRequested,
    Effect,
    EndCluster,
    Event,
    Publish,
    Received,
    ResizeRequested,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
)
from wallaroo.coordinator.resize import ResizeCoordinator
from wallaroo.coordinator.result_deliveries import ResultDeliveries
from wallaroo.coordinator.run_outcome import FailureWatch
from wallaroo.coordinator.split_orders import SplitOrders
from wallaroo.coordinator.splits import SplitLedger
from wallaroo.coordinator.stop_intent import StopIntent
from wallaroo.coordinator.worker_names import listed
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.story import Story
from wallaroo.wire.control import (
    Abandon,
    ControlFrame,
    Counted,
    Delivered,
    Drain,
    Drained,
    Emptied,
    Failed,
    Gathered,
    Held,
    Join,
    Moved,
    NotMoved,
    NotSaved,
    Opened,
    Ready,
    RequestStop,
    Rewind,
    Saved,
    SourcesEnded,
    Stop,
)
from wallaroo.wire.outbox import CutDelivered
from wallaroo.wire.splits import Discovered, SplitsEnded, SplitsStarted

__all__ = ["FIRST_EPOCH", "Coordinator", "Membership", "Phase"]


HINT_AT_ONCE = {"hint": "ask a second time to stop immediately"}
NOTHING_IF_FOUND = "nothing, if its journal still exists"
RUN_AGAIN = (
    "fix what the log reports about this worker, if anything, and run the same command again"
)

ASKED_BY_A_WORKER = StopRequested(may_force=False)
"""Cannot force: a supervisor that signals every process means one stop, not many."""


class Coordinator:
    """Decides for one cluster. ``step`` takes an event and returns what to do, in order."""

    def __init__(
        self, membership: Membership, failures: FailureWatch, *, checks_itself: bool = False
    ) -> None:
        """With ``checks_itself``, the coordinator asserts its invariants after each step."""
        self._checks_itself = checks_itself
        self._begin = membership
        self._failures = failures
        failures.counts.begin(membership.counts)
        self._state = ClusterState(membership, failures.counts.totals)
        self._rounds = self._state.rounds
        self._cuts = CutDeliveries(self._state)
        self._orders = CheckpointOrders(self._state, self._cuts, self._go_on, self._end)
        self._deliveries = ResultDeliveries(self._state)
        self._resizes = ResizeCoordinator(self._state, self._deliveries, self._cuts)
        self._splits = SplitOrders(self._state)
        self._has_opened = False
        self._has_published = False
        self._is_published = False
        """Whether the present epoch was announced as ready."""
        self.ending = StopIntent()
        self._lost: set[WorkerName] = set(membership.workers)
        """Members whose process has not joined yet, at the start or after a loss."""
        self._story = Story()

    @property
    def phase(self) -> Phase:
        """The phase of the cluster."""
        return self._state.phase

    @property
    def epoch(self) -> Epoch:
        """The current epoch."""
        return self._state.epoch

    @property
    def workers(self) -> tuple[WorkerName, ...]:
        """The members."""
        return self._state.workers

    @property
    def splits(self) -> SplitLedger:
        """The splits of all sources that are read by split, and their readers."""
        return self._state.splits

    def may_come(self, workers: Iterable[WorkerName]) -> bool:
        """Return whether none of these workers has left too recently to join again."""
        return not any(worker in self._state.resting for worker in workers)

    def start(self) -> list[Effect]:
        """Return the first effects: one process for each worker."""
        return [StartWorker(worker, self.epoch, is_restart=False) for worker in self._state.workers]

    def step(self, event: Event) -> list[Effect]:
        """Apply one event; return the effects to carry out, in order."""
        effects = self._apply(event)
        if effects or not (isinstance(event, Received) and isinstance(event.frame, Counted)):
            self._story.note(event, "->", self.phase.name, [*effects])
        if self._checks_itself:
            self._check()
        return effects

    def _check(self) -> None:
        """Assert the invariants that are listed at the top of this file."""
        self._state.check()
        self._resizes.check()
        self._cuts.check()
        phase = self.phase
        assert self._lost <= set(self.workers)
        if phase is Phase.FORMING:
            assert self._lost <= self._state.waiting_for
        elif phase is not Phase.STOPPED:
            assert not self._lost
        if phase in (Phase.RUNNING, Phase.MOVING, Phase.DRAINING, Phase.DRAINED):
            assert self._has_opened
        if phase is Phase.RUNNING and self.ending.is_requested:
            is_committing = self._rounds.phase is RoundPhase.COMMITTING
            assert self._resizes.is_settling or is_committing
        if phase in (Phase.DRAINING, Phase.DRAINED):
            assert self.ending.is_requested

    @property
    def story(self) -> list[str]:
        """The last steps, oldest first; for error reports."""
        return self._story.lines

    @property
    def waiting_for(self) -> list[WorkerName]:
        """The workers that the phase or a resize still waits for."""
        return sorted(self._state.waiting_for | self._resizes.waiting_for)

    def _apply(self, event: Event) -> list[Effect]:
        if self.phase is Phase.STOPPED:
            return []
        match event:
            case StopRequested() | DrainRequested():
                return self._stop_in_order(event)
            case WorkerLost(worker, incarnation, reason):
                is_known = incarnation == self._state.processes.get(worker)
                return self._worker_lost(worker, reason) if is_known else []
            case Received(worker, Counted() as frame):
                return self._counts_received(worker, frame)
            case Received(worker, frame):
                return self._received(worker, frame)
            case CheckpointDue():
                return self._begin_checkpoint()
            case ResizeRequested():
                return self._resizes.request(event, is_ending=self.ending.is_requested)
            case _:
                return self._orders.manifest_answered(event)

    def _received(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        if isinstance(frame, Delivered):
            return self._deliveries.delivered(worker, frame)
        if worker not in self._state.workers and not isinstance(frame, RequestStop):
            return self._outsider_reported(worker, frame)
        match frame:
            case Join():
                if frame.epoch != self._state.incarnations[worker]:
                    return []
                return self._joined(worker, frame)
            case Failed():
                if frame.epoch < self._state.processes[worker]:
                    return []  # of a process that has already been replaced
                error = ConfigError if frame.exit_code == ConfigError.exit_code else ClusterError
                return self._end(error(frame.what, frame.hint))
            case RequestStop():
                return self._stop_in_order()
            case _:
                return self._reported(worker, frame) if frame.epoch == self.epoch else []

    def _outsider_reported(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        """Handle a frame of a worker that is about to join, has left, or failed to start."""
        resizes = self._resizes
        effects: list[Effect] = []
        match frame:
            case Join():
                effects = resizes.joined(worker, frame)
            case Failed():
                # For any other worker nothing is needed: its process exit arrives as WorkerLost.
                effects = resizes.not_joined(worker, frame)
            case Drained():
                self._failures.reported(worker, frame, self._state.workers)
                effects = resizes.left(worker)
            case Gathered() | Moved() | NotMoved() if frame.epoch == self.epoch:
                effects = resizes.reported(worker, frame)
            case _:
                pass
        return [*effects, *self._go_on()]

    def _counts_received(self, worker: WorkerName, frame: Counted) -> list[Effect]:
        passed = self._failures.reported(worker, frame, self._state.workers)
        if passed is None or self.ending.is_requested:
            return []
        return [passed, *self._stop_in_order()]

    # Start

    def _joined(self, worker: WorkerName, frame: Join) -> list[Effect]:
        if frame.outline != self._begin.outline:
            what = self._begin.difference(self._begin.outline, frame.outline)
            return self._end(
                ClusterError(
                    f"worker {worker} runs another application than the initializer: {what}",
                    hint="give both the same code and arguments, and build the application "
                    "without chance or time in it",
                )
            )
        self._lost.discard(worker)
        self._state.joined(frame)
        following = "the workers connect to each other and to the sinks"
        return self._counted(worker, "worker.joined", following, self._connect)

    def _connect(self) -> list[Effect]:
        effects = self._state.connect(self._end)
        if self.phase is Phase.CONNECTING:
            self._cuts.begin(self._state.outbox_cuts)
        return effects

    def _reported(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        match frame, self.phase:
            case SourcesEnded(_, pipelines, problems), phase:
                self._state.sources_ended(worker, pipelines, problems)
                is_over = self._state.ended_sources.are_all and phase is Phase.RUNNING
                return self._stop_in_order() if is_over else []
            case (Discovered() | SplitsStarted() | SplitsEnded()) as report, _:
                self._splits.reported(worker, report)
                return self._go_on()
            case Ready(), Phase.CONNECTING:
                return self._counted(worker, "worker.ready", "the sources listen", self._open)
            case Opened(), Phase.OPENING:
                return self._counted(worker, "", "", self._run)
            case Drained(), Phase.DRAINING:
                self._failures.reported(worker, frame, self._state.workers)
                return self._counted(
                    worker, "worker.drained", "everything is delivered", self._finish
                )
            case (Gathered() | Emptied() | Held() | Moved() | NotMoved()) as report, _:
                return [*self._resizes.reported(worker, report), *self._go_on()]
            case (Saved() | NotSaved()) as answer, Phase.RUNNING | Phase.MOVING | Phase.DRAINING:
                return self._orders.answered(worker, answer)
            case CutDelivered() as cut, _:
                return [*self._cuts.delivered(worker, cut), *self._go_on()]
            case _:
                raise AssertionError(f"{frame} from {worker} in {self.phase}: {self.story}")

    def _counted(
        self, worker: WorkerName, event: str, following: str, when_all: Callable[[], list[Effect]]
    ) -> list[Effect]:
        """Count a worker that has done what the phase waits for; continue if it was the last.

        ``following`` is what the log says about the next step.
        """
        self._state.waiting_for.discard(worker)
        total = len(self._state.workers)
        values = {
            "worker": worker,
            "worker_count": f"{total - len(self._state.waiting_for)} of {total}",
        }
        if self._state.waiting_for:
            following = f"waits for {listed(self._state.waiting_for)}"
        effects: list[Effect] = [Announce(event, values, following)] if event else []
        return effects if self._state.waiting_for else [*effects, *when_all()]

    def _open(self) -> list[Effect]:
        # From now on records may be accepted, so a lost worker is recovered, and a stop drains.
        self._has_opened = True
        return self._state.open()

    def _run(self) -> list[Effect]:
        self._state.run()
        self._is_published = False
        return self._go_on()

    def _publish(self) -> list[Effect]:
        """Say that the application is ready, once it is known where each split is read from."""
        is_ready = self.phase is Phase.RUNNING and self._splits.are_started
        if self._is_published or not is_ready:
            return []
        is_again, self._has_published = self._has_published, True
        self._is_published = True
        return [Publish(self.epoch, is_again)]

    # Loss

    def _worker_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        if worker in self._state.workers:
            first = self._resizes.member_lost(worker, reason)
            return [*first, *self._member_lost(worker, reason)]
        effects = self._resizes.outsider_lost(worker, reason)
        if effects is None:
            return [*self._resizes.go_back(), *self._member_lost(worker, reason)]
        return [*effects, *self._go_on()]

    def _member_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        what = f"worker {worker} was lost ({reason})"
        if not (self._has_opened or self._begin.is_patient):
            hint = RUN_AGAIN + ("; nothing is lost" if self._begin.is_durable else "")
            return self._end(ClusterError(f"{what} before the application was ready", hint=hint))
        if self.phase is Phase.DRAINED:
            hint = CARRY_ON if self._begin.is_durable else ""
            return self._end(ClusterError(f"{what} after everything was drained", hint=hint))
        if self.phase is Phase.DRAINING:
            what = f"{what} while the cluster was stopping"
            if not self._begin.is_durable:
                return self._end(ClusterError(f"{what}; what it held is lost"))
            return self._end(ClusterError(what, hint=CARRY_ON))
        if not self._begin.may_restart:
            hint = CARRY_ON if self._begin.is_durable else ""
            return self._end(ClusterError(f"{what}, and --no-restart is set", hint=hint))
        if self._begin.is_durable:
            return self._go_back(worker, reason)
        self._state.begin_epoch(Epoch(self.epoch + 1))
        self._state.incarnations[worker] = self._state.processes[worker] = self.epoch
        missing = self._state.waiting_for if self.phase is Phase.FORMING else set()
        self._state.form({worker} | missing)
        lost = "its state and the records it held"
        values = {"worker": worker, "reason": reason, "epoch": self.epoch, "lost": lost}
        following = "a new process replaces it; the other workers keep records for it"
        return [
            Announce("worker.lost", values, following, is_warning=True),
            StartWorker(worker, self.epoch, is_restart=True),
        ]

    def _go_back(self, worker: WorkerName, reason: str) -> list[Effect]:
        """Start a new epoch, in which all workers continue from the last checkpoint."""
        self._state.begin_epoch(Epoch(self.epoch + 1), goes_back=True)
        self._cuts.forget()
        self._state.form(self._state.workers)
        if self._rounds.phase is RoundPhase.SAVING:
            self._rounds.give_up()
        workers = self._state.workers
        self._lost |= {worker} & set(workers)
        self._state.rejoin(self._lost)
        is_committing = self._rounds.phase is RoundPhase.COMMITTING
        undecided = " or the one that is being written" if is_committing else ""
        values = {
            "worker": worker,
            "reason": reason,
            "epoch": self.epoch,
            "lost": NOTHING_IF_FOUND if self._state.input.is_kept else "nothing",
        }
        following = f"all workers go back to checkpoint {self._state.manifest}{undecided}"
        return [
            Announce("worker.lost", values, following, is_warning=True),
            Send(tuple(name for name in workers if name not in self._lost), Rewind(self.epoch)),
            # This also replaces a process that is still being started for an older epoch.
            *(
                StartWorker(name, self.epoch, is_restart=name == worker)
                for name in workers
                if name in self._lost
            ),
        ]

    # Stop

    def _go_on(self) -> list[Effect]:
        """Continue with whatever waited for a checkpoint, a worker that leaves, or a start."""
        if self._state.waiting_for:
            return []
        splits = self._splits.go_on(may_move=self._resizes.has_planned)
        return [*splits, *self._publish(), *self._go_on_with_phase()]

    def _go_on_with_phase(self) -> list[Effect]:
        match self.phase:
            case Phase.FORMING:
                return self._connect()
            case Phase.DRAINING:
                return self._finish()
            case Phase.RUNNING if self.ending.is_requested and not self._resizes.is_settling:
                return self._drain()
            case Phase.RUNNING if self._resizes.wants_round:
                return self._begin_checkpoint()
            case Phase.RUNNING if (
                self._splits.wants_round
                and self._rounds.phase is RoundPhase.IDLE
                and not self._resizes.blocks_rounds
            ):
                return self._begin_checkpoint()
            case Phase.RUNNING if self._state.ended_sources.are_all:
                return self._stop_in_order()
            case Phase.RUNNING:
                return self._resizes.go_on()
            case _:
                return []

    def _begin_checkpoint(self) -> list[Effect]:
        if self._resizes.blocks_rounds:
            return []
        orders = self._orders.begin()
        if orders:
            self._resizes.ordered_round()
            self._splits.ordered_round()
        return orders

    def _stop_in_order(
        self, asked: StopRequested | DrainRequested = ASKED_BY_A_WORKER
    ) -> list[Effect]:
        if self.ending.asked(asked):
            lost = "stopped immediately; what was not yet delivered is lost"
            kept = f"stopped immediately; {CARRY_ON}"
            return self._end(ClusterError(kept if self._begin.is_durable else lost))
        if self.phase is Phase.DRAINED and not self.ending.stays_when_drained:
            return self._end(self._state.ended_sources.error)
        if self.ending.is_requested:
            return []
        self.ending.begin()
        if not self._has_opened:
            return self._end(None)
        effects = self._resizes.stop()
        if self.phase is Phase.RUNNING and not self._resizes.is_settling:
            return [*effects, *self._drain()]
        following = "the cluster stops once its workers have finished connecting"
        return [*effects, Announce("cluster.stop_requested", HINT_AT_ONCE, following)]

    def _drain(self) -> list[Effect]:
        effects: list[Effect] = []
        match self._rounds.phase:
            case RoundPhase.COMMITTING:
                return []
            case RoundPhase.SAVING:
                effects.append(self._state.to_all(Abandon(self.epoch, self._rounds.checkpoint)))
                self._rounds.give_up()
            case RoundPhase.IDLE:
                pass
        self._state.drain()
        return [
            *effects,
            Announce(
                "cluster.draining",
                HINT_AT_ONCE,
                f"accepted records are processed and delivered, then {self.ending.after_drain}",
            ),
            self._state.to_all(Drain(self.epoch, self._rounds.begin(), self._state.is_final)),
        ]

    def _finish(self) -> list[Effect]:
        if self._begin.is_durable and self._rounds.phase is not RoundPhase.IDLE:
            return []
        if self._state.outbox_cuts or self._state.has_prepared:
            return self._orders.settle()
        counts = self._failures.counts
        values = {"record_count": counts.record_count, "failure_count": counts.failure_count}
        drained = Announce("cluster.drained", values, self.ending.after_drain)
        if self.ending.stays_when_drained:
            self._state.drained()
            return [drained]
        return [drained, *self._end(self._state.ended_sources.error)]

    def _end(self, error: WallarooError | None) -> list[Effect]:
        self._state.stop()
        return [*self._resizes.ended(), self._state.to_all(Stop(self.epoch)), EndCluster(error)]
