"""A model of clocks and barriers: workers, FIFO links between them, one barrier at a time.

Each worker has a source whose watermark rises, becomes idle at any time and may end. The model uses
the product's clocks, and the same rules as the runtime: a watermark is sent before a barrier, what
arrives behind a barrier is held back with its sender, and sources wait until they are aligned.
"""

import random
from collections import deque
from dataclasses import dataclass, field

from wallaroo.timing.clocks import NOTHING_YET, Clock, ClockSender, Status, Watermark

Cut = tuple[int, dict[str, Watermark]]


class FaultyClock(Clock[str]):
    """A clock that applies its own watermark at once, behind its barrier, too."""

    def hold_own(self, sender: str) -> None:
        """Do not hold it."""


@dataclass
class ModelWorker:
    name: str
    clock: Clock[str]
    sender: ClockSender = field(default_factory=lambda: ClockSender(interval_ns=0))
    own: Watermark = NOTHING_YET
    missing: set[str] = field(default_factory=set)
    """The workers whose barrier has not arrived yet."""
    held: list[tuple[str, Watermark]] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether its barrier is sent, but it is not aligned."""
        return bool(self.missing) and self.name not in self.missing


class ClusterModel:
    def __init__(self, seed: int, clock_class: type[Clock[str]] = Clock, count: int = 3) -> None:
        self._random = random.Random(seed)
        names = [f"w{number}" for number in range(1, count + 1)]
        self.workers = {name: ModelWorker(name, clock_class(names)) for name in names}
        self._links: dict[tuple[str, str], deque[Watermark | None]] = {
            (a, b): deque() for a in names for b in names if a != b
        }
        """``None`` is a barrier."""
        self._barrier_count = 0
        self.cuts: dict[int, dict[str, Cut]] = {}

    def run(self, steps: int = 400) -> None:
        for _ in range(steps):
            worker = self._random.choice([*self.workers.values()])
            chance = self._random.random()
            if chance < 0.35:
                self._records(worker)
            elif chance < 0.40:
                self._becomes_idle(worker)
            elif chance < 0.405:
                self._ends(worker)
            elif chance < 0.46:
                self._orders_barrier()
            elif chance < 0.70:
                self._sends_barrier(worker)
            else:
                self._delivers()

    def complete_cuts(self) -> list[list[Cut]]:
        return [[*cuts.values()] for cuts in self.cuts.values() if len(cuts) == len(self.workers)]

    def _records(self, worker: ModelWorker) -> None:
        if worker.waits or worker.own.status is Status.ENDED:
            return
        worker.own = Watermark(max(worker.own.time, 0) + self._random.randrange(5))
        if self._random.random() < 0.5:
            self._sends_clock(worker)

    def _becomes_idle(self, worker: ModelWorker) -> None:
        """Happens by an alarm, so behind its own barrier as well."""
        if worker.own.status is Status.ACTIVE and worker.own != NOTHING_YET:
            worker.own = Watermark(worker.own.time, Status.IDLE)
            self._sends_clock(worker)

    def _ends(self, worker: ModelWorker) -> None:
        if not worker.waits:
            worker.own = Watermark(worker.own.time, Status.ENDED)
            self._sends_clock(worker)

    def _sends_clock(self, worker: ModelWorker) -> None:
        if worker.sender.due(worker.own, 0, is_forced=True):
            for (sender, _), link in self._links.items():
                if sender == worker.name:
                    link.append(worker.own)
            worker.clock.receive_own(worker.name, worker.own)

    def _orders_barrier(self) -> None:
        if any(each.missing for each in self.workers.values()):
            return
        self._barrier_count += 1
        for worker in self.workers.values():
            worker.missing = {*self.workers}

    def _sends_barrier(self, worker: ModelWorker) -> None:
        if worker.name in worker.missing:
            self._sends_clock(worker)
            worker.clock.hold_own(worker.name)
            for (sender, _), link in self._links.items():
                if sender == worker.name:
                    link.append(None)
            self._has_barrier(worker, worker.name)

    def _delivers(self) -> None:
        waiting = [ends for ends, link in self._links.items() if link]
        if not waiting:
            return
        sender, receiver = self._random.choice(waiting)
        frame = self._links[sender, receiver].popleft()
        worker = self.workers[receiver]
        if frame is None:
            self._has_barrier(worker, sender)
        elif worker.missing and sender not in worker.missing:
            worker.held.append((sender, frame))
        else:
            worker.clock.receive(sender, frame)

    def _has_barrier(self, worker: ModelWorker, sender: str) -> None:
        worker.missing.discard(sender)
        if not worker.missing:
            cut = worker.clock.time, dict(worker.clock.vector)
            self.cuts.setdefault(self._barrier_count, {})[worker.name] = cut
            worker.clock.release_own()
            held, worker.held = worker.held, []
            for each, watermark in held:
                worker.clock.receive(each, watermark)
