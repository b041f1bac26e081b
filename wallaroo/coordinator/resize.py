"""Decides, in the initializer, how a running cluster is resized.

    JOINING --all joined--> GATHERING --all Gathered--> WAITING --no checkpoint is being taken-->
    EMPTYING --all that leave Emptied--> HOLDING --all Held, all Moved--> committed
    SETTLING --RUNNING again, all that leave have left, a checkpoint taken--> answered

``TRANSITIONS`` is the same as a table. A request that is called off or answered has no phase.

What each phase is for, and why in this order:

* JOINING: the new processes start and report their addresses. The old members process records.
* GATHERING: all workers, old and new, connect to each other and find the keys that will move. Both
  take long, so they come before the pause. Each learns which splits of sources it will give away;
  splits that are discovered from now on wait until the request is committed or called off.
* WAITING: a checkpoint that is being taken has to end first. Its barrier and the one of the resize
  must not be in the links together, since a worker aligns one barrier at a time. If the last
  checkpoint has results of several cuts, they have to be delivered too (``CutDeliveries``).
* EMPTYING: workers that leave hand over their senders' connections to workers that stay. Records
  that they have read must be ahead of the barrier, so this comes before it.
* HOLDING: all sources pause behind a barrier. When it is through a worker, everything that was read
  before the pause is processed there, so the worker can send the keys that move. When all have held
  and all keys have moved, nothing is in flight, and each key is at its old owner and staged at its
  new one. Only at this moment can the change be committed.
* SETTLING: the new members connect and open their sources as after a start. Those that left still
  deliver the output they had. With checkpoints on, one checkpoint under the new membership follows:
  without it a recovery would go back to the old members. Connections that were handed over are
  read again only after that checkpoint.

What can go wrong:

* A worker is lost, cannot move its keys, or cannot start; or a stop is requested. Before the commit
  nothing has changed: members drop what they staged, and the request is **called off**. Each frame
  has the number of its request, so a late answer cannot count for the next request.
* A worker is lost after the commit. The change is final, and the new members recover. With
  checkpoints on, a worker that leaves counts as a member until it has delivered: if it is lost,
  what its sinks had not delivered is only in the last checkpoint, so all workers go back to it.
* A worker that joined is lost before the commit: only the request ends, since no key is there yet.
* The initializer is lost at any time: the next run starts with the members of the last checkpoint,
  old or new, and each checkpoint names its members.

The epoch goes up with the commit, and the processes that join are started with that next epoch. So
a frame that an old member sent before the commit cannot count under the new membership. A worker
may join again under a name that has left. Its epoch is higher than in its earlier life, so nothing
from its earlier life can be mistaken for the new one: frames, links, journals and parts all name
the epoch.

Invariants, which ``check`` asserts: the cluster is MOVING if, and only if, a request is HOLDING.
Until the commit, the members, the maps and the epoch are the old ones, no worker that joins is a
member, and each that leaves is. No checkpoint is being taken in EMPTYING and HOLDING. Afterwards
the members are those of the request.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.split_positions import merged
from wallaroo.coordinator.checkpoint_round import RoundPhase
from wallaroo.coordinator.cluster_state import ClusterState, Phase
from wallaroo.coordinator.cut_deliveries import CutDeliveries
from wallaroo.coordinator.events import (
    Announce,
    Answer,
    Effect,
    EndWorker,
    MembersChanged,
    ResizeRequested,
    Send,
    StartWorker,
)
from wallaroo.coordinator.result_deliveries import ResultDeliveries
from wallaroo.coordinator.splits import SplitLedger
from wallaroo.coordinator.worker_names import listed, refusal
from wallaroo.names import Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap, moves
from wallaroo.wire.control import (
    TOO_MANY_SPLITS,
    CallOff,
    Emptied,
    Empty,
    Failed,
    Gather,
    Gathered,
    Held,
    Hold,
    Join,
    Leave,
    Moved,
    NotMoved,
    Stop,
    fits,
)

STOPPING = "the cluster is being stopped"

ResizeFrame = Gathered | Emptied | Held | Moved | NotMoved


class ResizePhase(enum.Enum):
    """The phases of a request."""

    JOINING = "joining"
    GATHERING = "gathering"
    WAITING = "waiting"
    EMPTYING = "emptying"
    HOLDING = "holding"
    SETTLING = "settling"


TRANSITIONS: Mapping[ResizePhase, frozenset[ResizePhase]] = {
    ResizePhase.JOINING: frozenset({ResizePhase.GATHERING}),
    ResizePhase.GATHERING: frozenset({ResizePhase.WAITING}),
    # EMPTYING is skipped if no worker leaves.
    ResizePhase.WAITING: frozenset({ResizePhase.EMPTYING, ResizePhase.HOLDING}),
    ResizePhase.EMPTYING: frozenset({ResizePhase.HOLDING}),
    ResizePhase.HOLDING: frozenset({ResizePhase.SETTLING}),
    ResizePhase.SETTLING: frozenset(),
}
"""The phases that may follow each phase; a request that is called off or answered has none."""


@dataclass(slots=True)
class Resize:
    """One request."""

    number: int
    request: ResizeRequested
    incarnation: Epoch
    """The incarnation of the workers that join: the epoch that starts with the commit."""
    workers: tuple[WorkerName, ...]
    """The members after the resize."""
    maps: list[PartitionMap]
    phase: ResizePhase = ResizePhase.JOINING
    waiting_for: set[WorkerName] = field(default_factory=set)
    not_held: set[WorkerName] = field(default_factory=set)
    left: list[Any] = field(default_factory=list)
    splits: SplitLedger | None = None
    """The readers of splits after the resize; ``None`` until the workers are asked to gather."""
    positions: list[dict[int, Any]] = field(default_factory=list)
    """From each worker: the positions of the splits that it gives away."""
    source_times: dict[int, int] = field(default_factory=dict)
    """By pipeline: the lowest watermark of the workers that give splits or connections away."""
    owed: dict[WorkerName, list[int]] = field(default_factory=dict)
    """By worker: the sinks that have not acknowledged what it wrote before the barrier."""
    moved_partitions: dict[str, int] = field(default_factory=dict)
    key_count: int = 0
    byte_count: int = 0
    leaving: set[WorkerName] = field(default_factory=set)
    """After the commit: the workers that leave and are still delivering."""
    has_round: bool = False
    """Whether a checkpoint was ordered under the new membership."""

    def enter(self, phase: ResizePhase, waiting_for: Iterable[WorkerName] = ()) -> None:
        """Change the phase; from now on the request waits for these workers."""
        assert phase in TRANSITIONS[self.phase], f"{self.phase} to {phase}"
        self.phase = phase
        self.waiting_for = set(waiting_for)

    def note_source_times(self, times: Mapping[int, int]) -> None:
        """Note the watermarks of sources from which a worker gives something away."""
        for pipeline, time in times.items():
            self.source_times[pipeline] = min(time, self.source_times.get(pipeline, time))


class ResizeCoordinator:
    """The resizes of a run, one at a time."""

    def __init__(
        self, state: ClusterState, deliveries: ResultDeliveries, cuts: CutDeliveries
    ) -> None:
        self._state = state
        self._cuts = cuts
        self._deliveries = deliveries
        self._current: Resize | None = None
        self._count = 0

    # The request

    def request(self, event: ResizeRequested, *, is_ending: bool) -> list[Effect]:
        """Start a resize, or refuse it; ``is_ending`` says that a stop was requested."""
        state = self._state
        # A stop may still wait for a manifest. A resize that started now would be under way when
        # the members drain.
        reason = self._refusal(event) or (STOPPING if is_ending else "")
        if reason:
            return [Answer(event.request_id, False, reason, {})]
        self._count += 1
        # Higher than that of every earlier process of a worker that comes back, or whose joining
        # was called off: what they still report must not count for the new one.
        before = [state.processes.get(worker, state.epoch) for worker in event.added]
        incarnation = Epoch(max([state.epoch, *before]) + 1)
        kept = [worker for worker in state.workers if worker not in event.leaving]
        workers = (*kept, *event.added)
        maps = [PartitionMap.from_wire(wire) for wire in state.partition_maps]
        new_maps = [each.rebalance(workers) for each in maps]
        current = self._current = Resize(self._count, event, incarnation, workers, new_maps)
        for old, new in zip(maps, new_maps, strict=True):
            current.moved_partitions[old.state] = len(moves(old, new))
        for worker in event.added:
            state.incarnations[worker] = state.processes[worker] = incarnation
        values = {"joining": ", ".join(event.added), "leaving": ", ".join(event.leaving)}
        begins = f"{values['joining']} start" if event.added else "the keys to move are collected"
        resizing = Announce("cluster.resizing", values, f"{begins}; processing continues meanwhile")
        current.waiting_for = set(event.added)
        if not event.added:
            return [resizing, *self._gather(current)]
        starts = [StartWorker(each, incarnation, False, True) for each in event.added]
        return [resizing, *starts]

    def _refusal(self, event: ResizeRequested) -> str:
        state = self._state
        if self._current is not None:
            return "another resize is in progress; ask again when it is done"
        if state.phase is not Phase.RUNNING:
            return f"the cluster is {state.phase.value}; ask again when it is running"
        return refusal(state.workers, state.resting, event.added, event.leaving)

    # Workers that join

    def joined(self, worker: WorkerName, frame: Join) -> list[Effect]:
        """Handle the ``Join`` of a process that was started for this request."""
        current, state = self._current, self._state
        if (
            current is None
            or current.phase is not ResizePhase.JOINING
            or worker not in current.waiting_for
        ):
            return []
        if frame.epoch != current.incarnation:
            return []
        if frame.outline != state.begin.outline:
            what = state.begin.difference(state.begin.outline, frame.outline)
            return self.call_off(f"worker {worker} runs another application: {what}")
        state.joined(frame)
        current.waiting_for.discard(worker)
        others = listed(current.waiting_for)
        following = f"waits for {others}" if others else "the keys to move are collected"
        joined = Announce("worker.joined", {"worker": worker}, following)
        return [joined] if current.waiting_for else [joined, *self._gather(current)]

    def not_joined(self, worker: WorkerName, frame: Failed) -> list[Effect]:
        """Handle a process's report that it cannot join; it may be of an earlier request."""
        current = self._current
        if (
            current is None
            or current.phase is ResizePhase.SETTLING
            or worker not in current.request.added
        ):
            return []
        return self.call_off(frame.what) if frame.epoch == current.incarnation else []

    def outsider_lost(self, worker: WorkerName, reason: str) -> list[Effect] | None:
        """Handle the loss of a worker that is not a member; ``None`` if all must recover."""
        current, state = self._current, self._state
        if current is not None and worker in current.leaving:
            if state.begin.is_durable:
                return None
            lost = "output that its sinks had not delivered"
            values = {"worker": worker, "reason": reason, "epoch": state.epoch, "lost": lost}
            following = "the other workers already own its keys and continue"
            loss = Announce("worker.lost", values, following, is_warning=True)
            return [loss, *self._departed(current, worker)]
        if current is not None and worker in current.request.added and worker not in state.workers:
            return self.call_off(f"worker {worker} was lost ({reason})")
        return []

    # Step by step

    def reported(self, worker: WorkerName, frame: ResizeFrame) -> list[Effect]:
        """Handle a worker's report that it has done its part of a phase, or cannot."""
        current = self._current
        if current is None or frame.resize != current.number:
            return []
        match frame, current.phase:
            case NotMoved(), phase if phase is not ResizePhase.SETTLING:
                return self.call_off(f"worker {worker}: {frame.reason}")
            case Gathered(), ResizePhase.GATHERING:
                current.waiting_for.discard(worker)
                if not current.waiting_for:
                    current.enter(ResizePhase.WAITING)
                return self.go_on()
            case Emptied(), ResizePhase.EMPTYING:
                current.waiting_for.discard(worker)
                return [] if current.waiting_for else self._hold(current)
            case Held(), ResizePhase.HOLDING:
                current.not_held.discard(worker)
                if frame.left:
                    current.left.append(frame.left)
                    self._state.leaves(worker, frame.left)
                current.owed[worker] = frame.owed_sinks
                current.positions.append(frame.splits)
                current.note_source_times(frame.source_times)
                return self._commit_if_whole(current)
            case Moved(), ResizePhase.HOLDING:
                current.waiting_for.discard(worker)
                current.key_count += frame.key_count
                current.byte_count += frame.byte_count
                return self._commit_if_whole(current)
            case _:
                return []

    def _gather(self, current: Resize) -> list[Effect]:
        state = self._state
        old_and_new = (*state.workers, *current.request.added)
        members, maps = state.listed(old_and_new), [each.to_wire() for each in current.maps]
        current.splits = state.splits.planned(current.workers)
        moves = state.splits.moves_to(current.splits)
        gather = Gather(
            state.epoch,
            current.number,
            members,
            [*current.workers],
            maps,
            moves,
            state.begin.lineage,
        )
        if moves and not fits(gather):
            count = sum(len(names) for _, _, names in moves)
            return self.call_off(f"{count:,} splits would move, {TOO_MANY_SPLITS}")
        current.enter(ResizePhase.GATHERING, old_and_new)
        return [Send(old_and_new, gather)]

    def _empty(self, current: Resize) -> list[Effect]:
        if not current.request.leaving:
            return self._hold(current)
        current.enter(ResizePhase.EMPTYING, current.request.leaving)
        paths = self._state.hand_over_paths
        takers = [paths[worker] for worker in current.workers if paths.get(worker)]
        return [Send(current.request.leaving, Empty(self._state.epoch, current.number, takers))]

    def _hold(self, current: Resize) -> list[Effect]:
        state = self._state
        current.enter(ResizePhase.HOLDING, current.workers)
        current.not_held = set(state.workers)
        state.move()
        return [state.to_all(Hold(state.epoch, current.number, state.rounds.barrier()))]

    def _commit_if_whole(self, current: Resize) -> list[Effect]:
        if current.not_held or current.waiting_for:
            return []
        state, leaving = self._state, current.request.leaving
        current.enter(ResizePhase.SETTLING)
        maps = [each.to_wire() for each in current.maps]
        assert current.splits is not None
        state.commit_members(current.incarnation, current.workers, maps, current.splits)
        current.leaving = set(leaving)
        held = self._deliveries.begin(current.number, current.owed)
        effects: list[Effect] = [
            MembersChanged(current.workers, maps),
            state.assign(current.number, current.left, held, current.source_times),
            *state.give_moved(merged(current.positions)),
        ]
        effects += self._deliveries.announced(current.number)
        return [*effects, Send(leaving, Leave(state.epoch, current.number))] if leaving else effects

    # After the commit

    def left(self, worker: WorkerName) -> list[Effect]:
        """End a worker that leaves: it has delivered everything."""
        current = self._current
        if current is None or worker not in current.leaving:
            return []
        left = Announce("worker.left", {"worker": worker}, "its process ends")
        return [left, Send((worker,), Stop(self._state.epoch)), *self._departed(current, worker)]

    def _departed(self, current: Resize, worker: WorkerName) -> list[Effect]:
        current.leaving.discard(worker)
        released = self._deliveries.settled(worker)
        return [*released, EndWorker(worker, is_stopping=True), *self.go_on()]

    @property
    def is_settling(self) -> bool:
        """Whether a leaving worker still delivers, or the checkpoint after the resize is missing.

        Connections that were handed over are not read before that checkpoint.
        """
        current, state = self._current, self._state
        if current is None or current.phase is not ResizePhase.SETTLING:
            return False
        is_saving = current.has_round and state.rounds.phase is not RoundPhase.IDLE
        return bool(current.leaving) or self.wants_round or is_saving

    @property
    def blocks_rounds(self) -> bool:
        """Whether no checkpoint may start, since it would delay the resize or lack output."""
        current = self._current
        return current is not None and (
            current.phase in (ResizePhase.EMPTYING, ResizePhase.WAITING) or bool(current.leaving)
        )

    @property
    def has_planned(self) -> bool:
        """Whether it is planned, and not committed yet, which splits move."""
        current = self._current
        return (
            current is not None
            and current.splits is not None
            and current.phase is not ResizePhase.SETTLING
        )

    @property
    def waiting_for(self) -> set[WorkerName]:
        """The workers that the request waits for."""
        return (
            self._current.waiting_for | self._current.not_held
            if self._current is not None
            else set()
        )

    @property
    def wants_round(self) -> bool:
        """Whether a checkpoint is needed now, so that a recovery keeps the new membership."""
        current, state = self._current, self._state
        return (
            current is not None
            and current.phase is ResizePhase.SETTLING
            and state.phase is Phase.RUNNING
            and state.begin.is_durable
            and not (current.leaving or current.has_round)
        )

    def go_on(self) -> list[Effect]:
        """Continue with what waited for the end of a checkpoint, or for the cluster to run."""
        current, state = self._current, self._state
        if current is None or state.phase is not Phase.RUNNING:
            return []
        if state.rounds.phase is not RoundPhase.IDLE:
            return []
        if current.phase is ResizePhase.WAITING:
            return [] if self._cuts.are_under_way else self._empty(current)
        if current.phase is ResizePhase.SETTLING and not current.leaving and not self.wants_round:
            return self._answer(current)
        return []

    def ordered_round(self) -> None:
        """Note that a checkpoint was ordered."""
        if self._current is not None:
            self._current.has_round = self._current.phase is ResizePhase.SETTLING

    def _answer(self, current: Resize) -> list[Effect]:
        self._current = None
        state = self._state
        facts = {
            "added": [*current.request.added],
            "left": [*current.request.leaving],
            "moved_partitions": current.moved_partitions,
            "moved_keys": current.key_count,
            "moved_bytes": current.byte_count,
            "epoch": state.epoch,
            "workers": [*state.workers],
        }
        text = f"the workers are {', '.join(state.workers)}; {current.key_count} keys moved"
        if state.begin.is_durable and state.rounds.failures_in_a_row:
            text += "; no checkpoint has succeeded since, so a crash may restore the old workers"
        return [
            Announce(
                "cluster.resized",
                {"workers": ", ".join(state.workers)},
                "processing continues on these workers",
            ),
            Answer(current.request.request_id, True, text, facts),
        ]

    # Losses and stops during a resize

    def member_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        """Handle the loss of a member, before the coordinator decides about the recovery."""
        current, state = self._current, self._state
        if state.begin.is_durable:
            self._deliveries.forget()
        released = self._deliveries.settled(worker)
        if current is None:
            return released
        if current.phase is not ResizePhase.SETTLING:
            # With checkpoints on, all members go back, and drop the request as they rewind.
            others = [each for each in state.workers if each != worker]
            informed = [] if state.begin.is_durable else others
            return [*released, *self.call_off(f"worker {worker} was lost ({reason})", informed)]
        if not state.begin.is_durable:
            return released
        return self.go_back()

    def go_back(self) -> list[Effect]:
        """End the workers that leave: all go back to the last checkpoint, which has their data."""
        current, state = self._current, self._state
        self._deliveries.forget()
        if current is None:
            return []
        current.has_round = False
        leaving, current.leaving = tuple(sorted(current.leaving)), set()
        ends = [EndWorker(each, is_stopping=True) for each in leaving]
        return [Send(leaving, Stop(state.epoch)), *ends] if leaving else []

    def stop(self) -> list[Effect]:
        """Call the request off for a stop, unless keys are moving already."""
        current = self._current
        if current is None or current.phase in (ResizePhase.HOLDING, ResizePhase.SETTLING):
            return []
        return self.call_off(STOPPING)

    def call_off(self, reason: str, informed: Iterable[WorkerName] | None = None) -> list[Effect]:
        """Call the request off before its commit; ``informed`` are the members that continue."""
        current, state = self._current, self._state
        assert current is not None
        assert current.phase is not ResizePhase.SETTLING
        self._current = None
        members = tuple(state.workers if informed is None else informed)
        added = current.request.added
        for worker in added:
            state.forget(worker)
        if state.phase is Phase.MOVING:
            state.run()
        effects: list[Effect] = [
            Announce(
                "cluster.resize_aborted",
                {"reason": reason},
                "the cluster continues with its previous workers",
                is_warning=True,
            )
        ]
        if members and current.phase is not ResizePhase.JOINING:
            effects.append(Send(members, CallOff(state.epoch, current.number, reason)))
        if added:
            effects.append(Send(added, Stop(state.epoch)))
        effects += [EndWorker(worker, is_stopping=False) for worker in added]
        return [
            *effects,
            Answer(current.request.request_id, False, f"{reason}; nothing changed", {}),
        ]

    def ended(self) -> list[Effect]:
        """Answer the request, if there is one: the run is over."""
        current, self._current = self._current, None
        if current is None:
            return []
        reason = "the cluster has ended; the old workers were its members"
        if current.phase is ResizePhase.SETTLING:
            reason = "the cluster has ended; the new workers were its members"
        return [Answer(current.request.request_id, False, reason, {})]

    def check(self) -> None:
        """Assert what holds between any two steps."""
        current, state = self._current, self._state
        is_holding = current is not None and current.phase is ResizePhase.HOLDING
        assert (state.phase is Phase.MOVING) == is_holding
        if current is None:
            return
        assert state.phase is not Phase.STOPPED
        joining, leaving = set(current.request.added), set(current.request.leaving)
        if current.phase is ResizePhase.SETTLING:
            assert state.workers == current.workers
            assert state.epoch >= current.incarnation
            assert current.leaving <= leaving
            return
        # Before the commit nothing has changed, and the epoch is still an earlier one.
        assert state.phase in (Phase.RUNNING, Phase.MOVING)
        assert state.epoch < current.incarnation
        assert joining.isdisjoint(state.workers)
        assert leaving <= set(state.workers)
        if current.phase in (ResizePhase.EMPTYING, ResizePhase.HOLDING):
            assert state.rounds.phase is RoundPhase.IDLE
