"""The rows of durability: CPU with checkpoints and journals on over CPU with them off.

The baseline is the same cluster without ``--resilience-dir``, measured before and after. A run is
long enough for several checkpoints, one a second.
"""

import dataclasses
import statistics
from pathlib import Path

from tests.bench.cluster_run import run_cluster
from tests.bench.rounds import Beside, Round
from tests.bench.rows.cost import cpu_of
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample

DURABLE = [
    Scenario(name="durable, 1 worker", module="letters", is_durable=True, record_count=2_000_000),
    Scenario(
        name="durable, 100,000 keys, 2 workers",
        module="counters",
        workers=2,
        key_count=100_000,
        is_durable=True,
        record_count=2_000_000,
    ),
]


class DurabilityRow:
    """A cluster with checkpoints beside the same without."""

    group = "one by one"

    def __init__(self, scenario: Scenario) -> None:
        self.name = scenario.name
        self._with = scenario
        self._without = dataclasses.replace(scenario, is_durable=False)
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
            unit="times the CPU without checkpoints",
            values=[attempt.ratio(cpu_of) for attempt in attempts],
            target=1.25,
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
