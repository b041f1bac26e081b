"""Random lives of clusters: losses, late frames, checkpoints and stops at any time."""

import random
from collections import deque
from typing import Any

import pytest

from tests.wallaroo.coordinator.played_worker import (
    FAILS_TO_SAVE,
    OUTLINE,
    PlayedWorker,
    content_of,
    joins,
)
from tests.wallaroo.coordinator.story import sources_of, watch_of_failures
from wallaroo.coordinator.coordinator import Coordinator, Membership, Phase
from wallaroo.coordinator.events import (
    CheckpointDue,
    Effect,
    EndCluster,
    Event,
    ManifestNotWritten,
    ManifestWritten,
    Publish,
    Received,
    Send,
    SettleManifest,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Abandon,
    Assign,
    Checkpoint,
    Committed,
    ControlFrame,
    Drain,
    Join,
    RequestStop,
    Rewind,
)
from wallaroo.wire.outbox import DeliverCut

FIRST_MANIFEST = 7


class Process:
    """One incarnation of a worker: answers each order once, over links that keep their order."""

    def __init__(self, name: WorkerName, incarnation: Epoch, *, is_durable: bool) -> None:
        self.name = name
        self.incarnation = incarnation
        self.worker = PlayedWorker(name, incarnation, is_durable=is_durable)
        self.is_alive = True
        self.orders: deque[ControlFrame] = deque()
        self.answers: deque[ControlFrame] = deque(joins(self.worker))

    def obey(self, *, can_save: bool) -> None:
        order = self.orders.popleft()
        assert order.epoch >= self.worker.epoch
        self.answers += self.worker.answers(order, {} if can_save else FAILS_TO_SAVE)

    @property
    def epoch(self) -> Epoch:
        return self.worker.epoch


class RoundWatch:
    """Demands that checkpoints come one at a time, and stand before anybody hears of it."""

    def __init__(self) -> None:
        self.manifest = FIRST_MANIFEST
        """The newest that is written."""
        self.last_round = CheckpointId(FIRST_MANIFEST)
        self.is_under_way = False
        self.pending: WriteManifest | SettleManifest | None = None
        """What is being written."""
        self.written_round = CheckpointId(0)
        self.cuts: list[CheckpointId] = []
        """Those of the newest manifest."""

    def begins(self, checkpoint: CheckpointId) -> None:
        assert not self.is_under_way
        assert self.pending is None
        assert checkpoint > self.last_round
        self.last_round = checkpoint
        self.is_under_way = True

    def is_written(self, order: WriteManifest, names: tuple[WorkerName, ...]) -> None:
        assert self.pending is None
        assert self.is_under_way
        assert order.checkpoint == self.last_round
        assert order.contents == {name: content_of(name) for name in names}
        self.pending = order

    def settles(self, order: SettleManifest) -> None:
        assert self.pending is None
        assert not self.is_under_way
        assert self.cuts, "nothing is in doubt"
        self.pending = order

    def answered(self, *, stands: bool, cut_count: int) -> Event:
        """The store has answered; the manifest has results of so many cuts."""
        assert self.pending is not None
        order, self.pending = self.pending, None
        if not stands:
            return ManifestNotWritten("the store is away")
        self.manifest += 1
        if isinstance(order, SettleManifest):
            return ManifestWritten(self.manifest, 1)
        self.written_round = order.checkpoint
        first = 10 * order.checkpoint
        self.cuts = [CheckpointId(cut) for cut in range(first, first + cut_count)]
        return ManifestWritten(self.manifest, 1, (), tuple(self.cuts))

    def ends(self, frame: Committed | Abandon | Rewind) -> None:
        assert self.is_under_way or isinstance(frame, Rewind)
        self.is_under_way = False
        if isinstance(frame, Committed):
            assert (frame.checkpoint, frame.number) == (self.written_round, self.manifest)


