import json
import os
import pty
import re
import select
import signal
import subprocess
from pathlib import Path
from struct import pack

import pytest

from tests.cli.loopback import COMMANDS, WAIT_S, Sink, run, start, unused_address
from wallaroo_cli.tools.blocks import FramedBlock


def test_integers_reach_the_receiver_and_are_summed_up_on_stderr() -> None:
    with Sink() as sink:
        result = run("wallaroo-sender", "-h", sink.address, "-m", "1_000")
    assert bytes(sink.received[0]) == FramedBlock([b"%d" % n for n in range(1, 1001)]).wire()
    assert result.returncode == 0
    assert result.stdout == ""
    assert result.stderr.startswith("sent 1,000 messages, 6.9 kB in ")


def test_json_is_all_that_is_on_stdout() -> None:
    with Sink() as sink:
        result = run("wallaroo-sender", "-h", sink.address, "-m", "10", "--json")
    totals = json.loads(result.stdout)
    assert (totals["messages"], totals["bytes"]) == (10, 51)
    assert set(totals) == {"messages", "bytes", "seconds", "messages_per_second"}
    assert result.stderr == ""


def test_an_old_command_line_still_works(tmp_path: Path) -> None:
    votes = tmp_path / "votes.msg"
    votes.write_bytes(b"".join(pack(">I1sI", 5, b"a", number) for number in range(10)))
    with Sink() as sink:
        result = run(
            "wallaroo-sender", "--host", sink.address, "--file", str(votes), "--batch-size", "5",
            "--interval", "1_000_000", "--messages", "25", "--binary", "--msg-size", "9",
            "--repeat", "--no-write",
        )  # fmt: skip
    assert result.returncode == 0
    assert sink.received[0] == (votes.read_bytes() * 3)[: 25 * 9]


def test_hosts_and_files_are_lists_with_commas_or_repeated(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(f"{name}\n")
    files = f"{tmp_path / 'a'},{tmp_path / 'b'}"
    with Sink() as one, Sink() as two, Sink() as three:
        hosts = ("-h", f"{one.address},{two.address}", "-h", three.address)
        run("wallaroo-sender", *hosts, "-f", files, "-f", str(tmp_path / "c"))
    received = [bytes(sink.received[0]) for sink in (one, two, three)]
    assert received == [b"\0\0\0\1a", b"\0\0\0\1b", b"\0\0\0\1c"]


def test_a_receiver_that_closes_ends_the_sender_with_status_1() -> None:
    with Sink(read_count=50_000) as sink:
        result = run("wallaroo-sender", "-h", sink.address, "-m", "1_000_000_000")
    assert result.returncode == 1
    assert f"Error: {sink.address} closed the connection" in result.stderr
    assert "messages were handed to its socket\nhint: " in result.stderr


def test_nobody_listening_ends_the_sender_with_status_1() -> None:
    address = unused_address()
    result = run("wallaroo-sender", "-h", address, "-m", "1", "--connect-timeout", "0.1")
    assert result.returncode == 1
    assert f"Error: cannot connect to {address} within 0.1 s" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing option '-h' / '--host'"),
        (["-h", "localhost"], "Error: --host 'localhost' is not an address"),
        (["-h", "a:1"], "Error: --messages is missing"),
        (["-h", "a:1", "-m", "1", "-i", "soon"], "Error: --interval 'soon' is not a duration"),
        (["-h", "a:1", "-m", "0"], "Invalid value for '-m'"),
        (["-h", ",", "-m", "1"], "Error: --host names no receiver"),
        (["-h", "a:1", "-m", "1", "-f", ""], "Error: --file '' is not a readable file"),
        (["-h", "a:1", "-f", "/no/file"], "Error: --file '/no/file' is not a readable file"),
    ],
)
def test_wrong_options_end_with_status_2_and_no_traceback(
    arguments: list[str], complaint: str
) -> None:
    result = run("wallaroo-sender", *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_sums_up_and_ends_with_status_130() -> None:
    with Sink() as sink:
        sender = start("wallaroo-sender", "-h", sink.address, "-m", "1_000_000", "--rate", "1000")
        sink.wait_for(500)
        sender.send_signal(signal.SIGINT)
        _, err = sender.communicate(timeout=WAIT_S)
    assert sender.returncode == 130, err.decode()
    assert re.fullmatch(r"sent \d+ messages, .*\n", err.decode())


def test_a_terminal_sees_how_far_it_is_and_then_the_sum() -> None:
    ours, terminal = pty.openpty()
    with Sink() as sink:
        command = [str(COMMANDS / "wallaroo-sender"), "-h", sink.address, "-m", "5"]
        subprocess.run(command, stderr=terminal, timeout=WAIT_S, check=True)
    seen = ""
    # A terminal passes on what was written in pieces, and not always before the writer ends.
    while "sent 5 messages" not in seen and select.select([ours], [], [], WAIT_S)[0]:
        seen += os.read(ours, 65536).decode()
    os.close(terminal)
    os.close(ours)
    assert "5 messages  25 bytes" in seen
    assert "sent 5 messages, 25 bytes in" in seen


def test_help_explains_itself_with_examples() -> None:
    result = run("wallaroo-sender", "--help")
    assert result.returncode == 0
    assert "Examples:" in result.stdout
