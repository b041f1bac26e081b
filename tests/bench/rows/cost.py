"""Rows of CPU time: what a cluster uses for its records, over what the bare loop uses."""

import statistics
from pathlib import Path

from tests.bench.cluster_run import Measured, run_cluster
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample


class CostRow:
    """A scenario beside its bare loop."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.name = scenario.name
        self.group = scenario.group
        self._runs: list[Measured] = []

    def measure(self, folder: Path) -> None:
        """Run the cluster once."""
        self._runs.append(run_cluster(self.scenario, make_sample(self.scenario, folder)))

    def result(self) -> Result:
        """Return the ratio."""
        runs = self._runs
        return Result(
            name=self.name,
            group=self.group,
            unit="times the CPU of the bare loop",
            values=[run.ratio for run in runs],
            target=float(self.scenario.target) if self.scenario.target else None,
            more={
                "bare_cpu_s_per_million": statistics.median(
                    run.bare_cpu_s_per_million for run in runs
                ),
                "cpu_s_per_million": statistics.median(run.cpu_s_per_million for run in runs),
                "records_per_s": statistics.median(run.records_per_s for run in runs),
            },
        )