class World:
    """A coordinator and its processes, those given up for lost included."""

    def __init__(self, seed: int, *, is_durable: bool) -> None:
        self.random = random.Random(seed)
        self.is_durable = is_durable
        self.names = tuple(WorkerName(f"w{n}") for n in range(self.random.randint(1, 4)))
        self.coordinator = Coordinator(
            Membership(
                workers=self.names,
                outline=OUTLINE,
                difference=lambda _mine, _theirs: "",
                partition_maps=[],
                source_addresses=[],
                sources=sources_of(),
                may_restart=self.random.random() < 0.9,
                is_durable=is_durable,
                manifest=FIRST_MANIFEST,
                checkpoint_failures_max=self.random.choice([None, None, 3]),
            ),
            watch_of_failures(is_durable=is_durable),
            checks_itself=True,
        )
        self.failure_chance = self.random.choice([0.0, 0.1])
        """That a worker cannot save, or a manifest is not written."""
        self.rounds = RoundWatch()
        self.current: dict[WorkerName, Process] = {}
        """What was started last for each worker, dead or alive."""
        self.given_up: list[Process] = []
        self.unreported: list[Process] = []
        """Dead, and the coordinator has not heard of it."""
        self.joined: dict[WorkerName, Epoch] = {}
        self.assigned_epoch = Epoch(0)
        self.ordered_cut_count = 0
        self.published: list[Publish] = []
        self.ends: list[EndCluster] = []
        self.carry_out(self.coordinator.start())

    def fails(self) -> bool:
        return self.random.random() < self.failure_chance

    def happen(self, event: Event) -> list[Effect]:
        was_stopped = self.coordinator.phase is Phase.STOPPED
        effects = self.coordinator.step(event)
        assert not (was_stopped and effects)
        if isinstance(event, Received) and isinstance(event.frame, Join):
            before = self.joined.get(event.worker, Epoch(0))
            self.joined[event.worker] = max(before, event.frame.epoch)
        if any(isinstance(each, Send) and isinstance(each.frame, Committed) for each in effects):
            assert isinstance(event, ManifestWritten)
        self.carry_out(effects)
        return effects

    # What the coordinator has done

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartWorker(worker, incarnation, is_restart):
                    self.start(worker, incarnation, is_restart=is_restart)
                case Send(workers, frame):
                    self.watch(frame)
                    for worker in workers:
                        self.current[worker].orders.append(frame)
                case WriteManifest():
                    self.rounds.is_written(effect, self.names)
                case SettleManifest():
                    self.rounds.settles(effect)
                case Publish(epoch):
                    assert self.current.keys() == {*self.names}
                    assert all(each.epoch == epoch for each in self.current.values())
                    self.published.append(effect)
                case EndCluster():
                    self.ends.append(effect)

    def start(self, worker: WorkerName, incarnation: Epoch, *, is_restart: bool) -> None:
        """Whatever runs there gives way; that can happen only to what has not joined."""
        before = self.current.get(worker)
        if before is None:
            assert (incarnation, is_restart) == (1, False)
        else:
            assert is_restart or self.joined.get(worker, 0) < before.incarnation
            assert incarnation > before.incarnation
            before.is_alive = False
            self.given_up.append(before)
        self.current[worker] = Process(worker, incarnation, is_durable=self.is_durable)

    def watch(self, frame: ControlFrame) -> None:
        assert frame.epoch == self.coordinator.epoch
        match frame:
            case Assign():
                self.check_assignment(frame)
            case Checkpoint(_, checkpoint):
                self.rounds.begins(checkpoint)
            case Drain(_, checkpoint) if self.is_durable:
                self.rounds.begins(checkpoint)
            case Committed() | Abandon() | Rewind():
                self.rounds.ends(frame)
            case DeliverCut():
                assert frame.cut in self.rounds.cuts[1:]
                self.ordered_cut_count += 1

    def check_assignment(self, assign: Assign) -> None:
        assert assign.epoch > self.assigned_epoch
        self.assigned_epoch = assign.epoch
        assert [name for name, _, _ in assign.members] == [*self.names]
        assert self.rounds.pending is None
        if self.is_durable:
            # Nobody goes on with what it had in an older epoch.
            assert (assign.manifest, assign.cuts) == (self.rounds.manifest, self.rounds.cuts)
            assert {epoch for _, epoch, _ in assign.members} == {assign.epoch}
            assert self.joined == dict.fromkeys(self.names, assign.epoch)
        else:
            incarnations = {name: each.incarnation for name, each in self.current.items()}
            assert {name: epoch for name, epoch, _ in assign.members} == incarnations

    # What happens to processes

    @property
    def living(self) -> list[Process]:
        return [each for each in self.current.values() if each.is_alive]

    def die(self) -> None:
        """A process ends; some of what it said may still arrive."""
        if self.living:
            process = self.random.choice(self.living)
            process.is_alive = False
            self.unreported.append(process)

    def tell_loss(self) -> None:
        """The coordinator hears of a death: each means one start, and only what died is started.

        With checkpoints on others that were being started are started anew.
        """
        process = self.unreported.pop(self.random.randrange(len(self.unreported)))
        is_current = self.current[process.name] is process
        lost = WorkerLost(process.name, process.incarnation, "killed")
        started = [each for each in self.happen(lost) if isinstance(each, StartWorker)]
        restarted = [each.worker for each in started if each.is_restart]
        if self.coordinator.phase is not Phase.STOPPED:
            assert restarted == [process.name] * is_current
            assert is_current or not started
        assert len(started) <= 1 or self.is_durable
        if self.random.random() < 0.3:
            assert self.happen(lost) == []

    def lose(self) -> None:
        self.die()
        if self.unreported:
            self.tell_loss()

    def answer(self, process: Process) -> None:
        if process.answers:
            self.happen(Received(process.name, process.answers.popleft()))

    def work(self) -> None:
        """Something goes on by itself."""
        if self.rounds.pending is not None and self.random.random() < 0.2:
            cut_count = self.random.randrange(4)
            self.happen(self.rounds.answered(stands=not self.fails(), cut_count=cut_count))
        elif self.unreported and self.random.random() < 0.2:
            self.tell_loss()
        elif self.living:
            process = self.random.choice(self.living)
            if process.orders and self.random.random() < 0.5:
                process.obey(can_save=not self.fails())
            else:
                self.answer(process)

    def disturb(self, chance: float) -> None:
        """Something happens from outside, or else things go on by themselves."""
        if chance < 0.02:
            self.lose()
        elif chance < 0.03:
            self.die()
        elif chance < 0.1 and self.given_up:
            self.answer(self.random.choice(self.given_up))
        elif chance < 0.15 and self.is_durable:
            self.happen(CheckpointDue())
        elif chance > 0.995 and self.living:
            process = self.random.choice(self.living)
            process.answers.append(RequestStop(process.epoch))
        else:
            self.work()

    def work_until_quiet(self) -> None:
        while (
            any(each.orders or each.answers for each in self.living)
            or self.rounds.pending is not None
            or self.unreported
        ):
            self.work()


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("seed", range(400))
def test_whatever_the_order_of_events_a_stop_ends_the_cluster(seed: int, is_durable: Any) -> None:
    world = World(seed, is_durable=is_durable)
    for _ in range(world.random.randint(0, 200)):
        if world.coordinator.phase is Phase.STOPPED:
            break
        world.disturb(world.random.random())
    if world.coordinator.phase not in (Phase.DRAINING, Phase.STOPPED):
        world.happen(StopRequested())
    world.work_until_quiet()
    assert world.coordinator.phase is Phase.STOPPED
    (end,) = world.ends
    if is_durable and end.error is None and world.published:
        # Nothing follows the checkpoint of the stop.
        assert world.rounds.written_round == world.rounds.last_round


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("seed", range(200))
def test_a_cluster_runs_again_after_any_losses(seed: int, is_durable: Any) -> None:
    world = World(seed, is_durable=is_durable)
    world.work_until_quiet()
    for _ in range(150):
        chance = world.random.random()
        world.disturb(chance if chance < 0.99 else 0.5)
        if world.coordinator.phase is Phase.STOPPED:
            return
    world.work_until_quiet()
    if world.coordinator.phase is Phase.STOPPED:
        return
    assert world.coordinator.phase is Phase.RUNNING
    assert world.published[0].is_again is False
    assert all(publish.is_again for publish in world.published[1:])
    assert world.published[-1].epoch == world.coordinator.epoch
    assert all(each.epoch == world.coordinator.epoch for each in world.current.values())


def test_the_seeds_see_what_they_are_for() -> None:
    """Losses while a manifest is written, recoveries from what is then written, stops, and cuts."""
    seen = {"waits": 0, "restarts": 0, "newer": 0, "cuts": 0}
    for seed in range(60):
        world = World(seed, is_durable=True)
        for _ in range(200):
            world.disturb(world.random.random())
            is_forming = world.coordinator.phase is Phase.FORMING
            seen["waits"] += is_forming and world.rounds.pending is not None
        seen["restarts"] += len(world.published) > 1
        seen["newer"] += world.rounds.manifest > FIRST_MANIFEST
        seen["cuts"] += world.ordered_cut_count > 0
    assert min(seen.values()) > 10, seen
