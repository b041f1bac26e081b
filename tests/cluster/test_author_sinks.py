"""Sinks that an application brings: they are waited for, written again, and refuse records."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cluster.harness import framed, running, send_bytes, wait_until
from tests.cluster.test_resize import cluster_of
from wallaroo_cli.dead_letters import main

pytestmark = pytest.mark.cluster

KEYS = [f"key{number}" for number in range(50)]


def records(first: int, last: int) -> bytes:
    return framed(*(f"{key} 1".encode() for _ in range(first, last) for key in KEYS))


def in_order(folder: Path) -> list[str]:
    """Return what all workers have written, in the order in which they did."""
    return (folder / "target" / "lines.txt").read_text().splitlines()


def lines(folder: Path) -> Counter[str]:
    return Counter(in_order(folder))


def sums(last: int) -> set[str]:
    return {f"{key} {total}" for key in KEYS for total in range(1, last + 1)}


def test_the_sink_of_an_application_gets_each_result(tmp_path: Path) -> None:
    with running(tmp_path, "appended", "--in", "127.0.0.1:0", "--workers", "2") as cluster:
        waiting = cluster.wait_event("sink.waiting", 2)
        assert waiting["sink"] == "lines"
        assert waiting["method"].startswith("Appended.open (")
        assert "appended.py:" in waiting["at"]
        (tmp_path / "target").mkdir()
        cluster.wait_ready()
        send_bytes(cluster.source_port(), records(0, 20))
        assert cluster.stop() == 0
    assert lines(tmp_path) == Counter(sums(20))


def test_results_are_written_at_least_once_over_a_crash(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    options = ("--workers", "2", "--resilience-dir", "store", "--checkpoint-interval", "0.1")
    with running(tmp_path, "appended", "--in", "127.0.0.1:0", *options) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), records(0, 10))
        wait_until("the first results are there", lambda: sums(10) <= lines(tmp_path).keys())
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        send_bytes(cluster.source_port(), records(10, 20))
        assert cluster.stop() == 0
    assert lines(tmp_path).keys() == sums(20)


def test_results_of_a_new_owner_wait_for_those_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with cluster_of(tmp_path, "--in", "127.0.0.1:0", module="appended") as cluster:
        blocked = tmp_path / str(cluster.pid("w1"))
        blocked.touch()
        send_bytes(cluster.source_port(), records(0, 20))
        cluster.ask(["w2", "w3"], [])
        cluster.wait_event("results.held")
        send_bytes(cluster.source_port(), records(20, 40))
        blocked.unlink()
        assert isinstance(cluster.answer(), dict)
        assert cluster.stop() == 0
    written = in_order(tmp_path)
    for key in KEYS:
        of_key = [int(line.split()[1]) for line in written if line.split()[0] == key]
        assert of_key == [*range(1, 41)]


def test_refused_results_become_dead_letters_that_are_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").mkdir()
    with running(tmp_path, "appended", "--in", "127.0.0.1:0") as cluster:
        control = cluster.wait_ready()["control"]
        send_bytes(cluster.source_port(), framed(b"good 1", b"refused 1", b"good 2"))
        folder = str(tmp_path / "dead-letters")
        wait_until("the result is refused", lambda: cluster.events("record.failed") != [])
        (failed,) = cluster.events("record.failed")
        assert (failed["step"], failed["error"]) == ("sink lines", "Rejected: no")
        monkeypatch.chdir(tmp_path)
        replay = ["replay", "--all", "--dead-letters", folder, "--cluster", control, "--yes"]
        again = CliRunner().invoke(main, replay)
        assert "a sink refused" in again.stderr
        listed = CliRunner().invoke(main, ["list", "--dead-letters", folder, "--json"])
        (letter,) = json.loads(listed.stdout)
        assert (letter["step"], letter["record"]) == ("sink lines", "'refused 1\\n'")
        assert cluster.stop() == 0
    assert lines(tmp_path) == Counter(["good 1", "good 3"])


def test_a_target_that_stays_away_ends_the_run_after_the_time_given(tmp_path: Path) -> None:
    arguments = ("--in", "127.0.0.1:0", "--sink-timeout", "1")
    with running(tmp_path, "appended", *arguments) as cluster:
        assert cluster.wait_end() == 1
        error, hint = cluster.errors
    assert error.startswith("Error: the sink 'lines' took nothing for 1 s: Appended.open (")
    assert "appended.py" in error
    assert "FileNotFoundError" in error
    assert "--sink-timeout" in hint
