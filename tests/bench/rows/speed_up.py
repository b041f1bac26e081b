"""The row of heavy work: throughput of two workers over that of one.

Each record takes 100 us of CPU in a ``to_parallel`` step. It is CPU time that is waited for, not
time on the clock, so another program on the machine slows a worker down in place of hiding it: the
result is of two free cores only if two are free. The single worker is the baseline, measured
before and after; throughput is what comes out between the receiver's first byte and its last.
"""

import dataclasses
import statistics
from pathlib import Path

from tests.bench.cluster_run import Measured, run_cluster
from tests.bench.rounds import Beside, Round
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample

TWO_WORKERS = Scenario(
    name="work", module="counters", arguments=("work",), workers=2, record_count=20_000
)
ONE_WORKER = dataclasses.replace(TWO_WORKERS, workers=1)


def throughput_of(measured: Measured) -> float:
    """Records a second."""
    return measured.records_per_s


class SpeedUpRow:
    """Two workers beside one."""

    name = TWO_WORKERS.name
    group = "one by one"

    def __init__(self) -> None:
        self._beside = Beside(throughput_of)
        self._rounds: list[Round] = []

    def measure(self, folder: Path) -> None:
        """One worker, two workers, one worker."""
        sample = make_sample(TWO_WORKERS, folder)
        self._rounds.append(
            self._beside.measure(
                ONE_WORKER,
                lambda: run_cluster(ONE_WORKER, sample),
                lambda: run_cluster(TWO_WORKERS, sample),
            )
        )

    def result(self) -> Result:
        """Return how many times the throughput it is."""
        attempts = [one.attempt for one in self._rounds]
        return Result(
            name=self.name,
            group=self.group,
            unit="times the throughput: 2 workers against 1, 100 us of work a record",
            values=[attempt.ratio(throughput_of) for attempt in attempts],
            target=1.9,
            more_is_better=True,
            rounds=self._rounds,
            more={
                "records_per_s_1_worker": statistics.median(
                    attempt.baseline(throughput_of) for attempt in attempts
                ),
                "records_per_s_2_workers": statistics.median(
                    attempt.run.records_per_s for attempt in attempts
                ),
            },
        )
