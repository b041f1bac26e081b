"""The rows of many workers that have nothing to do: what one more worker costs the initializer.

Heartbeats, reports of metrics and a checkpoint each second go through the initializer, which is one
process. Records do not, so a cluster without input shows what grows with the number of workers.
"""

import operator
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.processes import cpu_s, private_bytes, running_cluster
from tests.bench.receiver import Receiver
from tests.bench.rows.row import Result

MODULE = "letters"
WORKER_COUNTS = (16, 32)
SETTLE_S = 5.0
"""After the start, before anything is measured."""
MEASURED_S = 20.0
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class _Idle:
    """What one cluster took."""

    ready_s: float
    initializer_cpu_ms: float
    """For each worker and second."""
    worker_cpu_ms: float
    """Of the median worker, for each second."""
    initializer_mb: float
    worker_mb: float
    """Of the median worker."""


class IdleRow:
    """A cluster of so many workers without input."""

    group = "idle"

    def __init__(self, worker_count: int) -> None:
        self.name = f"{worker_count} idle workers"
        self._worker_count = worker_count
        self._rounds: list[_Idle] = []

    def measure(self, folder: Path) -> None:
        """Start a cluster and watch it for a while."""
        with TemporaryDirectory(dir=folder) as state, Receiver() as receiver:
            options = ("--resilience-dir", state, "--no-dashboard")
            with running_cluster(MODULE, self._worker_count, receiver.address, options) as cluster:
                time.sleep(SETTLE_S)
                pids = [cluster.process.pid, *cluster.worker_pids]
                begun_s, before_s = time.monotonic(), [*map(cpu_s, pids)]
                time.sleep(MEASURED_S)
                lasted_s = time.monotonic() - begun_s
                after_s = map(cpu_s, pids)
                initializer_s, *workers_s = map(operator.sub, after_s, before_s)
                cluster.check()
                initializer_bytes, *worker_bytes = map(private_bytes, pids)
        self._rounds.append(
            _Idle(
                ready_s=cluster.ready_s,
                initializer_cpu_ms=1000 * initializer_s / lasted_s / self._worker_count,
                worker_cpu_ms=1000 * statistics.median(workers_s) / lasted_s,
                initializer_mb=initializer_bytes / MEGABYTE,
                worker_mb=statistics.median(worker_bytes) / MEGABYTE,
            )
        )

    def result(self) -> Result:
        """Return the initializer's CPU for each worker."""
        return Result(
            name=self.name,
            group=self.group,
            unit="CPU ms of the initializer for each worker and second",
            values=[each.initializer_cpu_ms for each in self._rounds],
            more={
                "ready_s": statistics.median(each.ready_s for each in self._rounds),
                "worker_cpu_ms": statistics.median(each.worker_cpu_ms for each in self._rounds),
                "initializer_mb": statistics.median(each.initializer_mb for each in self._rounds),
                "worker_mb": statistics.median(each.worker_mb for each in self._rounds),
            },
        )
