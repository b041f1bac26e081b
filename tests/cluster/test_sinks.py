"""Sinks that are late, go away, come back, or do not read: nothing queued for them is lost."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import (
    Cluster,
    Receiver,
    framed,
    is_gone,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster


@contextlib.contextmanager
def echo(folder: Path, sink_address: str, *options: str) -> Iterator[Cluster]:
    """An application that sends on what it gets."""
    with running(folder, "echo", "--in", "127.0.0.1:0", "--out", sink_address, *options) as cluster:
        yield cluster


def unused_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def numbered(first: int, last: int) -> list[bytes]:
    return [b"record %d" % number for number in range(first, last)]


def test_a_sink_that_is_not_there_is_waited_for_and_reported(tmp_path: Path) -> None:
    port = unused_port()
    with echo(tmp_path, f"127.0.0.1:{port}", "--workers", "2") as cluster:
        waiting = cluster.wait_event("sink.waiting", 2)
        assert waiting["address"] == f"127.0.0.1:{port}"
        assert waiting["level"] == "warning"
        assert "refused" in waiting["reason"]
        assert waiting["hint"]
        cluster.wait_event("worker.joined", 2)
        assert not cluster.ready_path.exists()
        receiver = Receiver(port)
        cluster.wait_ready()
        assert len(receiver.connections) == 2
        send_bytes(cluster.source_port(), framed(*numbered(0, 5)))
        wait_until("all records are there", lambda: receiver.line_count() == 5)
        assert cluster.stop() == 0
    receiver.close()


def test_an_interrupt_while_a_sink_is_waited_for_ends_the_run_at_once(tmp_path: Path) -> None:
    with echo(tmp_path, f"127.0.0.1:{unused_port()}", "--workers", "2") as cluster:
        cluster.wait_event("sink.waiting", 2)
        cluster.signal(signal.SIGINT)
        assert cluster.wait_end() == 0
        assert cluster.errors == []


def test_a_sink_that_stays_away_ends_the_run_after_the_time_given(tmp_path: Path) -> None:
    port = unused_port()
    with echo(tmp_path, f"127.0.0.1:{port}", "--sink-timeout", "1") as cluster:
        assert cluster.wait_end() == 1
        error, hint = cluster.errors
    assert error == f"Error: the sink at 127.0.0.1:{port} was not there for 1 s"
    assert hint.startswith("hint: start the receiver first")


def test_what_is_sent_while_a_sink_is_away_is_delivered_when_it_is_back(tmp_path: Path) -> None:
    receiver = Receiver()
    records = numbered(0, 12_000)
    before, meanwhile, behind = records[:4000], records[4000:8000], records[8000:]
    with echo(tmp_path, receiver.address, "--workers", "2") as cluster:
        cluster.wait_ready()
        send_in_parts(cluster, before)
        wait_until("the first records are there", lambda: receiver.line_count() == len(before))
        receiver.close()
        # Only now does the receiving system refuse what comes; until then it says it has it.
        receiver.wait_gone()
        send_in_parts(cluster, meanwhile)
        assert cluster.wait_event("sink.lost")["address"] == receiver.address
        assert cluster.wait_event("sink.waiting")["bytes_queued"] > 0
        back = Receiver(receiver.port)
        send_in_parts(cluster, behind)
        assert cluster.stop() == 0
        assert cluster.events("cluster.drained")[0]["record_count"] == len(records)
    back.finish()
    assert receiver.lines() == dict.fromkeys(before, 1)
    # What the first connection had, but was not yet known to have, may come again.
    assert back.lines().keys() >= set(meanwhile + behind)
    assert set(back.lines().values()) == {1}


def send_in_parts(cluster: Cluster, records: list[bytes]) -> None:
    """Send over several connections, so that every worker may have some."""
    for part in range(8):
        send_bytes(cluster.source_port(), framed(*records[part::8]))


def test_a_receiver_that_closes_its_sending_half_goes_on_receiving(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with echo(tmp_path, address) as cluster:
            connection, _ = listener.accept()
            connection.settimeout(30)
            connection.shutdown(socket.SHUT_WR)
            cluster.wait_ready()
            send_bytes(cluster.source_port(), framed(b"first"))
            with connection, connection.makefile("rb") as lines:
                assert lines.readline() == b"first\n"
                send_bytes(cluster.source_port(), framed(b"second"))
                assert lines.readline() == b"second\n"
                cluster.signal(signal.SIGINT)
                assert lines.read() == b""
            assert cluster.wait_end() == 0
            assert cluster.events("sink.lost") == []


def test_a_stalled_sink_holds_up_the_stop_until_it_is_asked_for_again(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.may_read.clear()
    records = [b"%d " % number + b"x" * 50_000 for number in range(60)]  # more than a socket takes
    with echo(tmp_path, receiver.address, "--workers", "2") as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(*records))
        pids = cluster.pids()
        cluster.signal(signal.SIGINT)
        flushing = cluster.wait_event("sink.flushing")
        assert flushing["address"] == receiver.address
        assert flushing["bytes_queued"] > 0
        cluster.signal(signal.SIGINT)
        assert cluster.wait_end() == 1
        assert cluster.errors == ["Error: stopped immediately; what was not yet delivered is lost"]
        assert all(is_gone(pid) for pid in pids)
    receiver.may_read.set()
    receiver.close()


def test_a_stop_waits_for_a_slow_sink_that_reads_in_the_end(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.may_read.clear()
    records = [b"%d " % number + b"x" * 50_000 for number in range(60)]
    with echo(tmp_path, receiver.address) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(*records))
        cluster.signal(signal.SIGINT)
        cluster.wait_event("cluster.draining")
        receiver.may_read.set()
        assert cluster.wait_end() == 0
    receiver.finish()
    assert receiver.lines() == dict.fromkeys(records, 1)
