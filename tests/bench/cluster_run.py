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

COMMANDS = Path(sys.executable).parent
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


def run_cluster(
    example: Path, sample: Path, workers: int, record_count: int, sender_options: list[str]
) -> Measured:
    """Start a cluster, send ``record_count`` records, wait for as many lines, stop it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = _start(["wallaroo-receiver", "--listen", "127.0.0.1:0", "--no-write",
                           "--expect", str(record_count)], example)  # fmt: skip
        stack.callback(_end, receiver)
        assert receiver.stderr is not None
        listening = receiver.stderr.readline().decode()
        address = listening.split()[-1]
        ready = folder / "ready.json"
        cluster = _start(
            ["wallaroo-run", "--application-module", example.name, "--in", "127.0.0.1:0",
             "--out", address, "--workers", str(workers), "--ready-file", str(ready),
             "--dead-letters", str(folder / "dead-letters")], example)  # fmt: skip
        stack.callback(_end, cluster)
        facts = _wait_ready(ready, cluster)
        pids = [cluster.pid, *(worker["pid"] for worker in facts["workers"])]
        cpu_before, started = sum(map(_cpu_s, pids)), time.monotonic()
        sender = _start(
            ["wallaroo-sender", "--host", facts["sources"][0]["address"], "--file", str(sample),
             "--repeat", "--messages", str(record_count), *sender_options], example)  # fmt: skip
        stack.callback(_end, sender)
        assert receiver.wait(RUN_TIMEOUT_S) == 0, "records are missing"
        elapsed_s = time.monotonic() - started
        cpu_s = sum(map(_cpu_s, pids)) - cpu_before
        return Measured(cpu_s, elapsed_s, record_count)


def run_bare_loop(sample: Path, record_count: int) -> Measured:
    """Measure the bare loop over the same records."""
    script = Path(__file__).with_name("bare_loop.py")
    started = time.monotonic()
    printed = subprocess.run(
        [sys.executable, str(script), str(sample), str(record_count)],
        capture_output=True, check=True, timeout=RUN_TIMEOUT_S,
    ).stdout  # fmt: skip
    return Measured(float(printed), time.monotonic() - started, record_count)


def _start(command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(COMMANDS / command[0]), *command[1:]],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_TIMEOUT_S)


def _wait_ready(path: Path, cluster: "subprocess.Popen[bytes]") -> dict:  # type: ignore[type-arg]
    deadline = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        assert cluster.poll() is None, "the cluster ended at start"
        assert time.monotonic() < deadline, "the cluster did not become ready"
        time.sleep(0.02)
    facts: dict[str, object] = json.loads(path.read_text())
    return facts


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
