"""Where a cluster is, as its coordinator keeps it: phase, epoch, members, and who owns what."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.lost_input import NeededInput
from wallaroo.coordinator.checkpoint_round import CheckpointRound, RoundPhase
from wallaroo.coordinator.ended_sources import EndedSources
from wallaroo.coordinator.events import Effect, Send
from wallaroo.coordinator.kept_input import KeptInput
from wallaroo.errors import ClusterError
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import Totals
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import Assign, ControlFrame, Join, Open

FIRST_EPOCH = Epoch(1)


class Phase(enum.Enum):
    """Where the cluster is."""

    FORMING = "forming"
    CONNECTING = "connecting"
    OPENING = "opening"
    RUNNING = "running"
    MOVING = "moving"
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
    last_barrier: CheckpointId = NO_BARRIER
    """The highest number of a barrier that this checkpoint knows of."""
    checkpoint_failures_max: int | None = None
    """Checkpoints that may fail in a row before the run ends."""
    needed_input: NeededInput | None = None
    """The journals that this checkpoint needs; ``None`` if sources write none."""
    may_lose_input: bool = False
    """Whether to go on without journals that are missing."""
    counts: dict[str, Counts] = field(default_factory=dict)
    """By worker: records counted in earlier runs, which go on being counted."""


class ClusterState:
    """What the parts of the coordinator share."""

    def __init__(self, begin: Membership, totals: Totals) -> None:
        self.begin = begin
        self._totals = totals
        self.phase = Phase.FORMING
        self.epoch = begin.epoch
        self.workers = begin.workers
        self.partition_maps = begin.partition_maps
        self.source_workers = begin.source_workers
        self.incarnations = dict.fromkeys(begin.workers, begin.epoch)
        self.processes = dict(self.incarnations)
        """The epoch at which each worker's process was started; it may rewind to a later one."""
        self.data_addresses: dict[WorkerName, str] = {}
        self.hand_over_paths: dict[WorkerName, str] = {}
        """Where each takes connections of senders."""
        self.waiting_for: set[WorkerName] = set(begin.workers)
        self.manifest = begin.manifest
        # A round's number is above that of every manifest and of every barrier before: of two parts
        # it tells which is the newer one, whichever run they are of.
        self.rounds = CheckpointRound(max(CheckpointId(begin.manifest), begin.last_barrier))
        self.ended_sources = EndedSources(len(begin.source_workers))
        self.input = KeptInput(begin.needed_input, may_be_lost=begin.may_lose_input)

    def listed(self, workers: Iterable[WorkerName]) -> list[list[Any]]:
        """Return these workers as frames list members."""
        return [
            [worker, self.incarnations[worker], self.data_addresses[worker]] for worker in workers
        ]

    def joined(self, frame: Join) -> None:
        """Remember where a worker can be reached, and what it has."""
        self.data_addresses[frame.name] = frame.data_address
        self.hand_over_paths[frame.name] = frame.hand_over_path
        self.input.joined(frame)

    def assign(
        self, resize: int = 0, left: list[Any] | None = None, held_sinks: list[int] | None = None
    ) -> Send:
        """Tell all members who they are and who owns what."""
        self._totals.assigned(self.workers, self.epoch)
        return self.to_all(
            Assign(
                self.epoch,
                self.listed(self.workers),
                self.partition_maps,
                self.begin.source_addresses,
                self.source_workers,
                self.manifest,
                self.rounds.checkpoint,
                resize,
                left or [],
                held_sinks or [],
                self.input.given_up,
            )
        )

    def connect(self, end: Callable[[ClusterError], list[Effect]]) -> list[Effect]:
        """Have all members link to each other; or ``end`` the run, if input that they need is lost.

        Not while a manifest is being written: it may be the one to go back to.
        """
        if self.rounds.phase is RoundPhase.COMMITTING:
            return []
        told, error = self.input.look(self.workers)
        if error is not None:
            return [*told, *end(error)]
        self.phase = Phase.CONNECTING
        self.waiting_for = set(self.workers)
        return [*told, self.assign()]

    def open(self) -> list[Effect]:
        """Have all members open their sources."""
        self.phase = Phase.OPENING
        self.waiting_for = set(self.workers)
        self.input.opened({worker: self.processes[worker] for worker in self.workers})
        return [self.to_all(Open(self.epoch))]

    def to_all(self, frame: ControlFrame) -> Send:
        """Send a frame to all members."""
        return Send(self.workers, frame)
