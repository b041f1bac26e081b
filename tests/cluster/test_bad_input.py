"""Bad bytes and failing user code: one record is lost to the dead letters, and nothing else."""

import base64
import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import (
    APPLICATIONS,
    Cluster,
    Receiver,
    application_options,
    framed,
    run_to_end,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster

FUSSY = APPLICATIONS / "fussy.py"


KEYS = [f"key{number}" for number in range(8)]
GOOD = [f"{key} {number}" for number in range(50) for key in KEYS]


@dataclass(frozen=True)
class Bad:
    """A payload that a step cannot take, and what the dead letter says of it."""

    payload: bytes
    step: str
    error: str
    key: str | None = None
    function: str = ""
    """The user's function that raised; empty where it returned what it must not."""


BAD = [
    Bad(b"undecodable \x00\xff", "decoder", "ValueError: no such letter", function="decode"),
    Bad(b"\xff\xfe", "decoder", "UnicodeDecodeError: 'utf-8' codec can't", function="decode"),
    Bad(b"keyless 1", "key_of", "LookupError: no key", function="key_of"),
    Bad(b"float 2", "key_of", "TypeError: "),
    Bad(b"key1 explode", "count", "ArithmeticError: cannot count", "key1", "count"),
    Bad(b"key2 no pair", "count", "TypeError: a state computation must return a pair", "key2"),
    Bad(b"key3 unwritable", "encoder", "TypeError: not to be written", "key3", "encode"),
]
BAD_STEPS = [
    Bad(b"untrimmable", "trim", "OverflowError: too long", function="trim"),
    Bad(b"tuple 1", "split", "TypeError: a multi computation must return a list"),
    Bad(b"  key4 explode ", "count", "ArithmeticError: cannot count", "key4", "count"),
]


@contextlib.contextmanager
def fussy(folder: Path, *options: str) -> Iterator[tuple[Cluster, Receiver]]:
    """The fussy application, ready, with a receiver."""
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "fussy", *addresses, *options) as cluster:
        cluster.wait_ready()
        yield cluster, receiver
    receiver.close()


def place_of(code: str) -> str:
    """Where this code stands in the application."""
    lines = FUSSY.read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if code in line)
    return f"{FUSSY}:{number}"


