"""The processes a measurement is made of: the public commands, and a cluster that is ready."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
APPLICATIONS = Path(__file__).with_name("applications")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
READY_POLL_S = 0.002

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is ready for records."""

    process: Process
    source: str
    """Where its source listens, as host:port."""
    control: str
    """Where it takes requests, as host:port."""
    worker_pids: list[int]
    ready_s: float
    """Seconds from starting the command to the ready file."""
    log: Path

    def check(self) -> None:
        """Raise, with the end of the cluster's log, when it ended by itself."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the cluster ended by itself:\n{_end_of(self.log)}")


@contextmanager
def running_cluster(
    module: str, workers: int, sink: str, arguments: Sequence[str] = ()
) -> Iterator[Cluster]:
    """Start ``wallaroo-run`` with a measured application; ready on entry, stopped on exit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ready, log = folder / "ready.json", folder / "log"
        command = [
            *("wallaroo-run", "--application-module", module, "--workers", str(workers)),
            *("--in", "127.0.0.1:0", "--out", sink, "--ready-file", str(ready)),
            *("--on-error", "stop", "--dead-letters", str(folder / "dead-letters"), *arguments),
        ]
        with log.open("wb") as stderr:
            started_s = time.monotonic()
            process = start_command(command, stderr=stderr.fileno())
        try:
            facts = _wait_ready(ready, process, log)
            ready_s = time.monotonic() - started_s
            source = next((each["address"] for each in facts["sources"]), "")
            pids = [one["pid"] for one in facts["workers"]]
            yield Cluster(process, source, facts["control"], pids, ready_s, log)
        except BaseException:
            process.kill()  # In order, it would wait until all is delivered that nobody reads.
            raise
        finally:
            end_process(process)


def start_command(
    command: list[str], *, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE
) -> Process:
    """Start one of the public commands in the folder of the measured applications."""
    path = str(COMMANDS / command[0])
    return subprocess.Popen([path, *command[1:]], cwd=APPLICATIONS, stdout=stdout, stderr=stderr)


def start_module(module: str, *arguments: str, stdin: int | None = None) -> Process:
    """Start a module of the benchmark as a process of its own; its stdout is a pipe."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE)


def end_process(process: Process) -> None:
    """Stop it in order, if it still runs."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=STOP_TIMEOUT_S)


def send_signal(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to those of the processes that have not ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, all its threads, in seconds; exact."""
    # The number that clock_getcpuclockid(3) gives, which Python lacks.
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM, shared pages included."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [line] = [line for line in rollup.splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) * 1024


def private_bytes(pid: int) -> int:
    """Memory in RAM that a process shares with no other."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = [line for line in rollup.splitlines() if line.startswith("Private_")]
    return sum(int(line.split()[1]) for line in lines) * 1024


def _wait_ready(path: Path, process: Process, log: Path) -> dict[str, Any]:
    """Return what the ready file says, once it is there; it is written whole or not at all."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"the cluster did not become ready:\n{_end_of(log)}")
        time.sleep(READY_POLL_S)
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-30:])
