"""The row of heavy work: throughput of two workers over that of one, on CPUs that are theirs alone.

Each record takes 100 us of CPU in a ``to_parallel`` step. It is CPU time that is waited for, not
time on the clock, so another program on the machine slows a worker down instead of hiding it.

A worker's time is the time from the receiver's first byte to its last, less the time for which the
worker was ready to run while another program had its CPU, as the kernel counts it: senders, other
people's programs and the bare loop would else decide the result. A worker that waits for records
loses by that. This time, multiplied by the speed of the CPU, is what the bare loop of the same work
would have done in it; the part of that which came out is a worker's yield. Speed-up is two times
the yield of each of two workers over the yield of a single one, which is bound to the first CPU of
the two. Since the work is 100 us on every CPU, their speeds differ by little here.
"""

import dataclasses
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cluster_run import feed
from tests.bench.processes import running_cluster
from tests.bench.receiver import Receiver
from tests.bench.rows.row import Result
from tests.bench.scenarios import Sample, Scenario, make_sample
from tests.bench.speed import bare_loops, bind, mean_speed

TWO_WORKERS = Scenario(
    name="work", module="counters", arguments=("work",), workers=2, record_count=20_000
)
ONE_WORKER = dataclasses.replace(TWO_WORKERS, workers=1)


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of one run."""

    records_per_s: float
    speeds: list[float]
    """Records of the bare loop for each CPU second, CPU by CPU."""
    worth: float
    """Records that the bare loop would have come through in the time of all workers."""
    record_count: int

    @property
    def worker_yield(self) -> float:
        """The part of that which came out."""
        return self.record_count / self.worth


class SpeedUpRow:
    """Two workers and one."""

    name = TWO_WORKERS.name
    group = "one by one"

    def __init__(self) -> None:
        self._runs: dict[int, list[Throughput]] = {1: [], 2: []}

    def measure(self, folder: Path) -> None:
        """Run both; which one runs first changes from round to round."""
        sample = make_sample(TWO_WORKERS, folder)
        pair = (ONE_WORKER, TWO_WORKERS)
        for scenario in reversed(pair) if len(self._runs[1]) % 2 else pair:
            self._runs[scenario.workers].append(_run(scenario, sample))

    def result(self) -> Result:
        """Return how many times the throughput it is."""
        ones, twos = self._runs[1], self._runs[2]
        speeds = zip(*(run.speeds for run in twos), strict=True)
        return Result(
            name=self.name,
            group=self.group,
            unit="times the throughput: 2 workers against 1, 100 us of work a record",
            values=[
                2 * two.worker_yield / one.worker_yield for one, two in zip(ones, twos, strict=True)
            ],
            target=1.9,
            more_is_better=True,
            more={
                "records_per_s_1_worker": statistics.median(run.records_per_s for run in ones),
                "records_per_s_2_workers": statistics.median(run.records_per_s for run in twos),
                **{
                    f"bare_records_per_cpu_s_{number}": statistics.median(values)
                    for number, values in enumerate(speeds)
                },
            },
        )


def _run(scenario: Scenario, sample: Sample) -> Throughput:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        arguments = [*scenario.arguments, "--no-dashboard"]
        cluster = stack.enter_context(
            running_cluster(scenario.module, scenario.workers, receiver.address, arguments)
        )
        bound = bind(cluster)
        # None is watched: a worker would be stopped then, and the others would wait for it.
        beside = stack.enter_context(bare_loops(scenario, sample, dict.fromkeys(bound, ())))
        beside.begin()
        before_s = [*map(_delayed_s, cluster.worker_pids)]
        elapsed_s = feed(cluster, receiver, scenario, sample)
        delays_s = [
            _delayed_s(pid) - delayed_s
            for pid, delayed_s in zip(cluster.worker_pids, before_s, strict=True)
        ]
        speed_of = dict(zip(bound, map(mean_speed, beside.end()), strict=True))
        worth = 0.0
        for pid, delay_s in zip(cluster.worker_pids, delays_s, strict=True):
            [cpu] = [cpu for cpu, pids in bound.items() if pid in pids]
            worth += (elapsed_s - delay_s) * speed_of[cpu]
        count = scenario.record_count
        return Throughput(count / elapsed_s, [*speed_of.values()], worth, count)


def _delayed_s(pid: int) -> float:
    """Return for how long the main thread, which has the records, has waited for a CPU so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
