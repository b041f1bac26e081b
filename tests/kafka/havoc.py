"""Kills processes of a cluster from topic to topic, and of its broker, at random moments.

Everything that is random comes from one seed, except what the machine makes of it.
"""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from tests.cluster.durable import children, kill_initializer
from tests.cluster.harness import ending, wait_until
from tests.cluster.test_resize import ResizableCluster
from tests.crash.havoc import is_ready_without
from tests.kafka.broker import Broker
from tests.kafka.chains import Chains

Kind = Literal[
    "one worker",
    "two workers",
    "all workers",
    "in recovery",
    "initializer",
    "broker",
    "broker and worker",
    "growing",
    "shrinking",
    "partitions added",
]
WEIGHTS: dict[Kind, int] = {
    "one worker": 8,
    "two workers": 3,
    "all workers": 1,
    "in recovery": 3,
    "initializer": 4,
    "broker": 4,
    "broker and worker": 3,
    "growing": 3,
    "shrinking": 3,
    "partitions added": 1,
}
CALM_S_MAX = 0.6
AWAY_S_MAX = 2.0
RECOVERED_WITHIN_S = 90.0
WORKERS = 3
MEMBERS_MAX = 5
PARTITIONS_ADDED_MAX = 3


class Havoc:
    """One application from its first message to its last."""

    def __init__(self, kafka: Broker, folder: Path, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        """How many processes of each kind were killed."""
        self.chains = Chains(kafka, folder)
        self._broker = kafka.own()
        self._folder = folder
        self._chance = random.Random(seed)
        self._joined_count = 100
        self._added_count = 0

    def run(self, kill_count: int) -> None:
        """Kill so many processes; fail if in the end any result is not there once."""
        chains = self.chains
        chains.start()
        with ExitStack() as stack:
            cluster = stack.enter_context(self._running())
            while self.kills.total() < kill_count:
                chains.wait_more()
                self._pause(CALM_S_MAX)
                kind = self._chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
                if kind == "initializer":
                    kill_initializer(cluster)
                    self.kills[kind] += 1
                    stack.close()
                    cluster = stack.enter_context(self._running())
                else:
                    self._disturb(cluster, kind)
            chains.end()
            chains.wait_all()
            assert cluster.stop() == 0
            assert cluster.errors == [], "\n".join(cluster.errors)
            chains.check()

    @contextmanager
    def _running(self) -> Iterator[ResizableCluster]:
        options = self.chains.options(workers=WORKERS)
        with ending(ResizableCluster(self._folder, "topic_chains", *options)) as cluster:
            cluster.wait_ready(timeout_s=RECOVERED_WITHIN_S)
            yield cluster

    def _pause(self, most_s: float) -> None:
        threading.Event().wait(self._chance.uniform(0, most_s))

    def _disturb(self, cluster: ResizableCluster, kind: Kind) -> None:
        if kind == "partitions added":
            self._add_partition()
        elif kind in ("growing", "shrinking"):
            self._resize(cluster, kind)
        elif kind.startswith("broker"):
            self._without_broker(cluster, with_worker=kind != "broker")
        else:
            self._kill_workers(cluster, kind)

    def _add_partition(self) -> None:
        if self._added_count < PARTITIONS_ADDED_MAX:
            self._added_count += 1
            self.chains.add_partitions(1)

    def _kill(self, cluster: ResizableCluster, count: int) -> list[int]:
        workers = sorted(children(cluster.process.pid))
        victims = self._chance.sample(workers, min(count, len(workers)))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        self.kills["worker"] += len(victims)
        return victims

    def _wait_recovered(self, cluster: ResizableCluster, victims: list[int]) -> None:
        wait_until(
            "the application is ready again",
            lambda: is_ready_without(cluster, victims),
            RECOVERED_WITHIN_S,
        )

    def _kill_workers(self, cluster: ResizableCluster, kind: Kind) -> None:
        count = {"two workers": 2, "all workers": MEMBERS_MAX}.get(kind, 1)
        victims = self._kill(cluster, count)
        if kind == "in recovery":
            self._pause(1.5)
            victims += self._kill(cluster, 1)
        self._wait_recovered(cluster, victims)

    def _without_broker(self, cluster: ResizableCluster, *, with_worker: bool) -> None:
        self._broker.kill()
        self.kills["broker"] += 1
        self._pause(AWAY_S_MAX)
        victims = self._kill(cluster, 1) if with_worker else []
        self._broker.start()
        self._wait_recovered(cluster, victims)

    def _resize(self, cluster: ResizableCluster, kind: Kind) -> None:
        """Add or remove a worker, and mostly kill one meanwhile."""
        members = [str(worker["name"]) for worker in cluster.ready()["workers"]]
        if kind == "growing" and len(members) < MEMBERS_MAX:
            self._joined_count += 1
            cluster.ask([f"w{self._joined_count}"], [])
        elif len(members) > 1:
            cluster.ask([], [self._chance.choice(members)])
        else:
            return
        victims: list[int] = []
        if self._chance.random() < 0.7:
            self._pause(1.0)
            victims = self._kill(cluster, 1)
        # If a process was killed, it may have been called off.
        cluster.answer()
        self._wait_recovered(cluster, victims)
