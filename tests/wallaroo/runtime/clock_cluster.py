"""Clocks of several workers with their aligners, and links between them that keep their order.

What is between is drawn: records, connections that are gone, watermarks and barriers in any order.
Nothing runs records, so how far a state has fired is drawn as well.
"""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wallaroo.names import CheckpointId, EdgeId, Epoch, StepId, WorkerName
from wallaroo.runtime.clock_facts import saved_vectors
from wallaroo.runtime.clocks import NOTHING_MOVED, AdvanceState, Clocks, Effect, SendClock
from wallaroo.timing.clocks import Watermark
from wallaroo.topology.plan import Application
from wallaroo.worker.barrier_alignment import (
    Aligned,
    Aligner,
    EdgePassed,
    Event,
    SendBarrier,
    SourcePassed,
)

Vectors = dict[str, list[list[int | str]]]

E1 = Epoch(1)
MS = 1_000_000
SECOND = 1_000_000_000


class Work:
    """What the clocks of one worker ask; a test sets it."""

    def __init__(self) -> None:
        self.advanced: dict[str, int] = {}
        self.done: dict[str, int] = {}
        """By state: how far it has fired."""
        self.due: set[str] = set()
        self.waiting: dict[int, int] = {}
        self.unprocessed: dict[int, int] = {}

    def fired(self, state: str) -> int:
        return self.done.get(state, -(1 << 63))

    def has_due(self, state: str) -> bool:
        return state in self.due

    def earliest_waiting(self, step: StepId) -> int | None:
        return self.waiting.get(step)

    def unprocessed_ns(self, pipeline: int) -> int | None:
        return self.unprocessed.get(pipeline)


@dataclass(frozen=True)
class Message:
    """A watermark over an edge, or a barrier."""

    edge: EdgeId
    content: Watermark | CheckpointId


class ClockWorker:
    """One worker of the model."""

    def __init__(
        self,
        plan: Application,
        name: WorkerName,
        members: tuple[WorkerName, ...],
        moved: Mapping[int, int] = NOTHING_MOVED,
        now_ns: int = 0,
    ) -> None:
        self.name = name
        self.plan = plan
        self.work = Work()
        self.clocks = Clocks(plan, name, self.work)
        self.set_members(members, moved, now_ns)
        self.aligner = Aligner(plan, name, members)
        self.sent: list[Message] = []
        self.held: list[tuple[WorkerName, Message]] = []
        self.behind: set[tuple[WorkerName, EdgeId]] = set()
        self.waits = False
        self.cut: Vectors | None = None

    def set_members(
        self, members: Iterable[WorkerName], moved: Mapping[int, int], now_ns: int
    ) -> None:
        known = [(each, E1) for each in members]
        is_resize = self.clocks.has_members
        self.carry_out(self.clocks.set_members(known, moved, now_ns, is_resize=is_resize))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendClock(edge, watermark):
                    self.sent.append(Message(edge, watermark))
                case AdvanceState(state, time):
                    assert time > self.work.advanced.get(state, time - 1)
                    self.work.advanced[state] = time

    def flush(self, now_ns: int) -> None:
        self.carry_out(self.clocks.flush(now_ns))

    def fire(self) -> None:
        """Let all states fire what is due."""
        self.work.done |= self.work.advanced

    def begins(self, checkpoint: CheckpointId, now_ns: int) -> None:
        self.waits = True
        for pipeline in range(len(self.plan.pipelines)):
            self.align(SourcePassed(checkpoint, pipeline), now_ns)

    def align(self, event: Event, now_ns: int) -> None:
        for effect in self.aligner.step(event):
            match effect:
                case SendBarrier(checkpoint, edge):
                    self.carry_out(self.clocks.pass_barrier(edge, now_ns))
                    self.sent.append(Message(edge, checkpoint))
                case Aligned():
                    self.cut = saved_vectors(self.clocks)
                    self._released(now_ns)

    def _released(self, now_ns: int) -> None:
        self.waits = False
        self.behind.clear()
        self.carry_out(self.clocks.aligned())
        held, self.held = self.held, []
        for worker, message in held:
            self.receives(worker, message, now_ns)

    def receives(self, worker: WorkerName, message: Message, now_ns: int) -> None:
        if (worker, message.edge) in self.behind:
            self.held.append((worker, message))
        elif isinstance(message.content, Watermark):
            self.carry_out(self.clocks.received(message.edge, worker, E1, message.content))
        else:
            self.behind.add((worker, message.edge))
            checkpoint = CheckpointId(message.content)
            self.align(EdgePassed(checkpoint, message.edge, worker), now_ns)


