"""Decides, in the initializer, how a cluster starts, replaces a lost worker, drains and stops.

    FORMING --all joined--> CONNECTING --all Ready--> OPENING --all Opened--> RUNNING
       ^                        |                        |                      |  |
       +------WorkerLost--------+------------------------+----------------------+  |
                                                               StopRequested       |
    STOPPED <--all Drained-- DRAINING <--------------------------------------------+

Each loss of a worker begins a new epoch; what a worker says of an older one is dropped in
``_received``, and nowhere else. Two things hold whatever the epoch: that a run cannot go on
(``Failed``), and that somebody wants it to stop (``RequestStop``).

Before the application has been ready once, a loss ends the start.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Assign,
    ControlFrame,
    Drain,
    Drained,
    Failed,
    Join,
    Open,
    Opened,
    Ready,
    RequestStop,
    Stop,
)

STORY_STEPS_MAX = 64


class Phase(enum.Enum):
    """Where the cluster is."""

    FORMING = "forming"
    CONNECTING = "connecting"
    OPENING = "opening"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Received:
    """A control frame came from a worker."""

    worker: WorkerName
    frame: ControlFrame


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker's process ended, or its control link broke."""

    worker: WorkerName
    incarnation: Epoch
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the cluster to stop; the second time, at once."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start the process of this worker; ``is_restart`` where one was lost before."""

    worker: WorkerName
    incarnation: Epoch
    is_restart: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to each of these workers."""

    workers: tuple[WorkerName, ...]
    frame: ControlFrame


@dataclass(frozen=True, slots=True)
class Publish:
    """The application is ready to take records, for the first time or again."""

    epoch: Epoch
    is_again: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """One line for people: what happened to the cluster."""

    event: str
    values: dict[str, Any]
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class EndCluster:
    """End every process; the command's exit status follows from ``error``."""

    error: WallarooError | None


Event = Received | WorkerLost | StopRequested
Effect = StartWorker | Send | Publish | Announce | EndCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the coordinator is told at the start."""

    workers: tuple[WorkerName, ...]
    outline: list[str]
    difference: Callable[[list[str], list[str]], str]
    """Two outlines to a sentence that names the step in which they differ."""
    partition_maps: list[Any]
    source_addresses: list[str]
    generator_workers: list[str]
    may_restart: bool = True


class Coordinator:
    """One cluster. ``step`` takes what happened and returns what to do, in order."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.phase = Phase.FORMING
        self.epoch = Epoch(1)
        self._incarnations = dict.fromkeys(membership.workers, Epoch(1))
        self._data_addresses: dict[WorkerName, str] = {}
        self._waiting_for: set[WorkerName] = set(membership.workers)
        self._has_been_ready = False
        self._stop_is_requested = False
        self._stop_was_asked_here = False
        self._checkpoint = CheckpointId(0)
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
            case StopRequested():
                is_second, self._stop_was_asked_here = self._stop_was_asked_here, True
                return self._stop_at_once() if is_second else self._stop_in_order()
            case WorkerLost(worker, incarnation, reason):
                if incarnation != self._incarnations[worker]:
                    return []
                return self._worker_lost(worker, reason)
            case Received(worker, frame):
                return self._received(worker, frame)

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
                # A supervisor that signals every process means one stop, not many.
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
        self._data_addresses[worker] = frame.data_address
        return self._counted(worker, "worker.joined", self._assign)

    def _assign(self) -> list[Effect]:
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
                    self._membership.generator_workers,
                )
            )
        ]

    def _reported(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        match frame, self.phase:
            case Ready(), Phase.CONNECTING:
                return self._counted(worker, "worker.ready", self._open)
            case Opened(), Phase.OPENING:
                return self._counted(worker, "", self._run)
            case Drained(), Phase.DRAINING:
                self._drained.append(frame)
                return self._counted(worker, "worker.drained", self._finish)
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
        return [*effects, *self._drain()] if self._stop_is_requested else effects

    # Loss

    def _worker_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        what = f"worker {worker} was lost ({reason})"
        if not self._has_been_ready:
            return self._end(ClusterError(f"{what} before the application was ready"))
        if self.phase is Phase.DRAINING:
            return self._end(
                ClusterError(f"{what} while the cluster was stopping; what it held is lost")
            )
        if not self._membership.may_restart:
            return self._end(ClusterError(f"{what}, and --no-restart is set"))
        self.epoch = Epoch(self.epoch + 1)
        self._incarnations[worker] = self.epoch
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

    # Stop

    def _stop_at_once(self) -> list[Effect]:
        return self._end(ClusterError("stopped at once; what was not yet delivered is lost"))

    def _stop_in_order(self) -> list[Effect]:
        if self._stop_is_requested:
            return []
        self._stop_is_requested = True
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
        self.phase = Phase.DRAINING
        self._waiting_for = set(self._membership.workers)
        self._checkpoint = CheckpointId(self._checkpoint + 1)
        return [
            Announce("cluster.draining", {"hint": "once more to stop at once"}),
            self._to_all(Drain(self.epoch, self._checkpoint)),
        ]

    def _finish(self) -> list[Effect]:
        values = {
            "record_count": sum(frame.record_count for frame in self._drained),
            "failure_count": sum(frame.failure_count for frame in self._drained),
        }
        return [Announce("cluster.drained", values), *self._end(None)]

    def _end(self, error: WallarooError | None) -> list[Effect]:
        self.phase = Phase.STOPPED
        return [self._to_all(Stop(self.epoch)), EndCluster(error)]

    def _to_all(self, frame: ControlFrame) -> Send:
        return Send(self._membership.workers, frame)
