"""The rows of answers: what a task for each record costs, and how many calls a second end."""

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.cluster_run import Measured, feed, run_cluster
from tests.bench.processes import running_cluster
from tests.bench.receiver import Receiver
from tests.bench.rows.checkpoints import KEPT, PAUSE_P99_MS, part_of
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample
from tests.bench.stamped.load import taken

PLAIN = Scenario(name="plain", module="answers", arguments=("plain",), record_count=500_000)
TASKS = replace(PLAIN, arguments=("task",), record_count=100_000)
CALLS = replace(PLAIN, arguments=("call",), record_count=20_000)
INTERVAL_S = 0.1


class AnswerCostRow:
    """A step that makes a task for each record beside a step that calls its function."""

    name = "async step"
    group = "one by one"

    def __init__(self) -> None:
        self._tasks: list[Measured] = []
        self._plain: list[Measured] = []

    def measure(self, folder: Path) -> None:
        """Run both; which one runs first changes from round to round."""
        pair = [(TASKS, self._tasks), (PLAIN, self._plain)]
        for scenario, runs in pair if len(self._tasks) % 2 else reversed(pair):
            runs.append(run_cluster(scenario, make_sample(scenario, folder)))

    def result(self) -> Result:
        """Return the difference."""
        pairs = zip(self._tasks, self._plain, strict=True)
        return Result(
            name=self.name,
            group=self.group,
            unit="us of CPU a record over a plain step with the same function",
            values=[task.cpu_s_per_million - plain.cpu_s_per_million for task, plain in pairs],
            target=10.0,
            more={
                name: statistics.median(run.bare_cpu_s_per_million for run in runs)
                for name, runs in (
                    ("bare_cpu_s_per_million_tasks", self._tasks),
                    ("bare_cpu_s_per_million_plain", self._plain),
                )
            },
        )


class CallsRow:
    """Calls of 50 ms, of which 200 are under way, with ten checkpoints a second."""

    name = "calls of 50 ms"
    group = "one by one"

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._pauses_ms: list[float] = []

    def measure(self, folder: Path) -> None:
        """Run them once."""
        with Receiver() as receiver, tempfile.TemporaryDirectory(dir=folder) as state:
            arguments = [
                *(*CALLS.arguments, "--no-dashboard", "--resilience-dir", state),
                *("--checkpoint-interval", str(INTERVAL_S), "--keep-checkpoints", str(KEPT)),
            ]
            with running_cluster(CALLS.module, 1, receiver.address, arguments) as cluster:
                elapsed_s = feed(cluster, receiver, CALLS, make_sample(CALLS, folder))
            self._rates.append(CALLS.record_count / elapsed_s)
            self._pauses_ms += [one.pause_ms for one in taken(state)]

    def result(self) -> Result:
        """Return the rate, with the pauses of the checkpoints meanwhile."""
        p99_ms = part_of(self._pauses_ms, 0.99)
        return Result(
            name=self.name,
            group=self.group,
            unit=f"records / s with 200 at a time; checkpoints pause p99 {p99_ms:.1f} ms",
            values=self._rates,
            target=3_000,
            verdict=statistics.median(self._rates) >= 3_000 and p99_ms <= PAUSE_P99_MS,
            more_is_better=True,
            more={
                "checkpoints": len(self._pauses_ms),
                "pause_p50_ms": part_of(self._pauses_ms, 0.5),
                "pause_p90_ms": part_of(self._pauses_ms, 0.9),
                "pause_p99_ms": p99_ms,
                "pause_max_ms": max(self._pauses_ms),
            },
        )
