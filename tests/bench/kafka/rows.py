"""The rows of ``make bench-kafka``: pairs that are measured one after the other in each round."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.cluster_run import Measured, run_cluster
from tests.bench.kafka.latency import cluster_latency, echo_latency
from tests.bench.kafka.runs import SAMPLE, run_client_alone, run_to_tcp, run_to_topic
from tests.bench.kafka.topics import Topics, input_topics
from tests.bench.rows.row import Result, Row
from tests.bench.scenarios import Scenario

RECORDS = 1_000_000
GROUP = "kafka"
MEMORY = Scenario(name="memory", module="letters", is_from_memory=True, record_count=RECORDS)
INTERVALS_S = (0.1, 1.0)
"""Of checkpoints: the shortest that makes sense, and the default."""


class PairRow:
    """Two measurements of CPU, and one number of both."""

    group = GROUP

    def __init__(
        self,
        topics: Topics,
        *,
        name: str,
        unit: str,
        target: float,
        pair: Sequence[tuple[str, Callable[[str], Measured]]],
        value: Callable[[Measured, Measured], float],
    ) -> None:
        self.name = name
        self._topics = topics
        self._unit = unit
        self._target = target
        self._pair = pair
        self._value = value
        self._runs: list[list[Measured]] = []

    def measure(self, folder: Path) -> None:
        """Measure both; which one is first changes from round to round."""
        topic = input_topics(self._topics, folder, RECORDS)
        order = [0, 1] if len(self._runs) % 2 == 0 else [1, 0]
        found = {index: self._pair[index][1](topic) for index in order}
        self._runs.append([found[0], found[1]])

    def result(self) -> Result:
        """Return the number, and what both sides took."""
        sides = zip(self._pair, zip(*self._runs, strict=True), strict=True)
        return Result(
            name=self.name,
            group=self.group,
            unit=self._unit,
            values=[self._value(one, other) for one, other in self._runs],
            target=self._target,
            more={
                f"cpu_s_per_million_{side}": statistics.median(
                    run.cpu_s_per_million for run in runs
                )
                for (side, _), runs in sides
            },
        )


class LatencyRow:
    """The p50 of a cluster at 500 records a second, beside the client library alone."""

    group = GROUP

    def __init__(self, topics: Topics, name: str, target: float, options: Sequence[str]) -> None:
        self.name = name
        self._topics = topics
        self._target = target
        self._options = options
        self._runs: list[tuple[float, float]] = []

    def measure(self, folder: Path) -> None:
        """Measure both."""
        self._runs.append(
            (cluster_latency(self._topics, self._options), echo_latency(self._topics))
        )

    def result(self) -> Result:
        """Return the p50, and that of the client alone."""
        return Result(
            name=self.name,
            group=self.group,
            unit="ms, p50 from producer to consumer at 500 records / s",
            values=[ours for ours, _ in self._runs],
            target=self._target,
            more={"p50_ms_client_alone": statistics.median(echo for _, echo in self._runs)},
        )


def difference(one: Measured, other: Measured) -> float:
    """Return how many more CPU seconds per million records one took, at the speed of both."""
    speed = statistics.fmean([one.bare_cpu_s_per_million, other.bare_cpu_s_per_million])
    return (one.ratio - other.ratio) * speed


def over_loop_and_client(one: Measured, client: Measured) -> float:
    """Return how many times the bare loop and the client it took."""
    return one.ratio / (1.0 + client.ratio)


def all_rows(topics: Topics) -> list[Row]:
    """Return every row."""

    def from_memory(_: str) -> Measured:
        return run_cluster(MEMORY, SAMPLE)

    def to_topic(*options: str) -> Any:
        return lambda topic: run_to_topic(topics, topic, RECORDS, options=[*options])

    def to_tcp(workers: int, *options: str) -> Any:
        return lambda topic: run_to_tcp(topics, topic, RECORDS, workers=workers, options=[*options])

    def alone(topic: str) -> Measured:
        return run_client_alone(topics, topic, RECORDS)

    return [
        PairRow(
            topics,
            name="source to state, 1 worker",
            unit="CPU s / million more than from memory",
            target=1.0,
            pair=[("kafka", to_tcp(1)), ("memory", from_memory)],
            value=difference,
        ),
        PairRow(
            topics,
            name="by message key, 2 workers",
            unit="times the CPU of bare loop and client alone",
            target=1.3,
            pair=[("kafka", to_tcp(2, "by-key")), ("client", alone)],
            value=over_loop_and_client,
        ),
        PairRow(
            topics,
            name="exactly once",
            unit="CPU s / million more than at least once",
            target=0.5,
            pair=[("exactly_once", to_topic("exactly-once")), ("at_least_once", to_topic())],
            value=difference,
        ),
        *latency_rows(topics),
    ]


def latency_rows(topics: Topics) -> list[Row]:
    """Return the rows of latency."""
    rows: list[Row] = [LatencyRow(topics, "latency, at least once", 3.0, [])]
    for interval_s in INTERVALS_S:
        name = f"latency, exactly once each {interval_s:g} s"
        options = ["exactly-once", "--checkpoint-interval", str(interval_s)]
        rows.append(LatencyRow(topics, name, 1000 * interval_s / 2 + 50, options))
    return rows
