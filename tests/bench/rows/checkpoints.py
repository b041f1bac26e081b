"""The rows of checkpoints: for how long records wait for one, and what it writes.

One worker holds all keys. A steady sender changes a share of them in each interval, in a drawn
order. The pause of a checkpoint is what the worker says of it in the manifest: the longest time for
which its record path did nothing but work for that checkpoint, see ``WorkerCheckpoint.pause_s``.
Beside it stands what can be seen from outside: how long records took from the sender's write to
the receiver's read while a checkpoint was taken, and while none was.
"""

import bisect
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import running_cluster
from tests.bench.rows.row import Result
from tests.bench.stamped.load import Taken, fill, sending, taken
from tests.bench.stamped.sink import Arrival, Sink

PAUSE_P99_MS = 10.0
PAUSE_MAX_MS = 50.0
KEPT = 1000
"""More than there are: manifests are read in the end."""


@dataclass(frozen=True, slots=True)
class Load:
    """Keys, how many of them change in each interval, and how many intervals are looked at."""

    key_count: int
    changed_percent: int
    interval_s: float
    intervals: int

    @property
    def name(self) -> str:
        return f"{self.key_count:,} keys, {self.changed_percent} %"

    @property
    def changed_count(self) -> int:
        return self.key_count * self.changed_percent // 100

    @property
    def rate(self) -> int:
        """Records a second."""
        return round(self.changed_count / self.interval_s)


LOADS = [
    Load(10_000, 1, 0.5, 30),
    Load(10_000, 10, 0.5, 30),
    Load(10_000, 100, 0.5, 30),
    Load(100_000, 1, 0.5, 30),
    Load(100_000, 10, 0.5, 30),
    Load(100_000, 100, 3.0, 10),
    Load(1_000_000, 1, 0.5, 30),
    Load(1_000_000, 10, 2.0, 12),
    Load(1_000_000, 100, 20.0, 5),
]
"""At most 50,000 records a second: what is looked for is a pause, not what too much load does."""


class CheckpointRow:
    """Pauses and bytes of the checkpoints under one load."""

    group = "checkpoints"

    def __init__(self, load: Load) -> None:
        self.name = load.name
        self.load = load
        self._taken: list[Taken] = []
        self._during_ms: list[float] = []
        self._between_ms: list[float] = []

    def measure(self, folder: Path) -> None:
        """Fill the state, then change some keys in each interval."""
        load = self.load
        with Sink() as sink, tempfile.TemporaryDirectory(dir=folder) as state:
            arguments = [
                *("many", "--resilience-dir", state, "--keep-checkpoints", str(KEPT)),
                *("--checkpoint-interval", str(load.interval_s)),
            ]
            with running_cluster("stamps", 1, sink.address, arguments) as cluster:
                fill(cluster, sink, load.key_count)
                filled = len(sink.arrivals)
                total = load.changed_count * load.intervals
                with sending(cluster, load.changed_count, load.rate, total) as sender:
                    sender.wait(timeout=10 * load.interval_s * load.intervals)
            arrivals = sink.arrivals[filled:]
            # The first holds what was filled in before, the last what the end left over.
            under_load = [one for one in taken(state) if one.begun_s > arrivals[0].at_ns / 1e9][1:]
            self._taken += [
                one for one in under_load if one.written_count > load.changed_count // 2
            ]
            self._sort(arrivals, under_load)

    def _sort(self, arrivals: Sequence[Arrival], checkpoints: Sequence[Taken]) -> None:
        """Separate arrivals during checkpoints from arrivals between them."""
        begins = [one.begun_s for one in checkpoints]
        for arrival in arrivals:
            at_s = arrival.at_ns / 1e9
            index = bisect.bisect_right(begins, at_s) - 1
            is_during = index >= 0 and arrival.oldest_ns / 1e9 <= checkpoints[index].ended_s
            (self._during_ms if is_during else self._between_ms).append(arrival.waited_ms)

    def result(self) -> Result:
        """Return the pauses."""
        pauses_ms = [one.pause_ms for one in self._taken]
        p99_ms, max_ms = part_of(pauses_ms, 0.99), max(pauses_ms)
        byte_count = statistics.median(one.byte_count for one in self._taken)
        return Result(
            name=self.name,
            group=self.group,
            unit="ms for which records wait without a break for a checkpoint",
            values=pauses_ms,
            target=PAUSE_P99_MS,
            verdict=p99_ms <= PAUSE_P99_MS and max_ms <= PAUSE_MAX_MS,
            more={
                "keys": self.load.key_count,
                "changed_percent": self.load.changed_percent,
                "pause_p50_ms": part_of(pauses_ms, 0.5),
                "pause_p99_ms": p99_ms,
                "pause_max_ms": max_ms,
                "keys_written": statistics.median(one.written_count for one in self._taken),
                "bytes_written": byte_count,
                "took_s": statistics.median(one.ended_s - one.begun_s for one in self._taken),
                "records_per_s": self.load.rate,
                "wait_during_p99_ms": part_of(self._during_ms, 0.99),
                "wait_during_max_ms": max(self._during_ms, default=0.0),
                "wait_between_p99_ms": part_of(self._between_ms, 0.99),
                "wait_between_max_ms": max(self._between_ms, default=0.0),
            },
        )


def part_of(values: Sequence[float], part: float) -> float:
    """Return what this part of the values does not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0