def dead_letters(folder: Path) -> list[dict[str, Any]]:
    """All dead letters in the folder."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def expected_lines(counts: Counter[str]) -> set[bytes]:
    """The running total of each key; which record had which total depends on the order."""
    return {f"{key} => {n}".encode() for key, total in counts.items() for n in range(1, total + 1)}


def totals(receiver: Receiver) -> Counter[bytes]:
    """Return lines as ``key => total``, with how often each arrived."""
    lines: Counter[bytes] = Counter()
    for line, count in receiver.lines().items():
        record, _, total = line.rpartition(b" => ")
        lines[record.partition(b" ")[0] + b" => " + total] += count
    return lines


def check_letter(letter: dict[str, Any], bad: Bad) -> None:
    assert letter["pipeline"] == "lines"
    assert bad.step in letter["step"]
    assert letter["error"].startswith(bad.error)
    assert letter["key"] == bad.key
    assert letter["time"].endswith("+00:00")
    last_line = letter["traceback"].rstrip().rpartition("\n")[2]
    assert last_line.startswith(bad.error.split(":")[0])
    if bad.function:
        assert "fussy.py" in letter["traceback"]
        assert f"in {bad.function}\n" in letter["traceback"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--workers", "1"), id="1 worker"),
        pytest.param(("--workers", "2"), id="2 workers"),
        pytest.param(("--workers", "2", "--with-steps"), id="2 workers, objects cross"),
        pytest.param(("--workers", "1", "--with-steps"), id="1 worker, more steps"),
    ],
)
def test_each_record_that_fails_becomes_one_dead_letter_and_the_others_are_counted(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    bad = BAD + (BAD_STEPS if "--with-steps" in options else [])
    payloads = [line.encode() for line in GOOD]
    for number, one in enumerate(bad):
        payloads.insert(number * 7, one.payload)
    counted = Counter(dict.fromkeys(KEYS, 50))
    counted["key3"] += 1  # it was counted before its encoder failed
    with fussy(tmp_path, *options, "--debug") as (cluster, receiver):
        for part in range(4):
            send_bytes(cluster.source_port(), framed(*payloads[part::4]))
        # One line is missing, which the encoder could not write.
        wait_until("all lines are there", lambda: receiver.line_count() == len(GOOD))
        assert cluster.stop() == 0
        drained = cluster.events("cluster.drained")[0]
        told = cluster.events("record.failed")
    for line in told:
        assert line["traceback"].endswith(f"{line['error']}\n")
        assert line["at"].startswith(f"{FUSSY}:")
    assert (drained["record_count"], drained["failure_count"]) == (len(payloads), len(bad))
    letters = dead_letters(tmp_path / "dead-letters")
    by_payload = {base64.b64decode(letter["payload"]): letter for letter in letters}
    assert len(letters) == len(bad)
    assert by_payload.keys() == {one.payload for one in bad}
    for one in bad:
        check_letter(by_payload[one.payload], one)
    came = totals(receiver)
    assert came.total() == len(came) == len(GOOD)
    assert len(expected_lines(counted) - came.keys()) == 1


def test_bad_frames_close_their_own_connection_and_no_other(tmp_path: Path) -> None:
    with fussy(tmp_path, "--workers", "2", "--max-frame-bytes", "1000") as (cluster, receiver):
        port = cluster.source_port()
        with socket.create_connection(("127.0.0.1", port)) as steady:
            steady.sendall(framed(b"steady 1"))
            check_garbage_is_refused(cluster, port)
            check_long_frame_is_refused(cluster, port)
            check_cut_off_frame_is_reported(cluster, port)
            steady.sendall(framed(b"steady 2", b"x" * 1000, b""))
            wait_until("all lines are there", lambda: receiver.line_count() == 7)
        assert cluster.stop() == 0
        assert len(cluster.events("source.rejected")) == 2
        assert len(cluster.events("source.frame_truncated")) == 1
    longest = b"x" * 1000
    assert receiver.lines().keys() == {
        b"steady 1 => 1",
        b"steady 2 => 2",
        b"before 1 => 1",
        b"before 2 => 2",
        b"whole => 1",
        longest + b" => 1",
        b" => 1",
    }
    assert not (tmp_path / "dead-letters").exists()


def refused_by(port: int, data: bytes) -> str:
    """Send bytes, wait until the other side closes; return the address of this side."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(data)
        host, own_port = sender.getsockname()
        with contextlib.suppress(ConnectionResetError):
            assert sender.recv(1) == b""
        return f"{host}:{own_port}"


