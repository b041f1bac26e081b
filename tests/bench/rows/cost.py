"""Rows of CPU time: what a cluster uses for a million records, over what the bare loop uses."""

import statistics
from pathlib import Path

from tests.bench.cluster_run import Measured, run_bare_loop, run_cluster
from tests.bench.rounds import Beside, Round
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample


def cpu_of(measured: Measured) -> float:
    """CPU seconds for a million records."""
    return measured.cpu_s_per_million


class CostRow:
    """A scenario beside its bare loop."""

    def __init__(self, scenario: Scenario, beside: Beside) -> None:
        self.scenario = scenario
        self.name = scenario.name
        self.group = scenario.group
        self._beside = beside
        self._rounds: list[Round] = []

    def measure(self, folder: Path) -> None:
        """Bare loop, cluster, bare loop."""
        scenario = self.scenario
        sample = make_sample(scenario, folder)
        self._rounds.append(
            self._beside.measure(
                scenario.bare_loop,
                lambda: run_bare_loop(scenario, sample),
                lambda: run_cluster(scenario, sample),
            )
        )

    def result(self) -> Result:
        """Return the ratio."""
        attempts = [one.attempt for one in self._rounds]
        return Result(
            name=self.name,
            group=self.group,
            unit="times the CPU of the bare loop",
            values=[attempt.ratio(cpu_of) for attempt in attempts],
            target=float(self.scenario.target) if self.scenario.target else None,
            rounds=self._rounds,
            more={
                "bare_cpu_s_per_million": statistics.median(
                    attempt.baseline(cpu_of) for attempt in attempts
                ),
                "cpu_s_per_million": statistics.median(
                    attempt.run.cpu_s_per_million for attempt in attempts
                ),
                "records_per_s": statistics.median(
                    attempt.run.records_per_s for attempt in attempts
                ),
            },
        )
