"""Clusters of real processes whose TCP source takes lines, as ``nc`` and log shippers send them."""

import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import wait_checkpoints, worker_of
from tests.cluster.harness import (
    WAIT_S,
    Receiver,
    connect_and_reset,
    lines_of,
    running,
    send_bytes,
    wait_until,
)
from tests.cluster.test_resize import cluster_of

pytestmark = pytest.mark.cluster


def options(receiver: Receiver, *more: str) -> list[str]:
    return ["--in", "127.0.0.1:0", "--out", receiver.address, *more]


def test_lines_become_records_and_frames_are_refused_with_the_likely_cause(tmp_path: Path) -> None:
    receiver = Receiver()
    chosen = options(receiver, "--workers", "2", "--max-frame-bytes", "100")
    with running(tmp_path, "word_lines", *chosen) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), b"one\r\n\ntwo\none\nthe last has no end")
        connect_and_reset(cluster.source_port())
        send_bytes(cluster.source_port(), b"\x00\x00\x00\x05hello" * 20)
        assert 'framing="length"' in cluster.wait_event("source.rejected")["hint"]
        wait_until("all lines are there", lambda: receiver.line_count() == 5)
        assert cluster.stop() == 0
    assert lines_of(receiver.finish()) == Counter(
        [b"'one' 1", b"'' 1", b"'two' 1", b"'one' 2", b"'the last has no end' 1"]
    )


def test_half_a_line_goes_on_at_another_worker(tmp_path: Path) -> None:
    receiver = Receiver()
    with (
        cluster_of(tmp_path, *options(receiver, "--workers", "2"), module="word_lines") as cluster,
        socket.create_connection(("127.0.0.1", cluster.source_port()), WAIT_S) as sender,
    ):
        sender.sendall(b"whole\nha")
        wait_until("the whole line is there", lambda: receiver.line_count() == 1)
        leaver = worker_of(cluster, cluster.pid_of_connection(sender))
        cluster.resize([], [leaver])
        sender.sendall(b"lf\nlast")
        sender.shutdown(socket.SHUT_WR)
        wait_until("all lines are there", lambda: receiver.line_count() == 3)
        assert cluster.stop() == 0
    assert lines_of(receiver.finish()) == Counter([b"'whole' 1", b"'half' 1", b"'last' 1"])


def test_accepted_lines_count_once_whatever_is_killed(tmp_path: Path) -> None:
    receiver = Receiver()
    state = tmp_path / "state"
    chosen = options(receiver, "--workers", "2", "--resilience-dir", str(state))
    with running(tmp_path, "word_lines", *chosen) as cluster:
        cluster.wait_ready()
        port = cluster.source_port()
        send_bytes(port, b"a\n" * 500 + b"a")
        wait_until("they are there", lambda: b"'a' 501" in receiver.lines())
        wait_checkpoints(state)
        send_bytes(port, b"b\r\n" * 300 + b"b")
        wait_until("they are there", lambda: b"'b' 301" in receiver.lines())
        for process in [cluster.pid("w1"), cluster.pid("w2")]:
            os.kill(process, signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        send_bytes(port, b"a\nb\n")
        wait_until("they are there", lambda: b"'b' 302" in receiver.lines())
        wait_until("they are there", lambda: b"'a' 502" in receiver.lines())
        assert cluster.stop() == 0
    lines = lines_of(receiver.finish())
    assert b"'a' 503" not in lines
    assert b"'b' 303" not in lines


def test_senders_wait_for_free_files_and_none_is_lost(tmp_path: Path) -> None:
    receiver = Receiver()
    state = tmp_path / "state"
    chosen = options(receiver, "--workers", "2", "--resilience-dir", str(state))
    few_files = ("sh", "-c", 'ulimit -n 44; exec "$0" "$@"')
    with running(tmp_path, "word_lines", *chosen, before=few_files) as cluster:
        cluster.wait_ready()
        senders = []
        for number in range(60):
            sender = socket.create_connection(("127.0.0.1", cluster.source_port()), WAIT_S)
            sender.sendall(b"w%d\n" % number)
            senders.append(sender)
        full = cluster.wait_event("source.connection_limit_reached", 2)
        assert 0 < full["connections"] < 30
        # Those that are not accepted yet have sent all the same.
        assert cluster.stop() == 0
        for sender in senders:
            sender.close()
        assert not cluster.events("checkpoint.failed")
        assert not cluster.events("source.accept_failed")
    assert lines_of(receiver.finish()) == Counter(b"'w%d' 1" % number for number in range(60))
