"""Applications that start processes: these break no worker, and end with their own."""

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import (
    Cluster,
    Receiver,
    ending,
    framed,
    is_gone,
    open_names,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster


WORKERS = ("--workers", "2", "--in", "127.0.0.1:0")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def result_of(cluster: Cluster, receiver: Receiver, record: str) -> object:
    """Send a record; return the result that comes next."""
    before = receiver.lines()
    send_bytes(cluster.source_port(), framed(record.encode()))
    wait_until(f"the result of {record}", lambda: receiver.lines() != before)
    (line,) = receiver.lines() - before
    return ast.literal_eval(line.decode())


def pids_of(cluster: Cluster, receiver: Receiver, record: str) -> list[int]:
    found = result_of(cluster, receiver, record)
    assert isinstance(found, list)
    return found


def has_only_null(pid: int) -> bool:
    return {name for name in open_names(pid) if name.startswith(("socket", "/"))} <= {"/dev/null"}


def test_children_break_no_worker_and_take_no_connections(
    tmp_path: Path, receiver: Receiver
) -> None:
    options = (*WORKERS, "--out", receiver.address, "--resilience-dir", "state")
    with running(tmp_path, "forking", *options) as cluster:
        cluster.wait_ready()
        # The SIGTERM by which a pool ends its processes is theirs alone.
        assert result_of(cluster, receiver, "pool") == [2, 4]
        worker, *children = pids_of(cluster, receiver, "executor")
        # One child may have done both tasks before the other had its first instruction.
        wait_until("nothing is the worker's", lambda: all(map(has_only_null, children)))
        os.kill(worker, signal.SIGKILL)
        wait_until("its children are gone", lambda: all(map(is_gone, children)))
        cluster.wait_ready(epoch=2)
        # All connections are accepted by somebody who takes their records.
        greetings = {b"hello %d" % number for number in range(20)}
        for greeting in greetings:
            send_bytes(cluster.source_port(), framed(greeting))
        wait_until("all have come", lambda: greetings <= set(receiver.lines()))
        send_bytes(cluster.source_port(), framed(b"copy"))
        wait_until("the child has ended with status 1", lambda: b"1" in receiver.lines())
        assert b"twice" not in receiver.lines()
        assert cluster.wait_event("fork.returned")["process"] in ("w1", "w2")
        assert cluster.events("cluster.draining") == []
        assert len(cluster.events("worker.lost")) == 1
        assert cluster.stop() == 0


def test_programs_end_with_their_worker(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path, "forking", *WORKERS, "--out", receiver.address) as cluster:
        cluster.wait_ready()
        worker, *programs = pids_of(cluster, receiver, "programs")
        os.kill(worker, signal.SIGKILL)
        line = cluster.wait_event("worker.child_processes_ended")
        assert line["process_count"] == 2
        assert all(map(is_gone, programs))
        cluster.wait_ready(epoch=2)
        _, *programs = pids_of(cluster, receiver, "programs again")
        assert cluster.stop() == 0
        assert all(map(is_gone, programs))


def test_nothing_is_left_when_the_initializer_is_killed(tmp_path: Path, receiver: Receiver) -> None:
    cluster = Cluster(tmp_path, "forking", *WORKERS, "--out", receiver.address)
    with ending(cluster):
        cluster.wait_ready()
        pids = [*pids_of(cluster, receiver, "programs"), *pids_of(cluster, receiver, "executor")]
        cluster.process.kill()
        wait_until("all are gone", lambda: all(map(is_gone, pids)))
