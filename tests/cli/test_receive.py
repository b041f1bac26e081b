import json
import os
import signal
from pathlib import Path
from struct import pack

import pytest

from tests.cli.loopback import WAIT_S, RunningReceiver, run, start


def frames(*payloads: bytes) -> bytes:
    return b"".join(pack(">I", len(payload)) + payload for payload in payloads)


def read_until(receiver: RunningReceiver, wanted: bytes) -> bytes:
    """Read what the receiver writes until it ends with ``wanted``."""
    assert receiver.process.stdout is not None
    read = b""
    while not read.endswith(wanted):
        read += os.read(receiver.process.stdout.fileno(), 65536)
    return read


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_all_that_arrived_and_ends_with_status_0(number: int) -> None:
    with RunningReceiver() as receiver, receiver.connect() as connection:
        connection.sendall(b"one\ntwo")
        assert read_until(receiver, b"one\n") == b"one\n"
        connection.sendall(b" and a half")
        status, out, err = receiver.finish(number)
    assert (status, out) == (0, b"two and a half")
    assert err == "received 1 messages, 18 bytes over 1 connection\n"


def test_lines_of_several_connections_do_not_mix() -> None:
    with RunningReceiver("--expect", "4") as receiver:
        with receiver.connect() as first, receiver.connect() as second:
            first.sendall(b"a\nfirst half, ")
            assert read_until(receiver, b"\n") == b"a\n"
            second.sendall(b"b\nlast")
            assert read_until(receiver, b"\n") == b"b\n"
            first.sendall(b"second half\n")
            assert read_until(receiver, b"\n") == b"first half, second half\n"
        status, out, _ = receiver.finish(signal.SIGTERM)
    assert out == b"last"
    assert status == 1, "three of four lines came"


def test_raw_output_does_not_wait_for_newlines() -> None:
    with RunningReceiver("--raw") as receiver, receiver.connect() as connection:
        connection.sendall(b"no end")
        assert read_until(receiver, b"no end")
        assert receiver.finish(signal.SIGINT)[0] == 0


def test_framed_payloads_become_lines_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "results.txt"
    arguments = ("--framed", "--expect", "3", "--output", str(path), "--json")
    with RunningReceiver(*arguments) as receiver:
        for payloads in [(b"a", b"b"), (b"c",)]:
            with receiver.connect() as connection:
                connection.sendall(frames(*payloads))
        status, out, _ = receiver.finish()
    assert status == 0
    assert sorted(path.read_bytes().splitlines()) == [b"a", b"b", b"c"]
    totals = json.loads(out)
    assert (totals["messages"], totals["bytes"], totals["connections"]) == (3, 15, 2)


def test_expect_counts_over_all_connections_and_without_writing() -> None:
    with RunningReceiver("--expect", "200_000", "--no-write", "--framed") as receiver:
        address = f"127.0.0.1:{receiver.port}"
        for _ in range(2):
            assert run("wallaroo-sender", "-h", address, "-m", "100_000").returncode == 0
        status, out, err = receiver.finish()
    assert (status, out) == (0, b"")
    assert err.startswith("received 200,000 messages")


def test_what_is_expected_and_does_not_come_in_time_ends_with_status_1() -> None:
    with RunningReceiver("--expect", "2", "--timeout", "0.1") as receiver:
        status, _, err = receiver.finish()
    assert status == 1
    assert "Error: 2 messages were expected, 0 arrived within 0.1 s" in err


def test_a_bad_frame_ends_its_connection_only_but_is_remembered() -> None:
    arguments = ("--framed", "--expect", "2", "--max-frame-bytes", "100")
    with RunningReceiver(*arguments) as receiver:
        with receiver.connect() as bad:
            bad.settimeout(WAIT_S)
            bad.sendall(frames(b"good") + pack(">I", 101))
            assert bad.recv(1) == b"", "the receiver closes the connection"
            peer = f"127.0.0.1:{bad.getsockname()[1]}"
        with receiver.connect() as good:
            good.sendall(frames(b"better"))
        status, out, err = receiver.finish()
    assert (status, out) == (1, b"good\nbetter\n")
    assert f"error: connection from {peer} closed: " in err
    assert "101" in err


def test_a_frame_that_is_cut_off_is_reported() -> None:
    with RunningReceiver("--framed", "--expect", "1") as receiver:
        with receiver.connect() as connection:
            connection.sendall(frames(b"abc")[:5])
            peer = connection.getsockname()[1]
        assert receiver.process.stderr is not None
        line = receiver.process.stderr.readline().decode()
        assert f"127.0.0.1:{peer} ended with 5 bytes of an unfinished frame" in line
        with receiver.connect() as connection:
            connection.sendall(frames(b"abc"))
        assert receiver.finish()[0] == 0


def test_a_reader_that_goes_away_ends_the_receiver_quietly() -> None:
    with RunningReceiver() as receiver, receiver.connect() as connection:
        connection.sendall(b"first\n")
        assert read_until(receiver, b"\n")
        assert receiver.process.stdout is not None
        receiver.process.stdout.close()
        connection.sendall(b"second\n")
        receiver.process.stdout = None
        status, _, err = receiver.finish()
    assert (status, err) == (0, "")


def test_a_port_in_use_ends_with_status_1_and_a_hint() -> None:
    with RunningReceiver() as receiver:
        result = run("wallaroo-receiver", "-l", f"127.0.0.1:{receiver.port}")
    assert result.returncode == 1
    assert "Address already in use\nhint: another program listens there" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing option '-l' / '--listen'"),
        (["-l", "here"], "Error: --listen 'here' is not an address"),
        (["-l", "127.0.0.1:0", "--json"], "--json needs --no-write or --output"),
        (["-l", "127.0.0.1:0", "--framed", "--raw"], "cannot be used together"),
        (["-l", "127.0.0.1:0", "--timeout", "1"], "--timeout goes with --expect"),
        (["-l", "127.0.0.1:0", "-o", "/no/such/file"], "cannot write --output"),
    ],
)
def test_wrong_options_end_with_status_2_and_no_traceback(
    arguments: list[str], complaint: str
) -> None:
    result = run("wallaroo-receiver", *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_slow_reader_slows_the_sender_down_and_loses_nothing() -> None:
    with RunningReceiver("--framed", "--expect", "300_000") as receiver:
        sender = start("wallaroo-sender", "-h", f"127.0.0.1:{receiver.port}", "-m", "300_000")
        status, out, _ = receiver.finish()
        sender.communicate(timeout=WAIT_S)
    assert status == 0
    assert out.split() == [b"%d" % number for number in range(1, 300_001)]


def test_many_connections_at_once_are_no_matter() -> None:
    with RunningReceiver("--expect", "300", "--no-write") as receiver:
        connections = [receiver.connect() for _ in range(300)]
        for connection in connections:
            connection.sendall(b"line\n")
        status, _, err = receiver.finish()
        for connection in connections:
            connection.close()
    assert status == 0
    assert err == "received 300 messages, 1.5 kB over 300 connections\n"
