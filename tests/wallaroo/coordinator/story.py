"""A coordinator by hand: what its workers would say, and what it has them do."""

from collections.abc import Sequence
from typing import Any

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
from wallaroo.wire.control import (
    Assign,
    Checkpoint,
    ControlFrame,
    Drain,
    Drained,
    Emptied,
    Gathered,
    Held,
    Hold,
    Join,
    Moved,
    NotSaved,
    Opened,
    Ready,
    Rewind,
    Saved,
    Stop,
)

A, B, C = WorkerName("a"), WorkerName("b"), WorkerName("c")
WORKERS = (A, B)
OUTLINE = ["step one", "step two"]


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


def counted_source(worker: str, came: int, failed: int = 0) -> dict[str, Any]:
    """What a worker says that has only one source."""
    return {worker: {"p/source": [came, came - failed, 0, failed]}}


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
        self.processes: dict[WorkerName, Epoch] = {}
        """When each worker's process was started, as the coordinator ordered last."""
        self.joins: dict[WorkerName, Epoch] = {}
        """The epoch that each worker would join now."""
        self.journals: dict[WorkerName, list[JournalExtent]] = {}
        """What each worker has when it joins."""
        self.added: tuple[WorkerName, ...] = ()
        self.leaving: tuple[WorkerName, ...] = ()
        self.resize_number = 0
        """The number of the last request that was not refused, if none was."""
        self.checkpoint = CheckpointId(0)
        """The last one ordered, by itself or with a stop."""
        self._note(self.coordinator.start())

    @property
    def phase(self) -> Phase:
        return self.coordinator.phase

    @property
    def epoch(self) -> Epoch:
        return self.coordinator.epoch

    def step(self, event: Event) -> list[Effect]:
        """Return the effects without what is only told to people."""
        effects = self.coordinator.step(event)
        self._note(effects)
        return [each for each in effects if not isinstance(each, Announce)]

    def _note(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartWorker(worker, incarnation):
                    self.processes[worker] = self.joins[worker] = incarnation
                case Send(workers, Rewind(epoch)):
                    self.joins |= dict.fromkeys(workers, epoch)
                case Send(
                    _,
                    Checkpoint(_, checkpoint) | Drain(_, checkpoint) | Hold(_, _, checkpoint),
                ):
                    self.checkpoint = checkpoint

    def told(self, event: Event) -> list[Announce]:
        """Return what people are told of this event."""
        effects = self.coordinator.step(event)
        self._note(effects)
        return [each for each in effects if isinstance(each, Announce)]

    # What workers say

    def say(self, worker: WorkerName, frame: ControlFrame) -> list[Effect]:
        return self.step(Received(worker, frame))

    def all_say(self, frame: ControlFrame) -> list[Effect]:
        effects: list[Effect] = []
        for worker in self.workers:
            effects = self.say(worker, frame)
        return effects

    def join(self, *workers: WorkerName) -> list[Effect]:
        effects: list[Effect] = []
        for worker in workers:
            epoch = self.joins[worker]
            journals = [each.to_wire() for each in self.journals.get(worker, ())]
            address, folder = f"{worker}:{epoch}", f"/disk of {worker}"
            frame = Join(epoch, worker, 1, address, OUTLINE, "", journals, folder)
            effects = self.say(worker, frame)
        return effects

    def lose(self, worker: WorkerName) -> list[Effect]:
        return self.step(WorkerLost(worker, self.processes[worker], "killed"))

    def go_to(self, phase: Phase) -> list[Effect]:
        """Bring the workers that are missing in, and all of them to this phase."""
        if self.phase is Phase.FORMING and phase is not Phase.FORMING:
            self.join(*self.workers)
        if self.phase is Phase.CONNECTING and phase is not Phase.CONNECTING:
            self.all_say(Ready(self.epoch))
        effects: list[Effect] = []
        if self.phase is Phase.OPENING and phase is not Phase.OPENING:
            effects = self.all_say(Opened(self.epoch))
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

    # Other members

    def ask_resize(
        self, added: Sequence[WorkerName] = (), leaving: Sequence[WorkerName] = ()
    ) -> list[Effect]:
        self.added, self.leaving = tuple(added), tuple(leaving)
        self.resize_number += 1
        return self.step(ResizeRequested(self.resize_number, self.added, self.leaving))

    def gather(self, *workers: WorkerName) -> list[Effect]:
        """These workers (all, if none is named) are linked and know what moves."""
        effects: list[Effect] = []
        for worker in workers or (*self.workers, *self.added):
            effects = self.say(worker, Gathered(self.epoch, self.resize_number))
        return effects

    def empty(self) -> list[Effect]:
        effects: list[Effect] = []
        for worker in self.leaving:
            effects = self.say(worker, Emptied(self.epoch, self.resize_number))
        return effects

    def hold(self, owed: dict[WorkerName, list[int]] | None = None) -> list[Effect]:
        """All workers are held; those that leave say what they leave behind.

        ``owed`` has the sinks that have not acknowledged everything, by worker.
        """
        effects: list[Effect] = []
        for worker in self.workers:
            left = legacy_of(worker) if worker in self.leaving else []
            sinks = (owed or {}).get(worker, [])
            effects = self.say(worker, Held(self.epoch, self.resize_number, left, 1000, sinks))
        return effects

    def move(self) -> list[Effect]:
        """Everything has come to the members to be."""
        effects: list[Effect] = []
        epoch = self.epoch
        kept = tuple(worker for worker in self.workers if worker not in self.leaving)
        for worker in (*kept, *self.added):
            effects = self.say(worker, Moved(epoch, self.resize_number, 10, 100))
        if self.coordinator.workers == (*kept, *self.added):
            self.workers = self.coordinator.workers
        return effects

    # Checkpoints

    def due(self) -> list[Effect]:
        return self.step(CheckpointDue())

    def save(self, *workers: WorkerName) -> list[Effect]:
        """These workers (all, if none is named) have saved the last checkpoint ordered."""
        effects: list[Effect] = []
        for worker in workers or self.workers:
            effects = self.say(worker, Saved(self.epoch, self.checkpoint, content_of(worker)))
        return effects

    def fail_to_save(self, worker: WorkerName) -> list[Effect]:
        return self.say(worker, NotSaved(self.epoch, self.checkpoint, "no space left"))

    def written(self, number: int, *journals: JournalPosition) -> list[Effect]:
        return self.step(ManifestWritten(number, max(number - 2, 1), journals))

    def not_written(self) -> list[Effect]:
        return self.step(ManifestNotWritten("the store is away"))

    def drained(self, *workers: WorkerName) -> list[Effect]:
        effects: list[Effect] = []
        for worker in workers or self.workers:
            counts = counted_source(worker, 1)
            said = Drained(self.epoch, self.checkpoint, Epoch(1), counts)
            effects = self.say(worker, said)
        return effects


def legacy_of(worker: WorkerName) -> list[Any]:
    return [worker, [], {}, [], {}]


def content_of(worker: WorkerName) -> list[Any]:
    return [f"what {worker} saved"]


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
