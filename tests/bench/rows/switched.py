"""The rows of what can be switched on: CPU of a cluster with it over CPU of the same without.

The baseline is the cluster without, measured before and after.
"""

import dataclasses
import statistics
from pathlib import Path

from tests.bench.cluster_run import run_cluster
from tests.bench.rounds import Beside, Round
from tests.bench.rows.cost import cpu_of
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
        self._beside = Beside(cpu_of)
        self._rounds: list[Round] = []

    def measure(self, folder: Path) -> None:
        """Off, on, off."""
        sample = make_sample(self._on, folder)
        self._rounds.append(
            self._beside.measure(
                self._off,
                lambda: run_cluster(self._off, sample),
                lambda: run_cluster(self._on, sample),
            )
        )

    def result(self) -> Result:
        """Return how many times the CPU it is."""
        attempts = [one.attempt for one in self._rounds]
        return Result(
            name=self.name,
            group=self.group,
            unit=self._unit,
            values=[attempt.ratio(cpu_of) for attempt in attempts],
            target=self._target,
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
