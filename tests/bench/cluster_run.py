"""One measured run of a cluster, through the public commands, over real sockets."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Cluster, end_process, running_cluster, start_command
from tests.bench.receiver import Receiver
from tests.bench.scenarios import Sample, Scenario
from tests.bench.speed import NOTHING, Used, bare_loops, bind, used_between


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run cost; sender and receiver are not counted."""

    used: Used
    elapsed_s: float
    """From the first byte at the receiver to the last."""
    record_count: int

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of all processes for each million records."""
        return self.used.cpu_s * 1e6 / self.record_count

    @property
    def bare_cpu_s_per_million(self) -> float:
        """CPU seconds of the bare loop for each million records, on the same CPUs meanwhile."""
        return self.used.cpu_s * 1e6 / self.used.bare_records

    @property
    def ratio(self) -> float:
        """How many times the CPU of the bare loop it took."""
        return self.used.bare_records / self.record_count

    @property
    def records_per_s(self) -> float:
        """Throughput."""
        return self.record_count / self.elapsed_s


def run_cluster(scenario: Scenario, sample: Sample) -> Measured:
    """Start a cluster, make its states, send all records, wait for as many lines, stop it."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        # The page is loaded a while after the start, so that would be counted.
        arguments = [*scenario.arguments, "--no-dashboard"]
        go = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "go"
        if scenario.is_from_memory:
            arguments += ["from-memory", str(scenario.record_count), str(go)]
        if scenario.is_durable:
            state = stack.enter_context(tempfile.TemporaryDirectory())
            arguments += ["--resilience-dir", state]
        cluster = stack.enter_context(
            running_cluster(scenario.module, scenario.workers, receiver.address, arguments)
        )
        beside = stack.enter_context(bare_loops(scenario, sample, bind(cluster)))
        fill(cluster, receiver, scenario, sample)
        beside.begin()
        go.touch()
        if scenario.is_from_memory:
            elapsed_s = receiver.wait(scenario.line_count(sample), cluster.check)
        else:
            elapsed_s = feed(cluster, receiver, scenario, sample)
        used = sum(map(used_between, beside.end()), NOTHING)
        return Measured(used, elapsed_s, scenario.record_count)


def fill(cluster: Cluster, receiver: Receiver, scenario: Scenario, sample: Sample) -> None:
    """Have the cluster make a state for each key, where they are many."""
    if sample.fill is not None:
        count = scenario.key_count
        send(cluster, receiver, sample.fill, sample.frame_bytes, count, count, 1)


def feed(cluster: Cluster, receiver: Receiver, scenario: Scenario, sample: Sample) -> float:
    """Send all records and wait until they have come out; return the seconds that took."""
    return send(
        cluster,
        receiver,
        sample.path,
        sample.frame_bytes,
        scenario.record_count,
        scenario.line_count(sample),
        scenario.connections,
    )


def send(
    cluster: Cluster,
    receiver: Receiver,
    path: Path,
    frame_bytes: int,
    record_count: int,
    line_count: int,
    connections: int,
) -> float:
    """Send records of a file, and wait for so many lines; return the seconds between the first line
    and the last."""
    with ExitStack() as stack:
        for _ in range(connections):
            sender = start_command(
                ["wallaroo-sender", "--host", cluster.source, "--file", str(path),
                 "--binary", "--msg-size", str(frame_bytes), "--repeat",
                 "--messages", str(record_count // connections)])  # fmt: skip
            stack.callback(end_process, sender)
            if not line_count:
                sender.wait()
        return receiver.wait(line_count, cluster.check)
