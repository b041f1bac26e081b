"""The state of a cluster, as its coordinator keeps it: phase, epoch, members and partition owners.

The phase changes in ``ClusterState._enter`` and nowhere else, and only as ``TRANSITIONS`` allows.
A change of the phase also replaces the set of workers that the cluster waits for, so that no answer
to an earlier phase can count for a later one.
"""

import enum
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.lost_input import NeededInput
from wallaroo.coordinator.checkpoint_round import CheckpointRound, RoundPhase
from wallaroo.coordinator.ended_sources import EndedSources
from wallaroo.coordinator.events import Effect, Send
from wallaroo.coordinator.kept_input import KeptInput
from wallaroo.coordinator.source_assignment import EVERY_WORKER, SourceAssignment
from wallaroo.coordinator.splits import SplitLedger, SplitShare
from wallaroo.coordinator.stop_intent import AtStop
from wallaroo.errors import ClusterError
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import Totals
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.wire.control import Assign, ControlFrame, Join, Open
from wallaroo.wire.splits import Splits

FIRST_EPOCH = Epoch(1)
RESTS_FOR = 2
"""Checkpoints after which a worker that has left may come back, see ``ClusterState.resting``."""


class Phase(enum.Enum):
    """The phases of a cluster."""

    FORMING = "forming"
    CONNECTING = "connecting"
    OPENING = "opening"
    RUNNING = "running"
    MOVING = "moving"
    DRAINING = "draining"
    DRAINED = "drained"
    STOPPED = "stopped"


TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    # A loss while the cluster forms starts the forming again, in the next epoch.
    Phase.FORMING: frozenset({Phase.FORMING, Phase.CONNECTING, Phase.STOPPED}),
    Phase.CONNECTING: frozenset({Phase.OPENING, Phase.FORMING, Phase.STOPPED}),
    Phase.OPENING: frozenset({Phase.RUNNING, Phase.FORMING, Phase.STOPPED}),
    Phase.RUNNING: frozenset({Phase.MOVING, Phase.DRAINING, Phase.FORMING, Phase.STOPPED}),
    # A resize is committed (CONNECTING) or called off (RUNNING).
    Phase.MOVING: frozenset({Phase.CONNECTING, Phase.RUNNING, Phase.FORMING, Phase.STOPPED}),
    # No recovery from here on: a loss while the cluster drains ends the run.
    Phase.DRAINING: frozenset({Phase.DRAINED, Phase.STOPPED}),
    Phase.DRAINED: frozenset({Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
}
"""The phases that may follow each phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the coordinator knows at the start of a run."""

    workers: tuple[WorkerName, ...]
    outline: list[str]
    difference: Callable[[list[str], list[str]], str]
    """Returns, for two outlines, a sentence that names the step in which they differ."""
    partition_maps: list[Any]
    source_addresses: list[str]
    sources: SourceAssignment
    may_restart: bool = True
    is_patient: bool = False
    """Whether a worker that is lost before the application was ready is restarted, too."""
    is_durable: bool = False
    has_time: bool = False
    """Whether the application has windows or timers."""
    at_stop: AtStop = AtStop.AUTO
    epoch: Epoch = FIRST_EPOCH
    """The first epoch of this run. With checkpoints on, it rises from run to run."""
    manifest: int = 0
    """The number of the checkpoint to start from; 0 for none."""
    last_barrier: CheckpointId = NO_BARRIER
    """The highest barrier number in this checkpoint."""
    checkpoint_failures_max: int | None = None
    """Checkpoints that may fail in a row before the run ends."""
    needed_input: NeededInput | None = None
    """The journals that this checkpoint needs; ``None`` if sources write none."""
    may_lose_input: bool = False
    """Whether to continue without journals that are missing."""
    counts: dict[str, Counts] = field(default_factory=dict)
    """By worker: the record counts of earlier runs, which this run continues."""
    splits: SplitLedger = field(default_factory=SplitLedger)
    """The splits of this checkpoint, and their readers among the members; the run changes it."""
    outbox_cuts: tuple[CheckpointId, ...] = ()
    """The cuts of the results in this checkpoint that sinks may lack, lowest first."""
    lineage: str = ""
    """See ``Manifest.lineage``."""


class ClusterState:
    """The state that all parts of the coordinator share."""

    def __init__(self, begin: Membership, totals: Totals) -> None:
        self.begin = begin
        self._totals = totals
        self._phase = Phase.FORMING
        self.epoch = begin.epoch
        self.workers = begin.workers
        self.partition_maps = begin.partition_maps
        self.sources = begin.sources
        self.splits = begin.splits
        self._without_splits: set[WorkerName] = set()
        """Workers that have joined, and do not know yet which splits they read."""
        self.incarnations = dict.fromkeys(begin.workers, begin.epoch)
        self.processes = dict(self.incarnations)
        """The epoch in which each worker's last process was started, also if the worker has left;
        a process may rewind to a later epoch."""
        self._resting: dict[WorkerName, int] = {}
        """Workers that have left: how many checkpoints are needed until they may come back."""
        self.data_addresses: dict[WorkerName, str] = {}
        self.hand_over_paths: dict[WorkerName, str] = {}
        """By worker: the socket at which it accepts senders' connections from other workers."""
        self.waiting_for: set[WorkerName] = set(begin.workers)
        self.manifest = begin.manifest
        self.has_prepared = False
        """Whether the last checkpoint of this run names work that sinks have prepared."""
        self.outbox_cuts = begin.outbox_cuts
        """The cuts of the results in the last checkpoint that it does not say are delivered."""
        # A round's number is higher than that of every earlier manifest and barrier. So of two
        # parts, even of different runs, the one with the higher number is the newer one.
        self.rounds = CheckpointRound(max(CheckpointId(begin.manifest), begin.last_barrier))
        self.ended_sources = EndedSources(len(begin.sources.workers))
        self.input = KeptInput(begin.needed_input, may_be_lost=begin.may_lose_input)

    def sources_ended(self, worker: WorkerName, pipelines: list[int], problems: list[str]) -> None:
        """Note that sources have ended on a worker."""
        self.ended_sources.reported(worker, pipelines, problems, self.sources, self.workers)

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self._phase

    def _enter(self, phase: Phase, waiting_for: Iterable[WorkerName] = ()) -> None:
        """Change the phase; from now on the cluster waits for these workers."""
        assert phase in TRANSITIONS[self._phase], f"{self._phase} to {phase}"
        self._phase = phase
        self.waiting_for = set(waiting_for)

    def form(self, waiting_for: Iterable[WorkerName]) -> None:
        """Wait until these workers have joined, after a worker was lost."""
        self._enter(Phase.FORMING, waiting_for)

    def run(self) -> None:
        """Process records: all sources are open, or a resize was called off."""
        self._enter(Phase.RUNNING)

    def move(self) -> None:
        """Move keys to their new owners, while the sources are paused."""
        self._enter(Phase.MOVING)

    def begin_epoch(self, epoch: Epoch, *, goes_back: bool = False) -> None:
        """Enter an epoch; with ``goes_back``, everything starts again from the last checkpoint."""
        self.epoch = epoch
        self.ended_sources.begin_epoch()
        self.splits.begin_epoch(goes_back=goes_back)

    def rejoin(self, lost: Iterable[WorkerName]) -> None:
        """Note that all members join again in this epoch, those that were lost as new processes."""
        self.incarnations = dict.fromkeys(self.workers, self.epoch)
        self.processes |= dict.fromkeys(lost, self.epoch)

    def committed(
        self, manifest: int, outbox_cuts: tuple[CheckpointId, ...], *, has_prepared: bool = False
    ) -> None:
        """Note the last checkpoint, and the cuts whose results it does not call delivered."""
        self.manifest = manifest
        self.has_prepared = has_prepared
        self.outbox_cuts = outbox_cuts
        left = {worker: count - 1 for worker, count in self._resting.items()}
        self._resting = {worker: count for worker, count in left.items() if count}

    def commit_members(
        self,
        epoch: Epoch,
        workers: tuple[WorkerName, ...],
        maps: list[Any],
        splits: SplitLedger,
    ) -> None:
        """Replace the members, the maps and the readers; wait until the members are connected."""
        if self.begin.is_durable:
            self._resting |= {each: RESTS_FOR for each in self.workers if each not in workers}
        self.workers, self.partition_maps, self.splits = workers, maps, splits
        self.sources = self.sources.among(workers)
        self.begin_epoch(epoch)
        self._enter(Phase.CONNECTING, workers)

    @property
    def resting(self) -> Collection[WorkerName]:
        """The workers that have left and cannot come back yet.

        A successor writes their last results under their names. The first checkpoint without such a
        worker lists these results, and the second is complete only when they are delivered.
        """
        return self._resting

    @property
    def is_final(self) -> bool:
        """Whether all windows and timers fire at the end of the run.

        By default the next run goes on with those that are open, if checkpoints keep them. If the
        input has ended, nothing follows.
        """
        begin = self.begin
        keeps = begin.at_stop is AtStop.KEEP or (begin.at_stop is AtStop.AUTO and begin.is_durable)
        return begin.has_time and (self.ended_sources.are_all or not keeps)

    def drain(self) -> None:
        """Wait until all members have closed their sources and delivered what they accepted."""
        self._enter(Phase.DRAINING, self.workers)

    def drained(self) -> None:
        """Keep the processes running after everything is delivered."""
        self._enter(Phase.DRAINED)

    def stop(self) -> None:
        """End the run."""
        self._enter(Phase.STOPPED)

    def leaves(self, worker: WorkerName, left: Any) -> None:
        """Note what a worker leaves behind: the last that is known of it if it is lost now."""
        if not self.begin.is_durable:
            counts = Departure.from_wire(left).counts
            self._totals.reported(worker, self.processes[worker], self.epoch, counts)

    def listed(self, workers: Iterable[WorkerName]) -> list[list[Any]]:
        """Return these workers in the form in which frames list members."""
        return [
            [worker, self.incarnations[worker], self.data_addresses[worker]] for worker in workers
        ]

    def joined(self, frame: Join) -> None:
        """Store a worker's addresses and journals."""
        self.data_addresses[frame.name] = frame.data_address
        self.hand_over_paths[frame.name] = frame.hand_over_path
        self._without_splits.add(frame.name)
        self.input.joined(frame)

    def forget(self, worker: WorkerName) -> None:
        """Forget a worker that has joined and does not become a member."""
        self.data_addresses.pop(worker, None)
        self._without_splits.discard(worker)

    def assign(
        self,
        resize: int = 0,
        left: list[Any] | None = None,
        held_sinks: list[int] | None = None,
        source_times: dict[int, int] | None = None,
    ) -> Send:
        """Send all members the list of members and the owners of partitions and sources."""
        self._totals.set_members(self.workers, self.epoch)
        # With a resize nobody goes back, so everybody delivers what it was delivering.
        cuts = [] if resize else [*self.outbox_cuts]
        return self.to_all(
            Assign(
                self.epoch,
                self.listed(self.workers),
                self.partition_maps,
                self.begin.source_addresses,
                list(self.sources.workers),
                self.manifest,
                self.rounds.checkpoint,
                resize,
                left or [],
                held_sinks or [],
                self.input.given_up,
                cuts,
                self.begin.lineage,
                source_times or {},
            )
        )

    def connect(self, end: Callable[[ClusterError], list[Effect]]) -> list[Effect]:
        """Connect all members to each other; or ``end`` the run, if input that they need is lost.

        Do nothing while a manifest is being written: it may be the one to go back to.
        """
        if self.rounds.phase is RoundPhase.COMMITTING:
            return []
        losses, error = self.input.verify(self.workers)
        if error is not None:
            return [*losses, *end(error)]
        self._enter(Phase.CONNECTING, self.workers)
        joined = sorted(self._without_splits)
        self._without_splits.clear()
        shares = self.splits.assigned(joined, starts_run=0 < self.manifest == self.begin.manifest)
        return [*losses, self.assign(), *given(self.epoch, shares)]

    def give_moved(self, held: Mapping[int, Any]) -> list[Send]:
        """Give splits to their new readers, after the members have changed.

        ``held`` has their positions, by pipeline.
        """
        joined = sorted(self._without_splits)
        self._without_splits.clear()
        return given(self.epoch, self.splits.moved(held, joined))

    def open(self) -> list[Effect]:
        """Open the sources of all members."""
        self._enter(Phase.OPENING, self.workers)
        self.input.opened({worker: self.processes[worker] for worker in self.workers})
        return [self.to_all(Open(self.epoch))]

    def to_all(self, frame: ControlFrame) -> Send:
        """Return the order to send a frame to all members."""
        return Send(self.workers, frame)

    def check(self) -> None:
        """Assert what holds between any two steps."""
        members, phase, round_phase = set(self.workers), self.phase, self.rounds.phase
        assert len(members) == len(self.workers) > 0
        assert self.waiting_for <= members
        assert set(self.sources.workers) <= {*members, EVERY_WORKER}
        self.splits.check(members)
        for worker in members:
            assert self.processes[worker] <= self.incarnations[worker] <= self.epoch
        match phase:
            case Phase.FORMING:
                # All have joined, but the manifest being written may be the one to go back to.
                assert self.waiting_for or round_phase is RoundPhase.COMMITTING
            case Phase.CONNECTING | Phase.OPENING:
                assert self.waiting_for
                maps = map(PartitionMap.from_wire, self.partition_maps)
                assert {owner for each in maps for owner in each.owners} <= members
            case Phase.DRAINING:
                assert self.waiting_for or round_phase is not RoundPhase.IDLE
            case _:
                assert not self.waiting_for
        if round_phase is RoundPhase.SAVING:
            assert phase in (Phase.RUNNING, Phase.DRAINING, Phase.DRAINED, Phase.STOPPED)
        if round_phase is RoundPhase.COMMITTING:
            assert phase not in (Phase.CONNECTING, Phase.OPENING, Phase.MOVING)


def given(epoch: Epoch, shares: Iterable[SplitShare]) -> list[Send]:
    """Return the orders that tell workers which splits they read from now on."""
    return [
        Send(
            (share.worker,),
            Splits(epoch, share.pipeline, share.kind.value, share.splits, share.positions),
        )
        for share in shares
    ]
