"""What a worker's application has started is found and ended, and nothing else."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from wallaroo_workers.leftovers import MARK, Leftovers, new_mark

# A worker: it starts a program in its own session, one that leaves it, one without the mark, and
# a forked copy of itself; then it waits to be killed.
WORKER = """
import os, subprocess, sys
started = [
    subprocess.Popen(["sleep", "1000"]).pid,
    subprocess.Popen(["sleep", "1000"], start_new_session=True).pid,
    subprocess.Popen(["sleep", "1000"], env={}, executable="/bin/sleep").pid,
]
pid = os.fork()
if pid == 0:
    os.execvp("sleep", ["sleep", "1000"])
print(*started, pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, MARK: new_mark()}) as process:
        yield process
        process.kill()


def test_all_that_a_killed_worker_has_started_is_ended(
    bystander: subprocess.Popen[bytes],
) -> None:
    mark = new_mark()
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: mark},
        start_new_session=True,
    ) as worker:
        assert worker.stdout is not None
        started = {int(pid) for pid in worker.stdout.readline().split()}
        watched = [os.pidfd_open(pid) for pid in started]
        worker.kill()
        worker.wait()
        assert len(started) == 4
        assert Leftovers(worker.pid, mark).end() == 4
        for descriptor in watched:
            # A process that is still ending would be found, and counted, once more.
            assert select.select([descriptor], [], [], 30)[0], "a process has not ended"
            os.close(descriptor)
    assert Leftovers(worker.pid, mark).end() == 0
    assert bystander.poll() is None


def test_a_copy_of_a_worker_ends_nobody() -> None:
    leftovers = Leftovers(os.getpid() + 1, "")
    leftovers.end_own()  # a process that is not the worker


def test_no_mark_is_nobodys_mark() -> None:
    assert Leftovers(0x7FFFFFFF, "").end() == 0
