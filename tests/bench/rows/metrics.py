"""The rows of metrics: CPU of a cluster that measures itself over CPU with ``--no-metrics``.

The baseline is the same cluster without, measured before and after.
"""

import dataclasses
import statistics
from pathlib import Path

from tests.bench.cluster_run import run_cluster
from tests.bench.rounds import Beside, Round
from tests.bench.rows.cost import cpu_of
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample

MEASURED = [
    Scenario(name="metrics, 1 worker", module="letters", record_count=2_000_000),
    Scenario(name="metrics, 2 workers", module="letters", workers=2, record_count=2_000_000),
]

TARGET = 1.02


class MetricsRow:
    """A cluster with metrics beside the same without."""

    group = "one by one"

    def __init__(self, scenario: Scenario) -> None:
        self.name = scenario.name
        self._with = scenario
        self._without = dataclasses.replace(
            scenario, arguments=(*scenario.arguments, "--no-metrics")
        )
        self._beside = Beside(cpu_of)
        self._rounds: list[Round] = []

    def measure(self, folder: Path) -> None:
        """Off, on, off."""
        sample = make_sample(self._with, folder)
        self._rounds.append(
            self._beside.measure(
                self._without,
                lambda: run_cluster(self._without, sample),
                lambda: run_cluster(self._with, sample),
            )
        )

    def result(self) -> Result:
        """Return how many times the CPU it is."""
        attempts = [one.attempt for one in self._rounds]
        return Result(
            name=self.name,
            group=self.group,
            unit="times the CPU with --no-metrics",
            values=[attempt.ratio(cpu_of) for attempt in attempts],
            target=TARGET,
            rounds=self._rounds,
            more={
                "cpu_s_per_million_without": statistics.median(
                    attempt.baseline(cpu_of) for attempt in attempts
                ),
                "cpu_s_per_million": statistics.median(
                    attempt.run.cpu_s_per_million for attempt in attempts
                ),
            },
        )
