"""``wallaroo-cluster top``: what it shows, and what it says when there is nothing to show."""

import contextlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.cluster.harness import free_port
from tests.workers.dashboard.lively import LivelyCluster
from tests.workers.dashboard.serving import SECRET, ServedInThread, served_in_thread
from wallaroo_cli.cluster import main
from wallaroo_cli.tools.figures import bytes_text, count_text, duration_text, share_text
from wallaroo_cli.tools.top_view import top_view
from wallaroo_workers.run_file import RunFile


@pytest.fixture
def served() -> Iterator[ServedInThread]:
    with served_in_thread(LivelyCluster()) as page:
        yield page


def test_one_picture_has_everything(served: ServedInThread) -> None:
    shown = CliRunner().invoke(main, ["top", "--once", "--dashboard", f"127.0.0.1:{served.port}"])
    assert shown.exit_code == 0, shown.output
    for text in (
        "market spread",
        "degraded",
        "w3 has a backlog of 9.1 MiB",
        "check order",
        "w4",
        "▲ back-pressure",
        "AAPL",
        "KeyError: 'bid'",
        "worker.lost",
        "checkpoint 7600",
    ):
        assert text in shown.output  # fmt: skip


def test_it_finds_the_cluster_of_the_folder(
    served: ServedInThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunFile(tmp_path)
    facts = {"application": "words", "control": "127.0.0.1:1", "secret": SECRET.hex()}
    run.write(**facts, dashboard=f"127.0.0.1:{served.port}", workers=[])
    assert "market spread" in CliRunner().invoke(main, ["top", "--once"]).output
    run.write(dashboard="")
    shown = CliRunner().invoke(main, ["top", "--once"])
    assert (shown.exit_code, "has no page" in shown.output) == (1, True)
    run.remove()
    assert CliRunner().invoke(main, ["top", "--once"]).exit_code == 3


def test_nobody_at_the_address_is_told_with_what_to_do() -> None:
    shown = CliRunner().invoke(main, ["top", "--dashboard", f"127.0.0.1:{free_port()}"])
    assert shown.exit_code == 1
    assert "no answer from a cluster's page" in shown.output
    assert "hint:" in shown.output


def test_it_moves_on_in_a_terminal_until_interrupted(served: ServedInThread) -> None:
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "wallaroo_cli.cluster", "top"]
    process = subprocess.Popen(
        [*command, "--dashboard", f"127.0.0.1:{served.port}"],
        stdin=side, stdout=side, stderr=side, start_new_session=True,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"},
        # Whatever runs in the background of a shell has it ignored, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(side)
    seen = b""
    try:
        while seen.count(b"market spread") < 3:
            assert select.select([terminal], [], [], 20)[0], seen
            seen += os.read(terminal, 1 << 16)
        served.go_away()
        while b"No contact since" not in seen:
            assert select.select([terminal], [], [], 20)[0], seen[-2000:]
            seen += os.read(terminal, 1 << 16)
        process.send_signal(2)
        # A terminal that is not read takes a few kilobytes; after that a program that writes to it
        # waits. What is readable may be its end, which not every kernel tells by an error.
        os.set_blocking(terminal, False)
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            select.select([terminal], [], [], 0.1)
            with contextlib.suppress(OSError):
                os.read(terminal, 1 << 16)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    snapshot = LivelyCluster().snapshot()
    snapshot["states"][0]["hottest"][0]["key"] = "a\x1b]0;taken\x07\x9bb"
    snapshot["dead_letters"][-1]["error"] = "[red]\x1b[2J"
    console = Console(width=160, record=True, file=io.StringIO(), highlight=False)
    console.print(top_view(snapshot, None, 160))
    text = console.export_text()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]" in text


def test_a_cluster_that_has_measured_nothing_is_shown_too() -> None:
    snapshot = LivelyCluster(is_idle=True, durable=False).snapshot()
    snapshot.update(states=[], dead_letters=[], log=[], workers=[])
    snapshot = json.loads(json.dumps(snapshot))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(top_view(snapshot, 24, 100))
    assert "checkpoint off" in console.export_text()


def test_figures_are_short() -> None:
    assert [count_text(each) for each in (None, 0, 0.42, 7, 9874.4, 48_120, 366.2e6, 2e9)] == [
        "-", "0", "0.4", "7", "9,874", "48.1k", "366.2M", "2.0G"
    ]  # fmt: skip
    assert [duration_text(each) for each in (None, 0, 84e-5, 0.0123, 4.5, 75, 7620, 200_000)] == [
        "-", "0 s", "840 µs", "12.3 ms", "4.50 s", "1 min 15 s", "2 h 7 min", "2 d 7 h"
    ]  # fmt: skip
    assert [bytes_text(each) for each in (None, 0, 1536, 150 << 20)] == [
        "-", "0 B", "1.5 KiB", "150 MiB"
    ]  # fmt: skip
    assert [share_text(each) for each in (None, 0, 0.013, 0.42)] == ["-", "0 %", "1.3 %", "42 %"]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_figure_is_cut_off_however_narrow_the_terminal_is(width: int) -> None:
    snapshot = json.loads(json.dumps(LivelyCluster().snapshot()))
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(top_view(snapshot, None, width))
    text = console.export_text()
    for worker in snapshot["workers"]:
        for figure in (
            count_text(worker["in_rate"]),
            bytes_text(worker["backlog_bytes"]),
            share_text(worker["cpu_share"]),
        ):
            assert figure in text
    for shown in ("running", "paused", "▲ back", "check", "backlog 9.2 MiB", "KeyError"):
        assert shown in text
    assert ("In functions" in text) is (width >= 100)
    assert max(map(len, text.splitlines())) <= width
