"""One measured run of a cluster, through the public commands, over real sockets."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Cluster, Process, end_process, running_cluster, start_command
from tests.bench.scenarios import Sample, Scenario

RUN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run cost; sender and receiver are not counted."""

    cpu_s: float
    elapsed_s: float
    """Of a cluster: from the first byte at the receiver to the last; of a bare loop: CPU time."""
    record_count: int

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of all processes of the cluster for each million records."""
        return self.cpu_s * 1e6 / self.record_count

    @property
    def records_per_s(self) -> float:
        """Throughput."""
        return self.record_count / self.elapsed_s


@dataclass(frozen=True, slots=True)
class Receiver:
    """A ``wallaroo-receiver`` that ends when all lines have come."""

    process: Process
    address: str

    def wait(self, cluster: Cluster) -> float:
        """Wait for all lines; return the seconds from the first to the last."""
        deadline_s = time.monotonic() + RUN_TIMEOUT_S
        while True:
            try:
                printed, problems = self.process.communicate(timeout=1.0)
                break
            except subprocess.TimeoutExpired:
                cluster.check()
                assert time.monotonic() < deadline_s, "records are missing"
        assert self.process.returncode == 0, problems.decode()
        return float(json.loads(printed)["seconds"])


def run_cluster(scenario: Scenario, sample: Sample) -> Measured:
    """Start a cluster, send all records, wait for as many lines, stop it."""
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(scenario.record_count))
        arguments = list(scenario.arguments)
        if scenario.is_durable:
            state = stack.enter_context(tempfile.TemporaryDirectory())
            arguments += ["--resilience-dir", state]
        cluster = stack.enter_context(
            running_cluster(scenario.module, scenario.workers, receiver.address, arguments)
        )
        cpu_before_s = cluster.cpu_s()
        elapsed_s = feed(cluster, receiver, scenario, sample)
        return Measured(cluster.cpu_s() - cpu_before_s, elapsed_s, scenario.record_count)


@contextmanager
def receiving(line_count: int) -> Iterator[Receiver]:
    """Start a receiver that counts lines and ends with the last one expected."""
    process = start_command(
        ["wallaroo-receiver", "--listen", "127.0.0.1:0", "--no-write", "--json",
         "--expect", str(line_count)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        yield Receiver(process, process.stderr.readline().decode().split()[-1])
    finally:
        end_process(process)


def feed(cluster: Cluster, receiver: Receiver, scenario: Scenario, sample: Sample) -> float:
    """Send all records and wait until they have come out; return the seconds that took."""
    count = scenario.record_count // scenario.connections
    with ExitStack() as stack:
        for _ in range(scenario.connections):
            sender = start_command(
                ["wallaroo-sender", "--host", cluster.source, "--file", str(sample.path),
                 "--binary", "--msg-size", str(sample.frame_bytes), "--repeat",
                 "--messages", str(count)])  # fmt: skip
            stack.callback(end_process, sender)
        return receiver.wait(cluster)


def run_bare_loop(scenario: Scenario, sample: Sample) -> Measured:
    """Measure the bare loop over the same records."""
    script = Path(__file__).with_name("bare_loop.py")
    count = scenario.record_count
    printed = subprocess.run(
        [sys.executable, str(script), scenario.module, str(sample.path), str(sample.frame_bytes),
         str(count), *scenario.arguments],
        capture_output=True, check=True, timeout=RUN_TIMEOUT_S,
    ).stdout  # fmt: skip
    return Measured(float(printed), float(printed), count)
