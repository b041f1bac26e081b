"""One measured run of a cluster, through the public commands, over real sockets."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.scenarios import Sample, Scenario

COMMANDS = Path(sys.executable).parent
APPLICATIONS = Path(__file__).with_name("applications")
START_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 300.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run cost; sender and receiver are not counted."""

    cpu_s: float
    elapsed_s: float
    record_count: int

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of all processes of the cluster for each million records."""
        return self.cpu_s * 1e6 / self.record_count


def run_cluster(scenario: Scenario, sample: Sample) -> Measured:
    """Start a cluster, send all records, wait for as many lines, stop it."""
    count = scenario.record_count
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = start_command(["wallaroo-receiver", "--listen", "127.0.0.1:0", "--no-write",
                           "--expect", str(count)])  # fmt: skip
        stack.callback(end_process, receiver)
        assert receiver.stderr is not None
        address = receiver.stderr.readline().decode().split()[-1]
        ready = folder / "ready.json"
        cluster = start_command(
            ["wallaroo-run", "--application-module", scenario.module, "--in", "127.0.0.1:0",
             "--out", address, "--workers", str(scenario.workers), "--ready-file", str(ready),
             "--dead-letters", str(folder / "dead-letters"), *scenario.arguments])  # fmt: skip
        stack.callback(end_process, cluster)
        facts = wait_ready(ready, cluster)
        pids = [cluster.pid, *(worker["pid"] for worker in facts["workers"])]
        cpu_before, started = sum(map(_cpu_s, pids)), time.monotonic()
        for _ in range(scenario.connections):
            sender = start_command(
                ["wallaroo-sender", "--host", facts["sources"][0]["address"],
                 "--file", str(sample.path), "--binary", "--msg-size", str(sample.frame_bytes),
                 "--repeat", "--messages", str(count // scenario.connections)])  # fmt: skip
            stack.callback(end_process, sender)
        assert receiver.wait(RUN_TIMEOUT_S) == 0, "records are missing"
        elapsed_s = time.monotonic() - started
        cpu_s = sum(map(_cpu_s, pids)) - cpu_before
        return Measured(cpu_s, elapsed_s, count)


def run_bare_loop(scenario: Scenario, sample: Sample) -> Measured:
    """Measure the bare loop over the same records."""
    script = Path(__file__).with_name("bare_loop.py")
    count = scenario.record_count
    started = time.monotonic()
    printed = subprocess.run(
        [sys.executable, str(script), scenario.module, str(sample.path), str(sample.frame_bytes),
         str(count), *scenario.arguments],
        capture_output=True, check=True, timeout=RUN_TIMEOUT_S,
    ).stdout  # fmt: skip
    return Measured(float(printed), time.monotonic() - started, count)


def start_command(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start one of the public commands in the folder of the measured applications."""
    return subprocess.Popen(
        [str(COMMANDS / command[0]), *command[1:]],
        cwd=APPLICATIONS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """Stop it in order, if it still runs."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_TIMEOUT_S)


def wait_ready(path: Path, cluster: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Return what the ready file says, once it is there."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        assert cluster.poll() is None, "the cluster ended at start"
        assert time.monotonic() < deadline, "the cluster did not become ready"
        time.sleep(0.02)
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
