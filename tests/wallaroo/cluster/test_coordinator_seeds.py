"""Random lives of clusters: losses, late frames and stops at any time."""

import random
from collections import deque
from typing import Any

import pytest

from wallaroo.cluster.coordinator import (
    Coordinator,
    Effect,
    EndCluster,
    Membership,
    Phase,
    Publish,
    Received,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
)
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import (
    Assign,
    ControlFrame,
    Drain,
    Drained,
    Join,
    Open,
    Opened,
    Ready,
    RequestStop,
)

OUTLINE = ["step"]


class Process:
    """One incarnation of a worker: answers each order once, over links that keep their order."""

    def __init__(self, name: WorkerName, incarnation: Epoch) -> None:
        self.name = name
        self.incarnation = incarnation
        self.epoch = incarnation
        self.orders: deque[ControlFrame] = deque()
        self.answers: deque[ControlFrame] = deque(
            [Join(incarnation, name, 1, f"{name}:{incarnation}", OUTLINE)]
        )

    def obey(self) -> None:
        order = self.orders.popleft()
        self.epoch = order.epoch
        match order:
            case Assign(epoch):
                self.answers.append(Ready(epoch))
            case Open(epoch):
                self.answers.append(Opened(epoch))
            case Drain(epoch, checkpoint):
                self.answers.append(Drained(epoch, checkpoint, 1, 0))


class World:
    """A coordinator and its processes, those given up for lost included."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        names = tuple(WorkerName(f"w{n}") for n in range(self.random.randint(1, 4)))
        self.coordinator = Coordinator(
            Membership(
                workers=names,
                outline=OUTLINE,
                difference=lambda _mine, _theirs: "",
                partition_maps=[],
                source_addresses=[],
                generator_workers=[],
                may_restart=self.random.random() < 0.9,
            )
        )
        self.living: dict[WorkerName, Process] = {}
        self.lost: list[Process] = []
        self.published: list[Publish] = []
        self.ends = 0
        self.carry_out(self.coordinator.start())

    def happen(self, event: Any) -> None:
        was_stopped = self.coordinator.phase is Phase.STOPPED
        effects = self.coordinator.step(event)
        assert not (was_stopped and effects)
        self.carry_out(effects)

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartWorker(worker, incarnation, is_restart):
                    assert is_restart is (incarnation > 1)
                    assert worker not in self.living
                    self.living[worker] = Process(worker, incarnation)
                case Send(workers, frame):
                    for worker in workers:
                        if worker in self.living:
                            self.living[worker].orders.append(frame)
                case Publish():
                    assert all(each.epoch == effect.epoch for each in self.living.values())
                    self.published.append(effect)
                case EndCluster():
                    self.ends += 1

    def lose(self) -> None:
        """A process ends; some of what it said may still arrive."""
        process = self.living.pop(self.random.choice([*self.living]))
        self.lost.append(process)
        for _ in range(self.random.randint(1, 2)):
            self.happen(WorkerLost(process.name, process.incarnation, "killed"))

    def answer(self, process: Process) -> None:
        if process.answers:
            self.happen(Received(process.name, process.answers.popleft()))

    def work(self) -> None:
        process = self.random.choice([*self.living.values()])
        if process.orders and self.random.random() < 0.5:
            process.obey()
        else:
            self.answer(process)

    def work_until_quiet(self) -> None:
        while any(each.orders or each.answers for each in self.living.values()):
            self.work()


@pytest.mark.parametrize("seed", range(500))
def test_whatever_the_order_of_events_a_stop_ends_the_cluster(seed: int) -> None:
    world = World(seed)
    for _ in range(world.random.randint(0, 150)):
        if world.coordinator.phase is Phase.STOPPED:
            break
        chance = world.random.random()
        if chance < 0.02:
            world.lose()
        elif chance < 0.1 and world.lost:
            world.answer(world.random.choice(world.lost))
        elif chance > 0.995:
            process = world.random.choice([*world.living.values()])
            process.answers.append(RequestStop(process.epoch))
        else:
            world.work()
    if world.coordinator.phase not in (Phase.DRAINING, Phase.STOPPED):
        world.happen(StopRequested())
    world.work_until_quiet()
    assert world.coordinator.phase is Phase.STOPPED
    assert world.ends == 1


@pytest.mark.parametrize("seed", range(200))
def test_a_cluster_runs_again_after_any_losses(seed: int) -> None:
    world = World(seed)
    world.work_until_quiet()
    for _ in range(100):
        if world.random.random() < 0.05:
            world.lose()
        elif world.living:
            world.work()
        if world.coordinator.phase is Phase.STOPPED:
            return
    world.work_until_quiet()
    assert world.coordinator.phase is Phase.RUNNING
    assert world.published[0].is_again is False
    assert all(publish.is_again for publish in world.published[1:])
    assert world.published[-1].epoch == world.coordinator.epoch
