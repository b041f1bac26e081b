"""The log of a real cluster that meets a crash, a grow, a shrink and a stop."""

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.counted import act, get, run_file
from tests.cluster.harness import EXAMPLES, Receiver, running, wait_until
from tests.workers.test_log_events import NAME

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

FIRST = ["timestamp", "level", "process", "event"]
STORY = [
    "checkpoint.selected", "cluster.starting", "application.ready",
    "worker.lost", "worker.restarting", "application.ready_again",
    "cluster.resizing", "worker.joined", "cluster.resized",
    "cluster.resizing", "worker.left", "cluster.resized",
    "cluster.draining", "cluster.drained", "cluster.stopped",
]  # fmt: skip
"""What the initializer tells, among other lines, in this order."""


def check_line(line: dict[str, Any]) -> None:
    assert list(line)[:4] == FIRST, line
    when = datetime.fromisoformat(line["timestamp"])
    assert when.tzinfo is not None and when.utcoffset() == when.tzinfo.utcoffset(None)
    assert line["level"] in ("info", "warning", "error"), line
    assert line["process"] == "initializer" or line["process"].startswith("w"), line
    if NAME.fullmatch(line["event"]) or line["event"].startswith(("sink.", "journals.")):
        assert isinstance(line["next"], str) and line["next"], line


def test_every_line_has_one_schema_and_a_change_says_what_is_next(tmp_path: Path) -> None:
    receiver = Receiver()
    folder = tmp_path / "alphabet"
    folder.mkdir()
    options = ["--application-path", str(EXAMPLES / "alphabet"), "--workers", "2"]
    places = ["--in", "127.0.0.1:0", "--out", receiver.address, "--dashboard", "127.0.0.1:0"]
    store = ["--resilience-dir", str(tmp_path / "state")]
    with running(folder, "alphabet", *options, *places, *store, "--log-format", "json") as cluster:
        cluster.wait_ready()
        url = str(cluster.wait_event("dashboard.listening")["url"])
        secret = run_file(folder)["secret"]
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_event("application.ready_again")
        wait_until("it runs", lambda: get(f"{url}api/snapshot")["phase"] == "running")
        act(url, "grow", secret, workers=1)
        act(url, "shrink", secret, names=["w1"])
        assert cluster.stop() == 0
    receiver.close()
    assert cluster.errors == []
    for line in cluster.log:
        check_line(line)
    told = [line["event"] for line in cluster.log if line["process"] == "initializer"]
    rest = iter(told)
    assert all(event in rest for event in STORY), told
