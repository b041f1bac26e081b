"""What a run survives: poison records, unauthenticated peers, orphans, a crowd of senders."""

import contextlib
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import (
    WAIT_S,
    Cluster,
    Receiver,
    application_options,
    connect_and_reset,
    framed,
    free_port,
    free_ports,
    is_gone,
    listening_ports,
    memory_peak_mb,
    run_to_end,
    running,
    send_bytes,
    wait_processed,
    wait_until,
)

pytestmark = pytest.mark.cluster


@contextlib.contextmanager
def hardy(folder: Path, *options: str) -> Iterator[tuple[Cluster, Receiver]]:
    """The hardy application on two workers, ready, with a receiver."""
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "hardy", *addresses, "--workers", "2", *options) as cluster:
        cluster.wait_ready()
        yield cluster, receiver
    receiver.close()


def dead_letters(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The dead letters in the folder, by worker."""
    return {
        path.stem.removeprefix("hardy-"): [
            json.loads(line) for line in path.read_text().splitlines()
        ]
        for path in sorted((folder / "dead-letters").glob("*.jsonl"))
    }


def check_unharmed(cluster: Cluster) -> None:
    """No process was lost, none has found a bug of its own."""
    for event in ("worker.lost", "worker.crashed", "initializer.crashed"):
        assert cluster.events(event) == []
    assert cluster.errors == []


# Poison


@pytest.mark.parametrize(
    ("record", "step", "error"),
    [
        (b"lock", "exchange before ", "TypeError: cannot pickle '_thread.lock' object"),
        (b"surrogate", "work", r"ValueError: no such letter: \udcff"),
        (b"huge 1", "keep", "LookupError: too much to look up"),
    ],
    ids=["cannot be pickled", "lone surrogate", "huge key"],
)
def test_a_run_that_is_to_stop_on_error_names_the_step_whatever_the_record_is(
    tmp_path: Path, record: bytes, step: str, error: str
) -> None:
    with hardy(tmp_path, "--on-error", "stop") as (cluster, _receiver):
        # The records of a connection are dealt out: the second is the other worker's.
        send_bytes(cluster.source_port(), framed(b"good", record))
        assert cluster.wait_end() == 1
        assert cluster.events("worker.crashed") == cluster.events("worker.lost") == []
        told = cluster.errors[0]
    assert told.startswith(f"Error: step '{step}")
    assert "' of pipeline 'lines' failed" in told
    assert told.endswith(error)


def test_user_code_that_exits_behind_an_exchange_takes_no_other_record_along(
    tmp_path: Path,
) -> None:
    records = [b"%d" % number for number in range(400)]
    records[201] = b"leave"
    with hardy(tmp_path) as (cluster, receiver):
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as connection:
            own = cluster.pid_of_connection(connection)
            connection.sendall(framed(*records))
            wait_processed(connection)
        wait_until("all others are there", lambda: receiver.line_count() == 399)
        (other,) = (name for name in ("w1", "w2") if cluster.pid(name) != own)
        assert cluster.stop() == 0
        check_unharmed(cluster)
    assert receiver.lines() == Counter(set(records) - {b"leave"})
    letters = dead_letters(tmp_path)
    assert [*letters] == [other]
    (letter,) = letters[other]
    assert (letter["step"], letter["error"]) == ("work", "SystemExit: 7")


def test_keys_and_errors_that_python_cannot_write_are_dead_letters_like_any_other(
    tmp_path: Path,
) -> None:
    good = [b"%d" % number for number in range(100)]
    huge = [b"huge %d" % number for number in range(8)]
    with hardy(tmp_path) as (cluster, receiver):
        send_bytes(cluster.source_port(), framed(*good[:50], *huge, b"surrogate", *good[50:]))
        wait_until("all others are there", lambda: receiver.line_count() == len(good))
        assert cluster.stop() == 0
        check_unharmed(cluster)
        assert cluster.events("cluster.drained")[0]["failure_count"] == len(huge) + 1
    assert receiver.lines() == Counter(good)
    by_worker = dead_letters(tmp_path)
    letters = [letter for letters in by_worker.values() for letter in letters]
    errors = Counter((letter["step"], letter["error"]) for letter in letters)
    assert errors == {
        ("keep", "LookupError: too much to look up"): len(huge),
        ("work", r"ValueError: no such letter: \udcff"): 1,
    }
    # Each worker owns some of these keys, so some have crossed.
    assert [*by_worker] == ["w1", "w2"]
    assert all(isinstance(each["key"], str) for each in letters if each["step"] == "keep")


# Unauthenticated peers


def test_peers_that_reset_their_connections_at_once_cost_nothing(tmp_path: Path) -> None:
    with hardy(tmp_path) as (cluster, receiver):
        ports = {int(cluster.ready()["control"].rpartition(":")[2])}
        for worker in ("w1", "w2"):
            ports |= listening_ports(cluster.pid(worker)) - {cluster.source_port()}
        assert len(ports) == 3
        for port in ports:
            for _ in range(300):
                connect_and_reset(port)
        records = [b"%d" % number for number in range(100)]
        send_bytes(cluster.source_port(), framed(*records))
        wait_until("all records are there", lambda: receiver.line_count() == len(records))
        assert cluster.stop() == 0
        check_unharmed(cluster)
        refused = cluster.events("control.rejected") + cluster.events("link.rejected")
        assert {line["process"] for line in refused} == {"initializer", "w1", "w2"}
    assert receiver.lines() == Counter(records)


# A port for two


@pytest.mark.parametrize(
    ("first_host", "second_host"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")]
)
def test_a_port_on_all_addresses_and_on_one_is_not_for_two_runs_even_before_they_listen(
    tmp_path: Path, first_host: str, second_host: str
) -> None:
    port, sink_port = free_ports(2)
    out = ["--out", f"127.0.0.1:{sink_port}"]
    with running(tmp_path, "hardy", "--in", f"{first_host}:{port}", *out) as first:
        first.wait_event("sink.waiting")
        second_address = f"{second_host}:{port}"
        second = [*application_options("hardy"), "--in", second_address, *out]
        ended = run_to_end(tmp_path, *second)
        assert ended.returncode == 1
        error, hint = (line for line in ended.stderr.splitlines() if not line.startswith("{"))
        assert error.startswith(f"Error: a source cannot listen at {second_address}: the port is ")
        assert hint.startswith("hint: stop what listens there")
        assert not first.ready_path.exists()
        receiver = Receiver(sink_port)
        first.wait_ready()
        send_bytes(port, framed(b"good"))
        wait_until("the record is there", lambda: receiver.line_count() == 1)
        assert first.stop() == 0
        check_unharmed(first)
        receiver.close()


# Orphans


@pytest.mark.parametrize("record", [b"linger asleep", b"linger busily"], ids=["asleep", "busy"])
def test_no_worker_outlives_a_killed_initializer_even_in_a_function_that_never_ends(
    tmp_path: Path, record: bytes
) -> None:
    with hardy(tmp_path) as (cluster, _receiver):
        pids = cluster.pids()
        try:
            send_bytes(cluster.source_port(), framed(record))
            wait_until("the function is running", (tmp_path / "lingering").exists)
            cluster.signal(signal.SIGKILL)
            wait_until("all have ended", lambda: all(is_gone(pid) for pid in pids))
            assert cluster.wait_end() == -signal.SIGKILL
        finally:
            for pid in pids[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


# A ready file that cannot be written


def check_told_ready_file(status: int, stderr: list[str], log: list[dict[str, Any]]) -> None:
    """The option is named as a mistake of the user's, and nothing was tried again."""
    assert status == 2
    assert stderr[0].startswith("Error: --ready-file: ")
    assert stderr[1:] == ["hint: choose another path"]
    events = {line["event"] for line in log}
    assert not events & {
        "worker.lost",
        "worker.restarting",
        "worker.crashed",
        "initializer.crashed",
    }


def test_a_ready_file_that_the_system_refuses_ends_the_run_and_names_the_option(
    tmp_path: Path,
) -> None:
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    options = [*addresses, "--workers", "2", "--ready-file", "/proc/self/nothing"]
    ended = run_to_end(tmp_path, *application_options("hardy"), *options)
    receiver.close()
    lines = ended.stderr.splitlines()
    log = [json.loads(line) for line in lines if line.startswith("{")]
    said = [line for line in lines if not line.startswith("{")]
    check_told_ready_file(ended.returncode, said, log)


def test_a_ready_file_whose_folder_goes_away_during_the_start_ends_the_run_and_names_the_option(
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    sink_port = free_port()
    addresses = ["--in", "127.0.0.1:0", "--out", f"127.0.0.1:{sink_port}"]
    ready_file = ["--ready-file", str(place / "ready.json")]
    with running(tmp_path, "hardy", *addresses, "--workers", "2", *ready_file) as cluster:
        cluster.wait_event("sink.waiting")
        place.rmdir()
        place.write_text("a file in the folder's place")
        receiver = Receiver(sink_port)
        status = cluster.wait_end()
        receiver.close()
        check_told_ready_file(status, cluster.errors, cluster.log)


# A crowd

SENDER_COUNT = 500
RECORDS_EACH = 12_000
LONG_RECORDS = [b"%d" % number * (1 << 20) for number in range(10)] * 2
"""More than a worker queues for a sink and the kernels take in between."""
MEMORY_MB_MAX = 150
"""Far less than what the senders have at hand would take, cut into records."""


def test_five_hundred_senders_before_a_sink_that_stands_still_wait_in_their_own_memory(
    tmp_path: Path,
) -> None:
    receiver = Receiver(kernel_bytes_max=1 << 16)
    records = [b"%05d" % number for number in range(RECORDS_EACH)]
    with running(tmp_path, "echo", "--in", "127.0.0.1:0", "--out", receiver.address) as cluster:
        cluster.wait_ready()
        connections = connected_senders(cluster, receiver)
        receiver.may_read.clear()
        with ThreadPoolExecutor(SENDER_COUNT + 1) as senders:
            long = senders.submit(send_bytes, cluster.source_port(), framed(*LONG_RECORDS))
            sent = [senders.submit(each.sendall, framed(*records)) for each in connections]
            paused = cluster.wait_event("sources.paused")
            peak_mb = memory_peak_mb(cluster.pid("w1"))
            receiver.may_read.set()
            for each in (long, *sent):
                each.result()
        for connection in connections:
            connection.close()
        assert cluster.stop() == 0
        check_unharmed(cluster)
    receiver.finish()
    assert (paused["level"], paused["process"], paused["slow_workers"]) == ("warning", "w1", "w1")
    assert paused["for_s"] >= 5
    assert paused["sink_bytes"] > 0
    assert peak_mb < MEMORY_MB_MAX
    expected = Counter(dict.fromkeys([b"first", *records], SENDER_COUNT))
    assert receiver.lines() == expected + Counter(LONG_RECORDS)


def test_five_hundred_senders_that_come_while_a_sink_stands_still_wait_in_their_own_memory(
    tmp_path: Path,
) -> None:
    receiver = Receiver(kernel_bytes_max=1 << 16)
    receiver.may_read.clear()
    records = [b"%05d" % number for number in range(RECORDS_EACH)]
    with running(tmp_path, "echo", "--in", "127.0.0.1:0", "--out", receiver.address) as cluster:
        cluster.wait_ready()
        port = cluster.source_port()
        with ThreadPoolExecutor(SENDER_COUNT + 1) as senders:
            sent = [senders.submit(send_bytes, port, framed(*LONG_RECORDS))]
            cluster.wait_event("sources.paused")
            sent += [
                senders.submit(send_bytes, port, framed(*records)) for _ in range(SENDER_COUNT)
            ]
            cluster.wait_event("sources.paused", count=2)
            peak_mb = memory_peak_mb(cluster.pid("w1"))
            receiver.may_read.set()
            for each in sent:
                each.result()
        assert cluster.stop() == 0
        check_unharmed(cluster)
    receiver.finish()
    assert peak_mb < MEMORY_MB_MAX
    expected = Counter(dict.fromkeys(records, SENDER_COUNT))
    assert receiver.lines() == expected + Counter(LONG_RECORDS)


def connected_senders(cluster: Cluster, receiver: Receiver) -> list[socket.socket]:
    """Connections that the worker has accepted: a record of each has arrived."""
    where = ("127.0.0.1", cluster.source_port())
    connections = [socket.create_connection(where, WAIT_S) for _ in range(SENDER_COUNT)]
    for connection in connections:
        connection.sendall(framed(b"first"))
    wait_until("all are connected", lambda: receiver.line_count() == SENDER_COUNT)
    return connections
