"""A coordinator by hand: what its workers would say, and what it has them do."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.wallaroo.coordinator.played_worker import (
    OUTLINE,
    Answer,
    PlayedWorker,
    cannot_save,
    content_of,
    has_drained,
    has_gathered,
    has_moved,
    has_saved,
    is_empty,
    is_held,
    is_open,
    is_ready,
    joins,
)
from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.coordinator.coordinator import Coordinator, Membership, Phase
from wallaroo.coordinator.events import (
    Announce,
    CheckpointDue,
    DrainRequested,
    Effect,
    EndCluster,
    Event,
    ManifestNotWritten,
    ManifestWritten,
    Received,
    ResizeRequested,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.coordinator.run_outcome import FailureLimit, FailureRule, FailureWatch
from wallaroo.coordinator.source_assignment import SourceAssignment
from wallaroo.errors import WallarooError
from wallaroo.metrics.nodes import Node
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import Assign, ControlFrame, Stop

A, B, C = WorkerName("a"), WorkerName("b"), WorkerName("c")
WORKERS = (A, B)


def membership(**changes: Any) -> Membership:
    facts: dict[str, Any] = {
        "workers": WORKERS,
        "outline": OUTLINE,
        "difference": lambda mine, theirs: f"{mine[-1]} is not {theirs[-1]}",
        "partition_maps": [["state", 1, [], ["a"], [0]]],
        "source_addresses": ["127.0.0.1:7010"],
        "sources": sources_of(""),
    }
    return Membership(**{**facts, **changes})


def sources_of(*workers: str) -> SourceAssignment:
    """Return an assignment of as many sources as there are workers."""
    return SourceAssignment(tuple(f"p{index}" for index in range(len(workers))), workers)


def watch_of_failures(
    limit: FailureLimit | None = None, *, is_durable: bool = False
) -> FailureWatch:
    """The counts of an application with one source and nothing else."""
    source = Node(0, "p/source", "source", "source", "p", "TCPSource", None, False, None)
    return FailureWatch(RunCounts([[source]], is_durable=is_durable), FailureRule(limit))


class Story:
    """A coordinator, and the events that its workers would send."""

    def __init__(self, limit: FailureLimit | None = None, **changes: Any) -> None:
        facts = membership(**changes)
        self.workers = facts.workers
        self.is_durable = facts.is_durable
        self.failures = watch_of_failures(limit, is_durable=facts.is_durable)
        self.coordinator = Coordinator(facts, self.failures, checks_itself=True)
        self.played: dict[WorkerName, PlayedWorker] = {}
        """The last process of each worker that the coordinator ordered."""
        self.journals: dict[WorkerName, list[JournalExtent]] = {}
        """What each worker has when it joins."""
        self.added: tuple[WorkerName, ...] = ()
        self.leaving: tuple[WorkerName, ...] = ()
        self.resize_number = 0
        """The number of the last request that was not refused, if none was."""
        self._note(self.coordinator.start())

    @property
    def phase(self) -> Phase:
        return self.coordinator.phase

    @property
    def epoch(self) -> Epoch:
        return self.coordinator.epoch

    @property
    def checkpoint(self) -> CheckpointId:
        """The last one ordered, by itself or with a stop."""
        return max(worker.checkpoint for worker in self.played.values())

    def step(self, event: Event) -> list[Effect]:
        """Return the effects without announcements."""
        effects = self.coordinator.step(event)
        self._note(effects)
        return [each for each in effects if not isinstance(each, Announce)]

    def _note(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartWorker(worker, incarnation):
                    self.played[worker] = PlayedWorker(
                        worker, incarnation, is_durable=self.is_durable
                    )
                case Send(workers, order):
                    for worker in workers:
                        self.played[worker].hear(order)

    def announced(self, event: Event) -> list[Announce]:
        """Return what is announced of this event."""
        effects = self.coordinator.step(event)
        self._note(effects)
        return [each for each in effects if isinstance(each, Announce)]

    # What workers say

    def say(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        return self.step(Received(worker, frame))

    def answer(self, workers: Iterable[WorkerName], answer: Answer) -> list[Effect]:
        """These workers say this, one after the other; return the effects of the last word."""
        effects: list[Effect] = []
        for worker in workers:
            for frame in answer(self.played[worker]):
                effects = self.say(worker, frame)
        return effects

    def all_say(self, frame: ControlFrame) -> list[Effect]:
        effects: list[Effect] = []
        for worker in self.workers:
            effects = self.say(worker, frame)
        return effects

    def join(self, *workers: WorkerName) -> list[Effect]:
        return self.answer(workers, lambda worker: joins(worker, self.journals.get(worker.name)))

    def lose(self, worker: WorkerName) -> list[Effect]:
        return self.step(WorkerLost(worker, self.played[worker].incarnation, "killed"))

    def go_to(self, phase: Phase) -> list[Effect]:
        """Bring the workers that are missing in, and all of them to this phase."""
        if self.phase is Phase.FORMING and phase is not Phase.FORMING:
            self.join(*self.workers)
        if self.phase is Phase.CONNECTING and phase is not Phase.CONNECTING:
            self.answer(self.workers, is_ready)
        effects: list[Effect] = []
        if self.phase is Phase.OPENING and phase is not Phase.OPENING:
            effects = self.answer(self.workers, is_open)
        if phase is Phase.MOVING and self.phase is Phase.RUNNING:
            self.ask_resize(leaving=[self.workers[-1]])
            self.gather()
            effects = self.empty()
        if phase is Phase.DRAINING and self.phase is Phase.RUNNING:
            effects = self.step(StopRequested())
        if phase is Phase.DRAINED and self.phase is Phase.RUNNING:
            self.step(DrainRequested())
            if self.is_durable:
                self.save()
                self.written(1)
            effects = self.drained()
        assert self.phase is phase
        return effects

    # Resizes

    def ask_resize(
        self, added: Sequence[WorkerName] = (), leaving: Sequence[WorkerName] = ()
    ) -> list[Effect]:
        self.added, self.leaving = tuple(added), tuple(leaving)
        self.resize_number += 1
        return self.step(ResizeRequested(self.resize_number, self.added, self.leaving))

    def gather(self, *workers: WorkerName) -> list[Effect]:
        """These workers (all, if none is named) are linked and know what moves."""
        return self.answer(workers or (*self.workers, *self.added), has_gathered)

    def empty(self) -> list[Effect]:
        return self.answer(self.leaving, is_empty)

    def hold(
        self,
        owed: dict[WorkerName, list[int]] | None = None,
        splits: dict[WorkerName, dict[int, Any]] | None = None,
    ) -> list[Effect]:
        """All workers are held; those that leave say what they leave behind.

        ``owed`` has the sinks that have not acknowledged everything, by worker, and ``splits`` the
        positions of the splits that it gives away.
        """

        def held(worker: PlayedWorker) -> list[ControlFrame]:
            left = legacy_of(worker.name) if worker.name in self.leaving else []
            given = (splits or {}).get(worker.name)
            return is_held(worker, left, (owed or {}).get(worker.name), given)

        return self.answer(self.workers, held)

    def move(self) -> list[Effect]:
        """Everything has come to the members to be."""
        kept = tuple(worker for worker in self.workers if worker not in self.leaving)
        effects = self.answer((*kept, *self.added), has_moved)
        if self.coordinator.workers == (*kept, *self.added):
            self.workers = self.coordinator.workers
        return effects

    # Checkpoints

    def due(self) -> list[Effect]:
        return self.step(CheckpointDue())

    def save(self, *workers: WorkerName) -> list[Effect]:
        """These workers (all, if none is named) have saved the last checkpoint ordered."""
        return self.answer(workers or self.workers, has_saved)

    def fail_to_save(self, worker: WorkerName) -> list[Effect]:
        return self.answer([worker], cannot_save)

    def written(
        self,
        number: int,
        *journals: JournalPosition,
        cuts: Sequence[int] = (),
        has_prepared: bool = False,
    ) -> list[Effect]:
        oldest, of_outbox = max(number - 2, 1), tuple(map(CheckpointId, cuts))
        return self.step(ManifestWritten(number, oldest, journals, of_outbox, has_prepared))

    def not_written(self) -> list[Effect]:
        return self.step(ManifestNotWritten("the store is away"))

    def drained(self, *workers: WorkerName) -> list[Effect]:
        return self.answer(workers or self.workers, has_drained)


def legacy_of(worker: WorkerName) -> list[Any]:
    return Departure(worker, [], {}, [], {}).to_wire()


def manifest_order(story: Story) -> WriteManifest:
    """Return what is to be written once all have saved the last checkpoint."""
    contents = {worker: content_of(worker) for worker in story.workers}
    return WriteManifest(story.checkpoint, story.epoch, contents)


def assigned(effects: Sequence[Effect]) -> Assign:
    """Demand that these effects are one assignment; return it."""
    (send,) = effects
    assert isinstance(send, Send)
    assert isinstance(send.frame, Assign)
    return send.frame


def ended(
    effects: Sequence[Effect], epoch: int = 1, workers: tuple[WorkerName, ...] = WORKERS
) -> WallarooError | None:
    """Demand that these effects end the cluster; return the error."""
    stop, end = effects
    assert stop == Send(workers, Stop(Epoch(epoch)))
    assert isinstance(end, EndCluster)
    return end.error


def running(**changes: Any) -> Story:
    """Return a cluster that has begun with manifest 7 and takes records."""
    story = Story(is_durable=True, manifest=7, **changes)
    story.go_to(Phase.RUNNING)
    return story


def saving(**changes: Any) -> Story:
    story = running(**changes)
    story.due()
    return story


def committing(**changes: Any) -> Story:
    story = saving(**changes)
    assert story.save() == [manifest_order(story)]
    return story
