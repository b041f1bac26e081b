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

FORKING = r"""
import multiprocessing
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor

import wallaroo

fork = multiprocessing.get_context("fork")
executor = None


def double(number):
    return 2 * number


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    return payload.decode()


@wallaroo.computation("work")
def work(record):
    global executor
    match record.split()[0]:
        case "pool":
            with fork.Pool(2) as pool:
                return pool.map(double, [1, 2])
        case "executor":
            executor = executor or ProcessPoolExecutor(2, mp_context=fork)
            doubled = [*executor.map(double, [1, 2])]
            return [os.getpid(), *executor._processes]
        case "programs":
            return [
                os.getpid(),
                subprocess.Popen(["sleep", "1000"]).pid,
                subprocess.Popen(["sleep", "1000"], start_new_session=True).pid,
            ]
        case "copy":
            pid = os.fork()
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else "twice"
    return record


@wallaroo.encoder
def encode(value):
    return f"{value}\n".encode()


def application_setup(args):
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("forking")
        .new_pipeline("records", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to(work)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )
"""

WORKERS = ("--workers", "2", "--in", "127.0.0.1:0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "forking.py").write_text(FORKING)
    return tmp_path


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


def test_children_break_no_worker_and_take_no_connections(folder: Path, receiver: Receiver) -> None:
    options = (*WORKERS, "--out", receiver.address, "--resilience-dir", "state")
    with running(folder, "forking", *options) as cluster:
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


def test_programs_end_with_their_worker(folder: Path, receiver: Receiver) -> None:
    with running(folder, "forking", *WORKERS, "--out", receiver.address) as cluster:
        cluster.wait_ready()
        worker, *programs = pids_of(cluster, receiver, "programs")
        os.kill(worker, signal.SIGKILL)
        line = cluster.wait_event("worker.leftovers_ended")
        assert line["process_count"] == 2
        assert all(map(is_gone, programs))
        cluster.wait_ready(epoch=2)
        _, *programs = pids_of(cluster, receiver, "programs again")
        assert cluster.stop() == 0
        assert all(map(is_gone, programs))


def test_nothing_is_left_when_the_initializer_is_killed(folder: Path, receiver: Receiver) -> None:
    cluster = Cluster(folder, "forking", *WORKERS, "--out", receiver.address)
    with ending(cluster):
        cluster.wait_ready()
        pids = [*pids_of(cluster, receiver, "programs"), *pids_of(cluster, receiver, "executor")]
        cluster.process.kill()
        wait_until("all are gone", lambda: all(map(is_gone, pids)))
