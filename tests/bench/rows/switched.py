"""The rows of what can be switched on: CPU of a cluster with it over CPU of the same without.

Each of the two is divided by the bare loop beside it first. Which one runs first changes from round
to round.
"""

import dataclasses
import statistics
from pathlib import Path

from tests.bench.cluster_run import Measured, run_cluster
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample

RECORD_COUNT = 2_000_000
"""A run is long enough for several checkpoints, one a second."""


class SwitchedRow:
    """A cluster beside the same without what the row is about."""

    group = "one by one"

    def __init__(self, on: Scenario, off: Scenario, unit: str, target: float) -> None:
        self.name = on.name
        self._on = on
        self._off = off
        self._unit = unit
        self._target = target
        self._runs_on: list[Measured] = []
        self._runs_off: list[Measured] = []

    def measure(self, folder: Path) -> None:
        """Run both."""
        sample = make_sample(self._on, folder)
        pair = [(self._on, self._runs_on), (self._off, self._runs_off)]
        for scenario, runs in pair if len(self._runs_on) % 2 else reversed(pair):
            runs.append(run_cluster(scenario, sample))

    def pairs(self) -> list[tuple[Measured, Measured]]:
        """Return what was measured in each round, with and without."""
        return [*zip(self._runs_on, self._runs_off, strict=True)]

    def values(self) -> list[float]:
        """Return how many times the CPU each pair took."""
        return [on.ratio / off.ratio for on, off in self.pairs()]

    def result(self) -> Result:
        """Return what it costs."""
        runs_on, runs_off = self._runs_on, self._runs_off
        return Result(
            name=self.name,
            group=self.group,
            unit=self._unit,
            values=self.values(),
            target=self._target,
            more={
                "ratio_without": statistics.median(run.ratio for run in runs_off),
                "ratio": statistics.median(run.ratio for run in runs_on),
                "cpu_s_per_million_without": statistics.median(
                    run.cpu_s_per_million for run in runs_off
                ),
                "cpu_s_per_million": statistics.median(run.cpu_s_per_million for run in runs_on),
            },
        )


class OutboxRow(SwitchedRow):
    """A sink that is exactly once beside the same at least once, both with checkpoints."""

    def __init__(self) -> None:
        off = Scenario(
            name="at least once",
            module="letters",
            arguments=("at-least-once",),
            record_count=RECORD_COUNT,
            is_durable=True,
        )
        on = dataclasses.replace(off, name="outbox", arguments=("exactly-once",))
        super().__init__(on, off, "CPU seconds a million records more than at least once", 0.2)

    def values(self) -> list[float]:
        """Return the seconds of each pair, on a CPU as fast as that of both bare loops."""
        return [
            (on.ratio - off.ratio) * (on.bare_cpu_s_per_million + off.bare_cpu_s_per_million) / 2
            for on, off in self.pairs()
        ]


def durability_rows() -> list[SwitchedRow]:
    """Checkpoints and journals, on with ``--resilience-dir``."""
    scenarios = (
        Scenario(name="durable, 1 worker", module="letters", record_count=RECORD_COUNT),
        Scenario(
            name="durable, 100,000 keys, 2 workers",
            module="counters",
            workers=2,
            key_count=100_000,
            record_count=RECORD_COUNT,
        ),
    )
    return [
        SwitchedRow(
            dataclasses.replace(off, is_durable=True),
            off,
            "times the CPU without checkpoints",
            target=1.25,
        )
        for off in scenarios
    ]


def metrics_rows() -> list[SwitchedRow]:
    """Metrics, off with ``--no-metrics``."""
    scenarios = (
        Scenario(name="metrics, 1 worker", module="letters", record_count=RECORD_COUNT),
        Scenario(name="metrics, 2 workers", module="letters", workers=2, record_count=RECORD_COUNT),
    )
    return [
        SwitchedRow(
            on,
            dataclasses.replace(on, arguments=(*on.arguments, "--no-metrics")),
            "times the CPU with --no-metrics",
            target=1.02,
        )
        for on in scenarios
    ]
