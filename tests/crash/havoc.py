"""One cluster under load, and processes of it killed at random moments.

Everything that is random comes from one seed, except what the machine makes of it: the same seed
kills in the same way at about the same moments.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cluster.durable import Deployment, Sender, children, kill_initializer
from tests.cluster.harness import Cluster, wait_until

Kind = Literal[
    "one worker", "two workers", "all workers", "in recovery", "initializer", "everything"
]
WEIGHTS: dict[Kind, int] = {
    "one worker": 9,
    "two workers": 3,
    "all workers": 1,
    "in recovery": 4,
    "initializer": 2,
    "everything": 1,
}

LINES_A_KILL = 6_000
"""Lines of each file that are read, about, from one kill to the next."""
RECORDS_PER_MS = 30
CALM_S_MAX = 0.6
"""Between a recovery and the next kill."""
RECOVERED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    """What was killed, and how long it took until the application was ready again."""

    kind: Kind
    processes: int
    workers: int
    """Of the cluster after the recovery."""
    at_s: float
    """Since the start of the round."""
    recovered_after_s: float


class Round:
    """One application, from its first line to its last, with so many kills in between."""

    def __init__(self, folder: Path, seed: int, kill_count: int) -> None:
        self.seed = seed
        self.kills: list[Kill] = []
        self.record_count = 0
        self._chance = random.Random(seed)
        self._kill_count = kill_count
        self._begun_s = time.monotonic()
        self._counts = Deployment(
            folder,
            line_count=LINES_A_KILL * (kill_count + 1),
            is_sent_to=True,
            key_count=self._chance.choice([20, 500, 5_000]),
            records_per_ms=RECORDS_PER_MS,
        )

    def run(self) -> Iterator[Kill]:
        """Yield each kill after its recovery. Raises where in the end anything is not exact."""
        with ExitStack() as stack:
            cluster = stack.enter_context(self._running())
            sender = self._counts.sender()
            for _ in range(self._kill_count):
                kind = self._chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
                self._wait(self._chance.uniform(0, CALM_S_MAX))
                began_s = time.monotonic()
                if kind in ("initializer", "everything"):
                    workers = children(cluster.process.pid) if kind == "everything" else set()
                    processes = 1 + len(self._kill([*workers]))
                    kill_initializer(cluster)
                    stack.close()
                    cluster = stack.enter_context(self._running())
                else:
                    processes = self._kill_workers(cluster, kind)
                yield self._recovered(kind, processes, cluster, began_s)
            self._finish(cluster, sender)

    @contextmanager
    def _running(self) -> Iterator[Cluster]:
        workers = self._chance.choice([1, 2, 3, 4])
        interval_s = self._chance.choice([0.05, 0.2, 0.5])
        # It counts the losses of a minute; here there are more than outside.
        options = ["--max-restarts", "1000", "--keep-checkpoints", "20"]
        with self._counts.running(*options, workers=workers, interval_s=interval_s) as cluster:
            cluster.wait_ready(timeout_s=RECOVERED_WITHIN_S)
            yield cluster

    def _kill_workers(self, cluster: Cluster, kind: Kind) -> int:
        """Kill, and wait until all are back; return how many processes were killed."""
        workers = children(cluster.process.pid)
        count = {"two workers": 2, "all workers": len(workers)}.get(kind, 1)
        victims = self._chance.sample(sorted(workers), min(count, len(workers)))
        self._kill(victims)
        if kind == "in recovery":
            self._wait(self._chance.uniform(0, 1.5))
            again = sorted(children(cluster.process.pid))
            victims += self._kill(self._chance.sample(again, min(1, len(again))))
        wait_until(
            "the application is ready again",
            lambda: is_ready_without(cluster, victims),
            RECOVERED_WITHIN_S,
        )
        return len(victims)

    def _kill(self, pids: list[int]) -> list[int]:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def _recovered(self, kind: Kind, processes: int, cluster: Cluster, began_s: float) -> Kill:
        now_s = time.monotonic()
        workers = len(cluster.ready()["workers"])
        kill = Kill(kind, processes, workers, began_s - self._begun_s, now_s - began_s)
        self.kills.append(kill)
        return kill

    def _wait(self, seconds: float) -> None:
        threading.Event().wait(seconds)

    def _finish(self, cluster: Cluster, sender: Sender) -> None:
        self._counts.wait_lines()
        totals = sender.stop()
        assert cluster.stop() == 0
        assert cluster.errors == [], "\n".join(cluster.errors)
        self._counts.check(totals)
        every = [*totals.values(), *self._counts.line_totals.values()]
        self.record_count = sum(total.record_count for total in every)


def is_ready_without(cluster: Cluster, victims: list[int]) -> bool:
    """Return whether the application is ready and every ended process has been noticed."""
    assert cluster.process.poll() is None, f"ended early: {cluster.errors}"
    workers = cluster.ready().get("workers", [])
    return bool(workers) and not {worker["pid"] for worker in workers} & {*victims}
