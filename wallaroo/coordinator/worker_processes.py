"""Decides when the process of a worker is started, killed, and restarted after a loss.

    wanted --LaunchProcess--> starting --started--> running --ended--> nothing is left
       ^                                                                      |
       +-- StartWorker after a loss, with back-off ----------------------------+

A worker has at most one process at a time. Two at once would write the same journal and stage the
same output, and the second one would restore what the first is still writing. So a new process is
launched only when nothing is left of the one before, its children included, and an order that
arrives meanwhile waits. Only the last order of a worker counts: a loss during a recovery replaces
the order of that recovery.

Three things can go wrong:

* A later order arrives while a process starts, and finds nothing to kill. Then the process is
  killed as soon as its start is reported.
* A worker that is not needed any more was ordered to stop, and does not. It is killed after some
  seconds.
* A host cannot start a process. For a member this ends the run, since its keys have no owner. A
  worker that has yet to join is reported as lost instead, and the resize is called off.
"""

from dataclasses import dataclass

from wallaroo.coordinator.events import Announce, StartWorker, WorkerLost
from wallaroo.coordinator.restart_policy import RestartPolicy
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import Epoch, WorkerName

KILL_AFTER_S = 5.0
"""How long a process may take to end after it was ordered to."""


@dataclass(frozen=True, slots=True)
class LaunchProcess:
    """Start a process; ``started`` or ``not_started`` answers, and later ``ended``."""

    order: StartWorker


@dataclass(frozen=True, slots=True)
class LaunchLater:
    """Call ``due`` with this order after ``delay_s``."""

    order: StartWorker
    delay_s: float


@dataclass(frozen=True, slots=True)
class KillProcess:
    """Kill what is left of this worker's process, if anything."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class KillLater:
    """Call ``overdue`` with the order that started the process, after ``delay_s``."""

    order: StartWorker
    delay_s: float


@dataclass(frozen=True, slots=True)
class ProcessFinished:
    """Nothing is left of a process; it writes nothing more."""

    worker: WorkerName
    incarnation: Epoch


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the run: a worker that it needs cannot be started."""

    error: WallarooError


ProcessEffect = (
    LaunchProcess | LaunchLater | KillProcess | KillLater | ProcessFinished | GiveUp | Announce
    | WorkerLost
)  # fmt: skip


class _Slot:
    """The process of one worker, and the last order for it."""

    def __init__(self, restarts: RestartPolicy) -> None:
        self.restarts = restarts
        self.wanted: StartWorker | None = None
        """The last order; ``None`` once the worker is not needed any more."""
        self.is_due = False
        """Whether to launch a process for this order once nothing is left of the one before."""
        self.process: StartWorker | None = None
        """The order for which the process was launched, until nothing is left of it."""


class WorkerProcesses:
    """The processes of one run. Each method takes an event and returns what to do, in order.

    ``now_s`` is a time in seconds from any origin.
    """

    def __init__(self, restarts_max: int) -> None:
        self._restarts_max = restarts_max
        self._slots: dict[WorkerName, _Slot] = {}
        self._is_over = False
        self.pids: dict[WorkerName, int] = {}

    def start(self, order: StartWorker, now_s: float) -> list[ProcessEffect]:
        """Run a process for this order instead of an older one."""
        slot = self._slots.get(order.worker)
        if slot is None:
            slot = self._slots[order.worker] = _Slot(RestartPolicy(self._restarts_max))
        slot.wanted, slot.is_due = order, not order.is_restart
        kill: list[ProcessEffect] = [KillProcess(order.worker)] if slot.process is not None else []
        if not order.is_restart:
            return [*kill, *self._go_on(slot)]
        delay_s = slot.restarts.lost(now_s)
        if delay_s is None:
            return [*kill, GiveUp(_lost_too_often(order.worker, slot.restarts))]
        values = {"worker": order.worker, "after_s": delay_s}
        restarting = Announce("worker.restarting", values, "a new process of it starts")
        return [*kill, restarting, LaunchLater(order, delay_s)]

    def hung(self, worker: WorkerName) -> None:
        """Note that a worker's process ended because a source or sink in it did not return."""
        if (slot := self._slots.get(worker)) is not None:
            slot.restarts.hung()

    def due(self, order: StartWorker) -> list[ProcessEffect]:
        """Launch the process of an order, whose back-off is over."""
        slot = self._slots[order.worker]
        if slot.wanted is not order:
            return []
        slot.is_due = True
        return self._go_on(slot)

    def _go_on(self, slot: _Slot) -> list[ProcessEffect]:
        if self._is_over or slot.wanted is None or not slot.is_due or slot.process is not None:
            return []
        slot.process, slot.is_due = slot.wanted, False
        return [LaunchProcess(slot.wanted)]

    def started(self, order: StartWorker, pid: int) -> list[ProcessEffect]:
        """Note the start of an order's process; kill it if the order is obsolete."""
        self.pids[order.worker] = pid
        # A later order may have arrived while the process started, and found nothing to kill.
        return [] if self._slots[order.worker].wanted is order else [KillProcess(order.worker)]

    def not_started(self, order: StartWorker, error: ClusterError) -> list[ProcessEffect]:
        """Decide what follows if no process can be started for an order."""
        slot = self._slots[order.worker]
        slot.process = None
        finished: ProcessEffect = ProcessFinished(order.worker, order.incarnation)
        if slot.wanted is not order:
            return [finished, *self._go_on(slot)]
        if not order.is_joining:
            return [finished, GiveUp(error)]
        # It is not a member yet, so the others continue without it.
        reason = f"it cannot be started: {error}"
        return [finished, WorkerLost(order.worker, order.incarnation, reason)]

    def ended(self, order: StartWorker) -> list[ProcessEffect]:
        """Note that nothing is left of an order's process; launch the next one if it waits."""
        slot = self._slots[order.worker]
        if slot.process is not order:
            return []
        slot.process = None
        if slot.wanted is None:
            self.pids.pop(order.worker, None)
        return [ProcessFinished(order.worker, order.incarnation), *self._go_on(slot)]

    def end(self, worker: WorkerName, *, is_stopping: bool) -> list[ProcessEffect]:
        """End a worker that is not needed any more; if it ``is_stopping``, give it some time."""
        slot = self._slots.get(worker)
        if slot is None:
            return []
        slot.wanted, slot.is_due = None, False
        if slot.process is None:
            self.pids.pop(worker, None)
            return []
        kill: list[ProcessEffect] = [] if is_stopping else [KillProcess(worker)]
        return [*kill, KillLater(slot.process, KILL_AFTER_S)]

    def overdue(self, order: StartWorker) -> list[ProcessEffect]:
        """Kill the process of a worker that is not needed any more, if it has not ended."""
        slot = self._slots[order.worker]
        is_left = slot.process is order and slot.wanted is None
        return [KillProcess(order.worker)] if is_left else []

    def end_all(self) -> None:
        """Start no more processes: the run is over."""
        self._is_over = True


def _lost_too_often(worker: WorkerName, policy: RestartPolicy) -> ClusterError:
    hint = "something ends the worker again and again; see its last log lines"
    if policy.has_hung:
        hint = (
            "a source or sink does not return, again and again; see the stack in the lines "
            "source.stuck and sink.stuck"
        )
    times = policy.restarts_max + 1
    return ClusterError(
        f"worker {worker} was lost {times} times within {policy.window_s:g} s", hint=hint
    )