def check_garbage_is_refused(cluster: Cluster, port: int) -> None:
    peer = refused_by(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    line = cluster.wait_event("source.rejected")
    assert line["peer"] == peer
    assert line["level"] == "error"
    assert "byte 0 " in line["reason"]
    assert str(int.from_bytes(b"GET ", "big")) in line["reason"]
    assert "speaks HTTP" in line["hint"]


def check_long_frame_is_refused(cluster: Cluster, port: int) -> None:
    before = framed(b"before 1", b"before 2")
    peer = refused_by(port, before + (1001).to_bytes(4, "big") + b"y" * 1001)
    line = cluster.wait_event("source.rejected", 2)
    assert line["peer"] == peer
    assert f"byte {len(before)} " in line["reason"]
    assert "1001 bytes, more than the 1000 allowed" in line["reason"]


def check_cut_off_frame_is_reported(cluster: Cluster, port: int) -> None:
    send_bytes(port, framed(b"whole") + (500).to_bytes(4, "big") + b"only this")
    line = cluster.wait_event("source.frame_truncated")
    assert line["byte_count"] == 4 + len(b"only this")
    assert line["peer"].startswith("127.0.0.1:")


def test_an_error_ends_the_run_where_it_is_asked_to(tmp_path: Path) -> None:
    with fussy(tmp_path, "--workers", "2", "--on-error", "stop") as (cluster, _receiver):
        send_bytes(cluster.source_port(), framed(b"key1 1", b"key1 explode"))
        assert cluster.wait_end() == 1
        error, hint = cluster.errors
    assert error.startswith("Error: step 'count' of pipeline 'lines' failed on key 'key1'")
    assert error.endswith("ArithmeticError: cannot count this")
    assert hint == f"hint: look at {place_of('raise ArithmeticError')}"
    (letter,) = dead_letters(tmp_path / "dead-letters")
    check_letter(letter, next(bad for bad in BAD if bad.payload == b"key1 explode"))


def test_a_generator_that_fails_at_its_first_record_ends_the_run_where_it_is_asked_to(
    tmp_path: Path,
) -> None:
    receiver = Receiver()
    options = ["--out", receiver.address, "--on-error", "stop"]
    ended = run_to_end(tmp_path, *application_options("failing_generator"), *options)
    receiver.close()
    assert ended.returncode == 1
    error, hint = (line for line in ended.stderr.splitlines() if not line.startswith("{"))
    assert error == "Error: step 'generator' of pipeline 'numbers' failed: ValueError: no first"
    assert hint.startswith("hint: look at ")
    assert "failing_generator.py:" in hint


def test_ten_thousand_failures_are_ten_thousand_dead_letters_and_few_log_lines(
    tmp_path: Path,
) -> None:
    payloads = [f"undecodable {number}".encode() for number in range(10_000)]
    kept = tmp_path / "kept" / "here"
    with fussy(tmp_path, "--dead-letters", str(kept)) as (cluster, receiver):
        send_bytes(cluster.source_port(), framed(*payloads, b"good 1"))
        wait_until("a record behind them is there", lambda: receiver.line_count() == 1)
        assert cluster.stop() == 0
        told = cluster.events("record.failed")
        counted = cluster.events("records.failed")
        assert len(cluster.log) < 200
    assert [base64.b64decode(letter["payload"]) for letter in dead_letters(kept)] == payloads
    assert len(told) + sum(line["record_count"] for line in counted) == len(payloads)
    assert {line["step"] for line in told} == {"decoder"}
    assert all(line["dead_letters"].startswith(str(kept)) for line in told)
    assert not (tmp_path / "dead-letters").exists()


def test_dead_letters_that_cannot_be_written_are_told_and_the_run_goes_on(tmp_path: Path) -> None:
    with fussy(tmp_path) as (cluster, receiver):
        (tmp_path / "dead-letters").write_text("a file in the folder's place")
        send_bytes(cluster.source_port(), framed(b"undecodable", b"good 1"))
        line = cluster.wait_event("dead_letters.write_failed")
        assert line["level"] == "error"
        assert line["path"].startswith(str(tmp_path / "dead-letters"))
        assert line["lost_count"] == 1
        assert line["hint"]
        (tmp_path / "dead-letters").unlink()
        send_bytes(cluster.source_port(), framed(b"undecodable again", b"good 2"))
        wait_until("both good records are there", lambda: receiver.line_count() == 2)
        assert cluster.stop() == 0
    (letter,) = dead_letters(tmp_path / "dead-letters")
    assert base64.b64decode(letter["payload"]) == b"undecodable again"


def test_user_code_that_exits_is_a_failed_record_like_any_other(tmp_path: Path) -> None:
    with fussy(tmp_path) as (cluster, receiver):
        send_bytes(cluster.source_port(), framed(b"leave", b"good 1"))
        wait_until("the next record is there", lambda: receiver.line_count() == 1)
        assert cluster.stop() == 0
        assert cluster.events("worker.lost") == []
    (letter,) = dead_letters(tmp_path / "dead-letters")
    assert letter["error"] == "SystemExit: 7"