class ClockCluster:
    """Workers, and links between them."""

    def __init__(self, plan: Application, count: int, seed: int = 0) -> None:
        self.random = random.Random(seed)
        names = tuple(WorkerName(f"w{number + 1}") for number in range(count))
        self.workers = {name: ClockWorker(plan, name, names) for name in names}
        self.links: dict[tuple[WorkerName, WorkerName], deque[Message]] = {
            (a, b): deque() for a in names for b in names if a != b
        }
        self.plan = plan
        self.now_ns = 0
        self.checkpoint = 0
        self.cuts: list[list[Vectors]] = []

    def run(self, steps: int) -> None:
        """Do drawn steps."""
        for _ in range(steps):
            worker = self.random.choice([*self.workers.values()])
            chance = self.random.random()
            if chance < 0.35:
                self._records(worker)
            elif chance < 0.45:
                self.now_ns += self.random.choice([MS, 25 * MS, SECOND])
                worker.flush(self.now_ns)
            elif chance < 0.5 and not worker.waits:
                worker.fire()
            elif chance < 0.55:
                self._orders_barrier()
            else:
                self._deliver()
            self._send()

    def _records(self, worker: ClockWorker) -> None:
        if worker.waits:
            return
        pipeline = self.random.randrange(len(self.plan.pipelines))
        time = self.now_ns - self.random.randrange(20 * MS)
        channel = self.random.randrange(2)
        worker.clocks.processed(pipeline, channel, time, self.now_ns)
        worker.flush(self.now_ns)

    def _orders_barrier(self) -> None:
        if any(each.waits for each in self.workers.values()) or any(
            not isinstance(message.content, Watermark)
            for link in self.links.values()
            for message in link
        ):
            return
        self._note_cut()
        self.checkpoint += 1
        for each in self.workers.values():
            each.begins(CheckpointId(self.checkpoint), self.now_ns)
            self._send()

    def _note_cut(self) -> None:
        cuts = [each.cut for each in self.workers.values()]
        if self.checkpoint and None not in cuts:
            self.cuts.append([cut for cut in cuts if cut is not None])
        for each in self.workers.values():
            each.cut = None

    def _send(self) -> None:
        for worker in self.workers.values():
            messages, worker.sent = worker.sent, []
            for (sender, _), link in self.links.items():
                if sender == worker.name:
                    link.extend(messages)

    def _deliver(self) -> None:
        full = [ends for ends, link in self.links.items() if link]
        if full:
            sender, receiver = self.random.choice(full)
            message = self.links[sender, receiver].popleft()
            self.workers[receiver].receives(sender, message, self.now_ns)

    def settle(self) -> None:
        """Let everybody send and receive until nothing changes any more."""
        for _ in range(3 + len(self.plan.flows)):
            for worker in self.workers.values():
                worker.fire()
                self.now_ns += 25 * MS
                worker.flush(self.now_ns)
            self._send()
            while any(self.links.values()):
                self._deliver()

    def vectors(self, state: str) -> list[list[list[int | str]]]:
        """Return what each worker's last cut has of the senders over exchanges."""
        assert self.cuts
        return [sorted(cut[state], key=str) for cut in self.cuts[-1]]
