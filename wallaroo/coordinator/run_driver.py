"""Carries out the decisions of a run's coordinator, over ports of a process or a simulator.

In each turn the coordinator gets one event, and all its effects are carried out before the next
event. An event that arrives meanwhile waits in a queue, so it never meets a decision that is only
half carried out. ``RunDriver`` also has the clocks of a run: when a checkpoint is due, when a
silent worker counts as lost, when a stop has taken too long.

The real initializer and the simulated one differ only in their ``RunPorts``.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from wallaroo.coordinator.cluster_state import Membership, Phase
from wallaroo.coordinator.coordinator import Coordinator
from wallaroo.coordinator.events import (
    Announce,
    Answer,
    CheckpointDue,
    Effect,
    EndCluster,
    EndWorker,
    Event,
    ManifestWritten,
    MembersChanged,
    Publish,
    Received,
    Send,
    SettleManifest,
    StartWorker,
    WorkerLost,
    WriteManifest,
)
from wallaroo.coordinator.liveness import Liveness
from wallaroo.coordinator.manifest_writer import ManifestWriter
from wallaroo.coordinator.membership import RunRules
from wallaroo.coordinator.resize_requests import ResizeOutcome, ResizeRequests
from wallaroo.coordinator.run_outcome import FailureWatch
from wallaroo.coordinator.run_ports import RunPorts
from wallaroo.coordinator.run_view import RunView
from wallaroo.coordinator.stop_deadline import StopDeadline
from wallaroo.coordinator.worker_names import listed
from wallaroo.coordinator.worker_processes import (
    GiveUp,
    KillLater,
    KillProcess,
    LaunchLater,
    LaunchProcess,
    ProcessEffect,
    ProcessFinished,
    WorkerProcesses,
)
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Checkpoint, ControlFrame, Drain, Held, Hold, Stop

EXIT_AWAITED_S = 0.2
"""A process that ends breaks its link too. Its exit status says more, so wait for it first."""
WAITING_REPORTED_EVERY_S = 10.0
SILENCE_CHECKED_EVERY_S = 1.0


class RunDriver:
    """One run, from the start of its workers to its end."""

    def __init__(
        self,
        ports: RunPorts,
        membership: Membership,
        failures: FailureWatch,
        rules: RunRules,
        checkpoints: ManifestWriter | None,
        *,
        checks_itself: bool = False,
    ) -> None:
        """``checkpoints`` are already started; ``None`` if they are off."""
        self._ports = ports
        self._rules = rules
        self._checkpoints = checkpoints
        self.coordinator = Coordinator(membership, failures, checks_itself=checks_itself)
        self.view = RunView()
        self.has_ended = False
        self._processes = WorkerProcesses(rules.restarts_max)
        self._resizes = ResizeRequests()
        self._answers: dict[int, Callable[[ResizeOutcome], None]] = {}
        """By the id of a request: the caller that waits for its outcome."""
        self._liveness: Liveness | None = None
        if rules.worker_timeout_s is not None:
            self._liveness = Liveness(rules.worker_timeout_s, SILENCE_CHECKED_EVERY_S)
        self._stop_deadline = StopDeadline(rules.stop_timeout_s)
        self._events: deque[Event | None] = deque()
        """Events that wait for their turn; ``None`` is the start of the run."""
        self._is_busy = False

    def start(self) -> None:
        """Start the workers, and the clocks of the run."""
        self._take_turns(None)
        if self._checkpoints is not None:
            self._take_checkpoints()
        self._ports.call_later(WAITING_REPORTED_EVERY_S, self._report_waiting)
        if self._liveness is not None:
            self._end_silent(self._liveness)

    # Events

    def on_event(self, event: Event) -> None:
        """Carry out what follows from an event, now or when its turn comes."""
        self._take_turns(event)

    def _take_turns(self, event: Event | None) -> None:
        self._events.append(event)
        if self._is_busy:
            return
        self._is_busy = True
        coordinator = self.coordinator
        try:
            while self._events and not self.has_ended:
                event = self._events.popleft()
                effects = coordinator.start() if event is None else coordinator.step(event)
                self._carry_out(event, effects)
        finally:
            self._is_busy = False
            self._events.clear()

    def received(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Handle a frame from a worker."""
        if isinstance(frame, Held):
            self._resizes.through(frame, self._ports.now_s())
        self.on_event(Received(worker, frame))

    def heartbeat(self, worker: WorkerName, incarnation: Epoch) -> None:
        """Note that a worker's process is alive."""
        if self._liveness is not None:
            self._liveness.heard(worker, incarnation, self._ports.now_s())

    def worker_lost(
        self, worker: WorkerName, incarnation: Epoch, reason: str, *, has_hung: bool = False
    ) -> None:
        """Handle the end of a worker's process."""
        if has_hung:
            self._processes.hung(worker)
        self.on_event(WorkerLost(worker, incarnation, reason))

    def link_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        """Handle a broken control link; perhaps its process has ended."""
        lost = partial(self.worker_lost, worker, incarnation, reason)
        self._ports.call_later(EXIT_AWAITED_S, lost)

    def process_started(self, order: StartWorker, pid: int) -> None:
        """Handle the start of the process that was launched for this order."""
        self._carry_out_processes(self._processes.started(order, pid))

    def process_not_started(self, order: StartWorker, error: ClusterError) -> None:
        """Handle a failed launch: no process can be started for this order."""
        self._carry_out_processes(self._processes.not_started(order, error))

    def process_ended(self, order: StartWorker) -> None:
        """Handle the end of this order's process; nothing of it is left."""
        self._carry_out_processes(self._processes.ended(order))

    # Requests

    @property
    def workers(self) -> tuple[WorkerName, ...]:
        """The members."""
        return self.coordinator.workers

    @property
    def pids(self) -> dict[WorkerName, int]:
        """The process ids of the workers that run."""
        return self._processes.pids

    @property
    def is_resizing(self) -> bool:
        """Whether a resize is not answered yet."""
        return self._resizes.is_under_way

    def resize(
        self,
        added: Sequence[WorkerName],
        leaving: Sequence[WorkerName],
        answered: Callable[[ResizeOutcome], None],
        *,
        in_turn: bool = False,
    ) -> None:
        """Request a resize; ``answered`` is called once.

        With ``in_turn``, the request waits until the cluster runs and no other request is under
        way. Without it, it is refused in these cases.
        """
        request_id = self._resizes.ask(added, leaving, in_turn=in_turn)
        self._answers[request_id] = answered
        if self.has_ended:
            self._refuse_resizes()
        else:
            self._request_resizes()

    def _request_resizes(self) -> None:
        is_running = self.coordinator.phase is Phase.RUNNING
        request = self._resizes.due(
            self._ports.now_s(), is_running=is_running, may_come=self.coordinator.may_come
        )
        if request is not None:
            self.on_event(request)

    def _refuse_resizes(self) -> None:
        for outcome in self._resizes.end("the cluster has ended", self._ports.now_s()):
            self._answers.pop(outcome.answer.request_id)(outcome)

    # Effects

    def _carry_out(self, event: Event | None, effects: Sequence[Effect]) -> None:
        self.view.on_step(event, effects)
        self._ports.decided(event, effects)
        for effect in effects:
            self._carry_out_one(effect)
        if self.has_ended:
            return
        delay_s = self._stop_deadline.starts(is_stopping=self.coordinator.ending.is_requested)
        if delay_s is not None:
            self._ports.call_later(delay_s, self._stop_timed_out)
        self._request_resizes()

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Send(workers, frame):
                self._send(workers, frame)
            case StartWorker():
                self._start_worker(effect)
            case EndWorker(worker, is_stopping):
                self._carry_out_processes(self._processes.end(worker, is_stopping=is_stopping))
            case MembersChanged():
                self._change_members(effect)
            case Answer():
                outcome = self._resizes.answered(effect)
                self._answers.pop(effect.request_id)(outcome)
            case Announce():
                self._ports.announce(effect)
            case Publish(epoch, is_again):
                self._resizes.running(self._ports.now_s())
                self._ports.ready(epoch, is_again=is_again)
            case WriteManifest() | SettleManifest():
                self._ports.start_task(self._write_manifest(effect))
            case EndCluster(error):
                self.end(error)

    def _start_worker(self, order: StartWorker) -> None:
        if not order.is_joining:
            self._ports.not_ready()
        if self._liveness is not None:
            self._liveness.disconnected(order.worker)
        self._carry_out_processes(self._processes.start(order, self._ports.now_s()))

    def _change_members(self, changed: MembersChanged) -> None:
        self._resizes.moved(self._ports.now_s())
        if self._checkpoints is not None:
            self._checkpoints.members_changed(changed.workers, changed.partition_maps)

    def _send(self, workers: Sequence[WorkerName], frame: ControlFrame) -> None:
        if isinstance(frame, Checkpoint | Drain) and self._checkpoints is not None:
            self._checkpoints.round_started()
        if isinstance(frame, Hold):
            self._resizes.held(frame.resize, self._ports.now_s())
        for worker in workers:
            self._ports.send(worker, frame)

    def _carry_out_processes(self, effects: Sequence[ProcessEffect]) -> None:
        for effect in effects:
            match effect:
                case LaunchProcess(order):
                    self._ports.launch(order)
                case KillProcess(worker):
                    self._ports.kill(worker)
                case LaunchLater(order, delay_s):
                    self._later(delay_s, self._processes.due, order)
                case KillLater(order, delay_s):
                    self._later(delay_s, self._processes.overdue, order)
                case ProcessFinished(worker, incarnation) if self._checkpoints is not None:
                    self._checkpoints.worker_ended(worker, incarnation)
                case GiveUp(error):
                    self.stop_now(error)
                case Announce():
                    self._ports.announce(effect)
                case WorkerLost():
                    self.on_event(effect)

    def _later(
        self,
        delay_s: float,
        decide: Callable[[StartWorker], list[ProcessEffect]],
        order: StartWorker,
    ) -> None:
        def carry_out() -> None:
            if not self.has_ended:
                self._carry_out_processes(decide(order))

        self._ports.call_later(delay_s, carry_out)

    # Checkpoints

    def _take_checkpoints(self) -> None:
        """Take a checkpoint now, if none is under way, and again after each interval."""
        if not self.has_ended:
            interval_s = self._rules.interval_s(len(self.workers))
            self._ports.call_later(interval_s, self._take_checkpoints)
            self.on_event(CheckpointDue())

    async def _write_manifest(self, order: WriteManifest | SettleManifest) -> None:
        checkpoints = self._checkpoints
        assert checkpoints is not None
        try:
            if isinstance(order, WriteManifest):
                answer = await checkpoints.write(order)
            else:
                answer = await checkpoints.settle(order)
        except WallarooError as error:
            self.stop_now(error)
            return
        if isinstance(answer, ManifestWritten) and isinstance(order, WriteManifest):
            self._ports.checkpoint_written(order)
        self.on_event(answer)

    # Clocks

    def _report_waiting(self) -> None:
        """Announce every few seconds which workers a start or a stop waits for."""
        if self.has_ended:
            return
        if self.coordinator.waiting_for:
            workers = listed(self.coordinator.waiting_for)
            values = {"phase": self.coordinator.phase.value, "workers": workers}
            self._ports.announce(Announce("cluster.waiting", values, "goes on with these"))
        self._ports.call_later(WAITING_REPORTED_EVERY_S, self._report_waiting)

    def _end_silent(self, liveness: Liveness) -> None:
        """Report processes as lost that are alive but hang or are suspended."""
        if self.has_ended:
            return
        for worker, incarnation, silent_s in liveness.silent(self._ports.now_s()):
            reason = f"it sent no heartbeat for {silent_s:.0f} s"
            self.worker_lost(worker, incarnation, reason)
        self._ports.call_later(SILENCE_CHECKED_EVERY_S, partial(self._end_silent, liveness))

    def _stop_timed_out(self) -> None:
        if not self.has_ended:
            self._ports.announce(self._stop_deadline.passed(self.coordinator.waiting_for))
            self.stop_now(None)

    # The end

    def stop_now(self, error: WallarooError | None) -> None:
        """End the run for a reason from outside the coordinator; order the workers to stop."""
        if not self.has_ended:
            for worker in self.workers:
                self._ports.send(worker, Stop(self.coordinator.epoch))
            self.end(error)

    def end(self, error: WallarooError | None) -> None:
        """End the run, without an order to its workers."""
        if not self.has_ended:
            self.has_ended = True
            self._processes.end_all()
            self._refuse_resizes()
            self._ports.ended(error)
