"""Terminals and files that do not take every character get a similar one, and no traceback."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.workers.dashboard.lively import LivelyCluster
from tests.workers.dashboard.serving import ServedInThread, served_in_thread
from wallaroo_cli.tools.readable import make_readable


@pytest.fixture(scope="module")
def served() -> Iterator[ServedInThread]:
    with served_in_thread(LivelyCluster()) as page:
        yield page


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_top_is_readable_in_every_encoding(served: ServedInThread, encoding: str) -> None:
    start = "from wallaroo_cli.entry import cluster; cluster()"
    ended = subprocess.run(
        [sys.executable, "-c", start, "top", "--once", "--dashboard", f"127.0.0.1:{served.port}"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    shown = ended.stdout.decode(encoding)
    mark = "●" if encoding == "utf-8" else "*"
    assert f"market spread  {mark} degraded" in shown
    assert "back-pressure" in shown
    assert ended.stderr == b""


def test_what_has_nothing_similar_becomes_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    make_readable()
    print("Zürich … 漢 ⠋ ≤ \ud800")  # noqa: T201
    sys.stdout.flush()
    assert written.getvalue().decode("latin-1") == "Zürich ... \\u6f22 * <= \\ud800\n"


def test_streams_that_are_closed_or_odd_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    make_readable()
    assert sys.stdout is None
