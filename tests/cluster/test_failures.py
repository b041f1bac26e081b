"""How runs end whose records fail: the last line of the log, and the status of the command."""

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, framed, running, wait_processed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


BAD = 20


def last_line(cluster: Cluster, *, dead_letters: int, folder: Path) -> dict[str, Any]:
    """The last line; that and the files that it names have these dead letters."""
    line = cluster.log[-1]
    assert line["event"] == "cluster.stopped"
    assert line["dead_letter_count"] == dead_letters
    files = [Path(path) for path in line["dead_letters"].split(", ")]
    assert all(path.parent == folder / "dead-letters" for path in files)
    assert sum(len(path.read_text().splitlines()) for path in files) >= dead_letters
    return line


@pytest.mark.parametrize(
    ("good", "options", "status", "level"),
    [
        (0, [], 4, "error"),
        (0, ["--no-metrics"], 4, "error"),
        (1, [], 0, "warning"),
        (1, ["--max-failures", str(BAD)], 0, "warning"),
        (1, ["--max-failures", str(BAD - 1)], 5, "error"),
        (100, ["--max-failures", "10%"], 5, "error"),
        # Fewer than a hundred records say nothing about a share.
        (10, ["--max-failures", "10%"], 0, "warning"),
    ],
)
def test_a_run_that_ends_by_itself(
    tmp_path: Path, good: int, options: list[str], status: int, level: str
) -> None:
    (tmp_path / "in.txt").write_text("bad\n" * BAD + "good\n" * good)
    with running(tmp_path, "checked_lines", *options) as cluster:
        assert cluster.wait_end() == status
        line = last_line(cluster, dead_letters=BAD, folder=tmp_path)
        assert (line["level"], line["status"]) == (level, status)
        assert (line["record_count"], line["failure_count"]) == (BAD + good, BAD)
        assert ("status 4" in line["next"]) == (status == 4)
    assert (tmp_path / "out.txt").read_text() == "good\n" * good


def test_a_run_without_failures_names_no_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good\n")
    with running(tmp_path, "checked_lines") as cluster:
        assert cluster.wait_end() == 0
        assert cluster.log[-1]["event"] == "cluster.stopped"
        assert {"dead_letters", "dead_letter_count"}.isdisjoint(cluster.log[-1])
        assert (cluster.log[-1]["record_count"], cluster.log[-1]["failure_count"]) == (1, 0)


def send(cluster: Cluster, *payloads: bytes) -> None:
    with socket.create_connection(("127.0.0.1", cluster.source_port())) as connection:
        connection.sendall(framed(*payloads))
        wait_processed(connection)


def test_a_stream_stops_at_the_failure_after_the_last_that_may_be(tmp_path: Path) -> None:
    options = ["--in", "127.0.0.1:0", "--max-failures", "2", "--workers", "2"]
    options += ["--resilience-dir", str(tmp_path / "state")]
    for run in (1, 2):
        with running(tmp_path, "checked_lines", *options) as cluster:
            cluster.wait_ready()
            send(cluster, b"bad", b"good", b"bad")
            assert not cluster.events("failures.exceeded")
            send(cluster, b"bad")
            assert cluster.wait_end() == 5
            assert cluster.wait_event("failures.exceeded")["failure_count"] == 3
            line = last_line(cluster, dead_letters=3, folder=tmp_path)
            # Those of the run before are counted, and not held against this one.
            assert (line["record_count"], line["failure_count"]) == (4 * run, 3 * run)
    assert (tmp_path / "out.txt").read_text() == "good\n" * 2


def test_a_stream_of_failures_that_is_stopped_has_the_status_of_one_that_ends(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "checked_lines", "--in", "127.0.0.1:0") as cluster:
        cluster.wait_ready()
        send(cluster, b"bad")
        assert cluster.stop() == 4
        assert last_line(cluster, dead_letters=1, folder=tmp_path)["status"] == 4


def test_the_error_that_stops_a_run_comes_first(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("bad\n")
    with running(tmp_path, "checked_lines", "--on-error", "stop") as cluster:
        assert cluster.wait_end() == 1
        line = cluster.log[-1]
        assert (line["event"], line["status"], line["failure_count"]) == ("cluster.failed", 1, 1)
        assert line["dead_letters"] == str(tmp_path / "dead-letters" / "lines-w1.jsonl")
