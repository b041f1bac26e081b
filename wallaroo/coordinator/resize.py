"""Decides, in the initializer, how a running cluster gets other members.

    JOINING --all joined--> GATHERING --all Gathered--> WAITING --no checkpoint is being taken-->
    EMPTYING --all who leave Emptied--> HOLDING --all Held, all Moved--> committed
    SETTLING --RUNNING again, all who leave have left, a checkpoint taken--> answered

``TRANSITIONS`` has the same as a table. A request that is called off, or answered, has no phase any
more.

What each phase is for, and why in this order:

* JOINING: the new processes start and report their addresses. The old members process records.
* GATHERING: all workers, old and new, connect to each other and find the keys that will move. Both
  take long, so they come before the pause.
* WAITING: a checkpoint that is being taken has to end first. Its barrier and the one of the resize
  may not be in the links together, since a worker aligns one barrier at a time.
* EMPTYING: workers that leave hand the connections of their senders to workers that stay. Records
  that they have read have to be ahead of the barrier, so this comes before it.
* HOLDING: all sources pause behind a barrier. When it is through a worker, everything that was read
  before the pause is processed there, so the worker can send the keys that move. When all have held
  and all keys have moved, nothing is in flight, and each key is at its old owner and staged at its
  new one. This is the one moment at which the change can be committed.
* SETTLING: the new members connect and open their sources as after a start. Those that left still
  deliver the output they had. With checkpoints on, one checkpoint under the new membership follows:
  without it a recovery would go back to the old members. Senders whose connection changed its
  worker are read again only after that checkpoint.

What can go wrong:

* A worker is lost, cannot move its keys, or cannot start; or a stop is requested. Before the commit
  nothing has changed: members drop what they staged, and the request is **called off**. The
  number of the request in each frame keeps late answers from counting for the next request.
* A worker is lost after the commit. The change stands, and the recovery happens among the new
  members. With checkpoints on, a worker that leaves counts like a member until it has delivered:
  what its sinks had not delivered is then only in the last checkpoint, so all go back to that.
* A worker that joined is lost before the commit: only the request ends, since no key is there yet.
* The initializer is lost at any time: the next run starts with the members of the last checkpoint,
  old or new, and each checkpoint names its members.

The epoch goes up with the commit, and the processes that join are started with that next epoch. So
a frame that an old member sent before the commit cannot be taken for one of the new membership.

Invariants, which ``check`` asserts: the cluster is MOVING if, and only if, a request is HOLDING.
Until the commit, the members, the maps and the epoch are the old ones, no worker that joins is a
member, and each that leaves is. No checkpoint is being taken in EMPTYING and HOLDING. Afterwards
the members are those of the request.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.coordinator.checkpoint_round import RoundPhase
from wallaroo.coordinator.cluster_state import ClusterState, Phase
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
from wallaroo.coordinator.result_deliveries import Deliveries
from wallaroo.coordinator.worker_names import refusal
from wallaroo.names import Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap, moves
from wallaroo.wire.control import (
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
)

STOPPING = "the cluster is being stopped"

ResizeFrame = Gathered | Emptied | Held | Moved | NotMoved


class ResizePhase(enum.Enum):
    """Where the request is."""

    JOINING = "joining"
    GATHERING = "gathering"
    WAITING = "waiting"
    EMPTYING = "emptying"
    HOLDING = "holding"
    SETTLING = "settling"


TRANSITIONS: Mapping[ResizePhase, frozenset[ResizePhase]] = {
    ResizePhase.JOINING: frozenset({ResizePhase.GATHERING}),
    ResizePhase.GATHERING: frozenset({ResizePhase.WAITING}),
    # EMPTYING is left out if no worker leaves.
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
    """Of those that join; the epoch that begins with the commit."""
    workers: tuple[WorkerName, ...]
    """The members afterwards."""
    maps: list[PartitionMap]
    phase: ResizePhase = ResizePhase.JOINING
    waiting_for: set[WorkerName] = field(default_factory=set)
    not_held: set[WorkerName] = field(default_factory=set)
    left: list[Any] = field(default_factory=list)
    owed: dict[WorkerName, list[int]] = field(default_factory=dict)
    """Sinks that have not acknowledged what each wrote before the barrier."""
    moved_partitions: dict[str, int] = field(default_factory=dict)
    key_count: int = 0
    byte_count: int = 0
    leaving: set[WorkerName] = field(default_factory=set)
    """After the commit: those that are still delivering."""
    has_round: bool = False
    """A checkpoint was ordered under the new membership."""

    def enter(self, phase: ResizePhase, waiting_for: Iterable[WorkerName] = ()) -> None:
        """Change the phase; from now on the request waits for these workers."""
        assert phase in TRANSITIONS[self.phase], f"{self.phase} to {phase}"
        self.phase = phase
        self.waiting_for = set(waiting_for)


class ResizeCoordinator:
    """The requests for other members, one at a time."""

    def __init__(self, state: ClusterState, deliveries: Deliveries) -> None:
        self._state = state
        self._deliveries = deliveries
        self._now: Resize | None = None
        self._count = 0

    # The request

    def request(self, event: ResizeRequested, *, is_ending: bool) -> list[Effect]:
        """Start a resize, or refuse it; ``is_ending`` says that a stop was requested."""
        state = self._state
        # A stop may still have to wait for a manifest. A resize that started meanwhile would be
        # under way when the members drain.
        reason = self._refusal(event) or (STOPPING if is_ending else "")
        if reason:
            return [Answer(event.request_id, False, reason, {})]
        self._count += 1
        incarnation = Epoch(state.epoch + 1)
        kept = [worker for worker in state.workers if worker not in event.leaving]
        workers = (*kept, *event.added)
        maps = [PartitionMap.from_wire(wire) for wire in state.partition_maps]
        new_maps = [each.rebalance(workers) for each in maps]
        now = self._now = Resize(self._count, event, incarnation, workers, new_maps)
        for old, new in zip(maps, new_maps, strict=True):
            now.moved_partitions[old.state] = len(moves(old, new))
        for worker in event.added:
            state.incarnations[worker] = state.processes[worker] = incarnation
        values = {"joining": ", ".join(event.added), "leaving": ", ".join(event.leaving)}
        begins = f"{values['joining']} start" if event.added else "the keys to move are collected"
        told = Announce("cluster.resizing", values, f"{begins}; processing continues meanwhile")
        now.waiting_for = set(event.added)
        if not event.added:
            return [told, *self._gather(now)]
        starts = [StartWorker(each, incarnation, False, True) for each in event.added]
        return [told, *starts]

    def _refusal(self, event: ResizeRequested) -> str:
        state = self._state
        if self._now is not None:
            return "another resize is in progress; ask again when it is done"
        if state.phase is not Phase.RUNNING:
            return f"the cluster is {state.phase.value}; ask again when it is running"
        return refusal(state.workers, state.processes, event.added, event.leaving)

    # Those that join

    def joined(self, worker: WorkerName, frame: Join) -> list[Effect]:
        """A process that was started for this request is there."""
        now, state = self._now, self._state
        if now is None or now.phase is not ResizePhase.JOINING or worker not in now.waiting_for:
            return []
        if frame.epoch != now.incarnation:
            return []
        if frame.outline != state.begin.outline:
            what = state.begin.difference(state.begin.outline, frame.outline)
            return self.call_off(f"worker {worker} runs another application: {what}")
        state.joined(frame)
        now.waiting_for.discard(worker)
        others = ", ".join(sorted(now.waiting_for))
        following = f"waits for {others}" if others else "the keys to move are collected"
        told = Announce("worker.joined", {"worker": worker}, following)
        return [told] if now.waiting_for else [told, *self._gather(now)]

    def not_joined(self, worker: WorkerName, frame: Failed) -> list[Effect]:
        """A process says why it cannot join, perhaps one of this request."""
        now = self._now
        if now is None or now.phase is ResizePhase.SETTLING or worker not in now.request.added:
            return []
        return self.call_off(frame.what) if frame.epoch == now.incarnation else []

    def outsider_lost(self, worker: WorkerName, reason: str) -> list[Effect] | None:
        """Somebody is lost who is no member; ``None`` where that takes a recovery."""
        now, state = self._now, self._state
        if now is not None and worker in now.leaving:
            if state.begin.is_durable:
                return None
            lost = "output that its sinks had not delivered"
            values = {"worker": worker, "reason": reason, "epoch": state.epoch, "lost": lost}
            following = "the other workers already own its keys and continue"
            told = Announce("worker.lost", values, following, is_warning=True)
            return [told, *self._gone(now, worker)]
        if now is not None and worker in now.request.added and worker not in state.workers:
            return self.call_off(f"worker {worker} was lost ({reason})")
        return []

    # Step by step

    def reported(self, worker: WorkerName, frame: ResizeFrame) -> list[Effect]:
        """A worker has done what it was told for a request, or cannot."""
        now = self._now
        if now is None or frame.resize != now.number:
            return []
        match frame, now.phase:
            case NotMoved(), phase if phase is not ResizePhase.SETTLING:
                return self.call_off(f"worker {worker}: {frame.reason}")
            case Gathered(), ResizePhase.GATHERING:
                now.waiting_for.discard(worker)
                if not now.waiting_for:
                    now.enter(ResizePhase.WAITING)
                return self.go_on()
            case Emptied(), ResizePhase.EMPTYING:
                now.waiting_for.discard(worker)
                return [] if now.waiting_for else self._hold(now)
            case Held(), ResizePhase.HOLDING:
                now.not_held.discard(worker)
                now.left += [frame.left] if frame.left else []
                now.owed[worker] = frame.owed_sinks
                return self._commit_if_whole(now)
            case Moved(), ResizePhase.HOLDING:
                now.waiting_for.discard(worker)
                now.key_count += frame.key_count
                now.byte_count += frame.byte_count
                return self._commit_if_whole(now)
            case _:
                return []

    def _gather(self, now: Resize) -> list[Effect]:
        state = self._state
        everybody = (*state.workers, *now.request.added)
        now.enter(ResizePhase.GATHERING, everybody)
        members, maps = state.listed(everybody), [each.to_wire() for each in now.maps]
        return [
            Send(everybody, Gather(state.epoch, now.number, members, [*now.workers], maps)),
        ]

    def _empty(self, now: Resize) -> list[Effect]:
        if not now.request.leaving:
            return self._hold(now)
        now.enter(ResizePhase.EMPTYING, now.request.leaving)
        paths = self._state.hand_over_paths
        takers = [paths[worker] for worker in now.workers if paths.get(worker)]
        return [Send(now.request.leaving, Empty(self._state.epoch, now.number, takers))]

    def _hold(self, now: Resize) -> list[Effect]:
        state = self._state
        now.enter(ResizePhase.HOLDING, now.workers)
        now.not_held = set(state.workers)
        state.move()
        return [state.to_all(Hold(state.epoch, now.number, state.rounds.barrier()))]

    def _commit_if_whole(self, now: Resize) -> list[Effect]:
        if now.not_held or now.waiting_for:
            return []
        state, leaving = self._state, now.request.leaving
        now.enter(ResizePhase.SETTLING)
        maps = [each.to_wire() for each in now.maps]
        state.commit_members(now.incarnation, now.workers, maps)
        now.leaving = set(leaving)
        held = self._deliveries.begin(now.number, now.owed)
        effects: list[Effect] = [
            MembersChanged(now.workers, maps),
            state.assign(now.number, now.left, held),
        ]
        effects += self._deliveries.announced(now.number)
        return [*effects, Send(leaving, Leave(state.epoch, now.number))] if leaving else effects

    # After the commit

    def left(self, worker: WorkerName) -> list[Effect]:
        """A worker that leaves has delivered everything."""
        now = self._now
        if now is None or worker not in now.leaving:
            return []
        told = Announce("worker.left", {"worker": worker}, "its process ends")
        return [told, Send((worker,), Stop(self._state.epoch)), *self._gone(now, worker)]

    def _gone(self, now: Resize, worker: WorkerName) -> list[Effect]:
        now.leaving.discard(worker)
        released = self._deliveries.gone(worker)
        return [*released, EndWorker(worker, is_told=True), *self.go_on()]

    @property
    def is_settling(self) -> bool:
        """Whether one that left has not delivered everything, or no checkpoint shows that it did.

        Without that checkpoint senders that changed their worker are not read on.
        """
        now, state = self._now, self._state
        if now is None or now.phase is not ResizePhase.SETTLING:
            return False
        is_saving = now.has_round and state.rounds.phase is not RoundPhase.IDLE
        return bool(now.leaving) or self.wants_round or is_saving

    @property
    def blocks_rounds(self) -> bool:
        """Whether no checkpoint may begin: it would have to be waited for, or miss something."""
        now = self._now
        return now is not None and (
            now.phase in (ResizePhase.EMPTYING, ResizePhase.WAITING) or bool(now.leaving)
        )

    @property
    def waiting_for(self) -> set[WorkerName]:
        """Whom the request waits for."""
        return self._now.waiting_for | self._now.not_held if self._now is not None else set()

    @property
    def wants_round(self) -> bool:
        """Whether a checkpoint is to be taken now, so that the new membership outlives this run."""
        now, state = self._now, self._state
        return (
            now is not None
            and now.phase is ResizePhase.SETTLING
            and state.phase is Phase.RUNNING
            and state.begin.is_durable
            and not (now.leaving or now.has_round)
        )

    def go_on(self) -> list[Effect]:
        """Do what waited for the end of a checkpoint, or for the cluster to run."""
        now, state = self._now, self._state
        if now is None or state.phase is not Phase.RUNNING:
            return []
        if state.rounds.phase is not RoundPhase.IDLE:
            return []
        if now.phase is ResizePhase.WAITING:
            return self._empty(now)
        if now.phase is ResizePhase.SETTLING and not now.leaving and not self.wants_round:
            return self._answer(now)
        return []

    def ordered_round(self) -> None:
        """A checkpoint was ordered."""
        if self._now is not None:
            self._now.has_round = self._now.phase is ResizePhase.SETTLING

    def _answer(self, now: Resize) -> list[Effect]:
        self._now = None
        state = self._state
        facts = {
            "added": [*now.request.added],
            "left": [*now.request.leaving],
            "moved_partitions": now.moved_partitions,
            "moved_keys": now.key_count,
            "moved_bytes": now.byte_count,
            "epoch": state.epoch,
            "workers": [*state.workers],
        }
        text = f"the workers are {', '.join(state.workers)}; {now.key_count} keys moved"
        if state.begin.is_durable and state.rounds.failures_in_a_row:
            text += "; no checkpoint has succeeded since, so a crash may restore the old workers"
        return [
            Announce(
                "cluster.resized",
                {"workers": ", ".join(state.workers)},
                "processing continues on these workers",
            ),
            Answer(now.request.request_id, True, text, facts),
        ]

    # What comes in between

    def member_lost(self, worker: WorkerName, reason: str) -> list[Effect]:
        """A member is lost, and all that follows from it is still to be decided."""
        now, state = self._now, self._state
        if state.begin.is_durable:
            self._deliveries.forget()
        released = self._deliveries.gone(worker)
        if now is None:
            return released
        if now.phase is not ResizePhase.SETTLING:
            # With checkpoints on all go back in any case, and forget the request with it.
            others = [each for each in state.workers if each != worker]
            told = [] if state.begin.is_durable else others
            return [*released, *self.call_off(f"worker {worker} was lost ({reason})", told)]
        if not state.begin.is_durable:
            return released
        return self.go_back()

    def go_back(self) -> list[Effect]:
        """All members go back to the last checkpoint, which has what those that left had."""
        now, state = self._now, self._state
        self._deliveries.forget()
        if now is None:
            return []
        now.has_round = False
        leaving, now.leaving = tuple(sorted(now.leaving)), set()
        ends = [EndWorker(each, is_told=True) for each in leaving]
        return [Send(leaving, Stop(state.epoch)), *ends] if leaving else []

    def stop(self) -> list[Effect]:
        """The cluster is to stop: what has not begun to move is given up."""
        now = self._now
        if now is None or now.phase in (ResizePhase.HOLDING, ResizePhase.SETTLING):
            return []
        return self.call_off(STOPPING)

    def call_off(self, reason: str, told: Iterable[WorkerName] | None = None) -> list[Effect]:
        """Give the request up before its commit; ``told`` are the members that go on."""
        now, state = self._now, self._state
        assert now is not None
        assert now.phase is not ResizePhase.SETTLING
        self._now = None
        members = tuple(state.workers if told is None else told)
        added = now.request.added
        for worker in added:
            state.data_addresses.pop(worker, None)
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
        if members and now.phase is not ResizePhase.JOINING:
            effects.append(Send(members, CallOff(state.epoch, now.number, reason)))
        if added:
            effects.append(Send(added, Stop(state.epoch)))
        effects += [EndWorker(worker, is_told=False) for worker in added]
        return [*effects, Answer(now.request.request_id, False, f"{reason}; nothing changed", {})]

    def ended(self) -> list[Effect]:
        """The run is over."""
        now, self._now = self._now, None
        if now is None:
            return []
        reason = "the cluster has ended; the old workers were its members"
        if now.phase is ResizePhase.SETTLING:
            reason = "the cluster has ended; the new workers were its members"
        return [Answer(now.request.request_id, False, reason, {})]

    def check(self) -> None:
        """Assert what holds between any two steps."""
        now, state = self._now, self._state
        is_holding = now is not None and now.phase is ResizePhase.HOLDING
        assert (state.phase is Phase.MOVING) == is_holding
        if now is None:
            return
        assert state.phase is not Phase.STOPPED
        joining, leaving = set(now.request.added), set(now.request.leaving)
        if now.phase is ResizePhase.SETTLING:
            assert state.workers == now.workers
            assert state.epoch >= now.incarnation
            assert now.leaving <= leaving
            return
        # Before the commit nothing has changed, and the epoch of the commit is still to come.
        assert state.phase in (Phase.RUNNING, Phase.MOVING)
        assert state.epoch + 1 == now.incarnation
        assert joining.isdisjoint(state.workers)
        assert leaving <= set(state.workers)
        if now.phase in (ResizePhase.EMPTYING, ResizePhase.HOLDING):
            assert state.rounds.phase is RoundPhase.IDLE
