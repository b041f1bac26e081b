"""Splits that move to other workers at a resize: none of their records is late there.

Some splits are a minute behind others. Members change, and each worker hears of it at another
moment; watermarks and records of others may reach it before or after that.
"""

import random
from collections import deque

import pytest

import wallaroo
from tests.wallaroo.operators.timed import at, kept, tcp
from tests.wallaroo.runtime.clock_cluster import MS, SECOND, ClockWorker, Message
from wallaroo.names import WorkerName
from wallaroo.timing.source_times import SourceTimes
from wallaroo.topology.plan import Application

TIME = wallaroo.event_time(at, idle_after=wallaroo.seconds(5))
NAMES = [WorkerName(f"w{number}") for number in range(1, 5)]
SPLITS = [f"s{number}" for number in range(5)]
STATE = "seen"


@wallaroo.computation("same")
def same(record: object) -> object:
    return record


def one_source() -> Application:
    return kept(wallaroo.source("p", tcp(TIME)))


def behind_a_merge() -> Application:
    one, two = wallaroo.source("p", tcp(TIME)), wallaroo.source("q", tcp(TIME, port=7011))
    return kept(one.merge(two.to_parallel(same)))


class MovingRun:
    """Workers that read splits, and links that keep the order of watermarks and records."""

    def __init__(self, plan: Application, seed: int) -> None:
        self.random = random.Random(seed)
        self.plan = plan
        self.now_ns = 1_000 * SECOND
        self.lags = {split: self.random.randrange(60) * SECOND for split in SPLITS}
        self.members = NAMES[: self.random.randint(1, 3)]
        self.workers = {name: ClockWorker(plan, name, (*self.members,)) for name in self.members}
        self.readers = {split: self.random.choice(self.members) for split in SPLITS}
        self.links: dict[tuple[WorkerName, WorkerName], deque[Message | int]] = {}
        for split, reader in self.readers.items():
            # A clock that moves before the first record of a split would make that one late.
            time = self.now_ns - self.lags[split]
            self.workers[reader].clocks.processed(0, split, time, self.now_ns)
        self.settle()

    def clock(self, name: WorkerName) -> int:
        return self.workers[name].work.advanced.get(STATE, -1)

    def read(self) -> None:
        """Each split gives a record within two seconds, well within ``idle_after``."""
        for split in self.random.sample(SPLITS, len(SPLITS)):
            self.now_ns += self.random.randrange(400) * MS
            reader, time = self.readers[split], self.now_ns - self.lags[split]
            assert time >= self.clock(reader), "late at its reader"
            self.workers[reader].clocks.processed(0, split, time, self.now_ns)
            for other in self.members:
                if other != reader:
                    self.links.setdefault((reader, other), deque()).append(time)
            self.flush(reader)
            for _ in range(self.random.randrange(6)):
                self.deliver()

    def flush(self, name: WorkerName) -> None:
        worker = self.workers[name]
        worker.flush(self.now_ns)
        messages, worker.sent = worker.sent, []
        for other in self.workers:
            if other != name:
                self.links.setdefault((name, other), deque()).extend(messages)

    def deliver(self) -> bool:
        full = [ends for ends, link in self.links.items() if link]
        if not full:
            return False
        sender, receiver = self.random.choice(full)
        message = self.links[sender, receiver].popleft()
        if isinstance(message, Message):
            self.workers[receiver].receives(sender, message, self.now_ns)
        else:
            assert message >= self.clock(receiver), "late at the owner of its key"
        return True

    def settle(self) -> None:
        for _ in range(3):
            self.now_ns += 25 * MS
            for name in self.members:
                self.workers[name].fire()
                self.flush(name)
            while self.deliver():
                pass

    def resize(self) -> None:
        """Change the members, while nothing is read."""
        self.settle()
        before, self.members = self.members, self.random.sample(NAMES, self.random.randint(1, 4))
        dealt = {split: self.random.choice(self.members) for split in SPLITS}
        moves = {
            split: dealt[split]
            for split, reader in self.readers.items()
            if reader not in self.members or self.random.random() < 0.3
        }
        givers = {self.readers[split] for split in moves} | {*before} - {*self.members}
        times = [self.workers[name].clocks.sources[0].moving_time for name in givers]
        known = [time for time in times if time is not None]
        moved = {0: min(known)} if known else {}
        clock = max(map(self.clock, before))
        unaware = [*self.members]
        self.workers = {name: each for name, each in self.workers.items() if name in self.members}
        while unaware:
            action = self.random.random()
            if action < 0.3:
                name = unaware.pop(self.random.randrange(len(unaware)))
                self.assign(name, clock, moved, moves)
            elif action < 0.6 and self.workers:
                self.now_ns += 25 * MS
                self.flush(self.random.choice([*self.workers]))
            else:
                self.deliver()
        self.links = {ends: link for ends, link in self.links.items() if {*ends} <= {*self.members}}
        self.readers |= moves
        for worker in self.workers.values():
            worker.clocks.send_again()

    def assign(
        self, name: WorkerName, clock: int, moved: dict[int, int], moves: dict[str, WorkerName]
    ) -> None:
        if name not in self.workers:
            worker = ClockWorker(self.plan, name, (*self.members,), moved, self.now_ns)
            # Keys that move take the clock of their state along.
            worker.clocks.catch_up(STATE, clock)
            worker.work.advanced[STATE] = clock
            self.workers[name] = worker
        else:
            worker = self.workers[name]
            for split, reader in moves.items():
                if self.readers[split] == name != reader:
                    worker.clocks.sources[0].handed_over(split)
            worker.set_members(self.members, moved, self.now_ns)
        worker.clocks.send_again()


PLANS = [one_source(), behind_a_merge()]


@pytest.mark.parametrize("plan", PLANS, ids=["one source", "behind a merge"])
@pytest.mark.parametrize("seed", range(30))
def test_no_record_of_a_split_that_has_moved_is_late(plan: Application, seed: int) -> None:
    run = MovingRun(plan, seed)
    for _ in range(8):
        for _ in range(run.random.randrange(8)):
            run.read()
        run.resize()
    for _ in range(10):
        run.read()
    run.settle()
    slowest = max(run.lags.values())
    for name in run.members:
        assert run.now_ns - run.clock(name) < slowest + 5 * SECOND, "the clock goes on"


def test_without_waiting_for_what_has_moved_records_are_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SourceTimes, "wait_for_moved", lambda *_: None)
    with pytest.raises(AssertionError, match="late"):
        for seed in range(100):
            test_no_record_of_a_split_that_has_moved_is_late(PLANS[0], seed)
