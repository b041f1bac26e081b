"""Runs a command so that all processes below it can be counted and none is left: CPUS COMMAND...

All of them are bound to these CPUs, given as numbers with commas.

This process is a subreaper: processes that daemonise or outlive their parent are handed to it, so
they stay within its subtree. What is still there a moment after the command has ended is killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.process_tree import process_ticks

ROOT_VARIABLE = "PEER_ROOT"
"""In the environment: the process id below which everything belongs to the peer."""
REPORT_VARIABLE = "PEER_REPORT"
"""In the environment: the file in which sinks say how many records came out, and when."""

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 3.0
POLL_S = 0.02
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run, wait for everything, and end with the command's status."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    os.sched_setaffinity(0, set(map(int, sys.argv[1].split(","))))
    environment = {**os.environ, ROOT_VARIABLE: str(os.getpid())}
    status = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL, env=environment)
    _reap(GRACE_S)
    sys.exit(status)


def used_cpu_s(root: int) -> float:
    """Return user and system time of all processes below this one, ended ones included.

    Processes are counted while they live, since the times of those whose parent ignores their end
    (as Ray's raylet does) go nowhere; others that have ended are counted with their parent.
    """
    return sum(process_ticks(root).values()) / TICKS_PER_S


def _reap(grace_s: float) -> None:
    deadline_s = time.monotonic() + grace_s
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            if time.monotonic() > deadline_s:
                _kill_children()
            time.sleep(POLL_S)


def _kill_children() -> None:
    """Kill the processes just below; theirs are handed to this one next."""
    own = os.getpid()
    for child in Path(f"/proc/{own}/task/{own}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def _stop(number: int, frame: object) -> None:
    _reap(0.0)
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
