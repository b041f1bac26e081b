"""Modules that leave threads, change folders or configure logs; and logs that nobody takes."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import (
    COMMANDS,
    WAIT_S,
    Receiver,
    application_options,
    framed,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_module_changes_neither_our_log_nor_our_paths_nor_our_end(
    tmp_path: Path, receiver: Receiver
) -> None:
    options = ("--in", "127.0.0.1:0", "--out", receiver.address, "--resilience-dir", "state")
    with running(tmp_path, "restless", *options) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(b"good", b"bad", b"good"))
        wait_until("results", lambda: receiver.line_count() == 2)
        line = cluster.wait_event("a record", 3)
        assert (line["level"], line["extra_level"], line["extra_event"]) == ("info", "mine", "mine")
        assert (line["n"], line["nan"]) == (str(2**70), "nan")
        cluster.wait_event("record.failed")
        # A process that measures tells its lines once a second, and is not lost by that.
        cluster.wait_event("checkpoint.selected")
        assert cluster.stop() == 0
        assert cluster.log[-1]["event"] == "cluster.stopped"
        assert cluster.events("worker.lost") == []
        assert [*(tmp_path / "state").glob("manifests/*")]
        assert [*(tmp_path / "dead-letters").glob("*.jsonl")]
        assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_a_plan_is_printed_and_the_command_ends(tmp_path: Path) -> None:
    command = [str(COMMANDS / "wallaroo-run"), *application_options("restless"), "--plan"]
    options = ["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0
    assert b"pipeline 'records'" in done.stdout


@pytest.mark.parametrize("stderr", ["full", "closed pipe", "not read", "closed"])
def test_a_stop_is_a_stop_though_no_line_can_be_written(
    tmp_path: Path, receiver: Receiver, stderr: str
) -> None:
    reading, writing = os.pipe()
    if stderr == "full":
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    elif stderr == "not read":
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writing, True)
    elif stderr == "closed pipe":
        os.close(reading)
    ready = tmp_path / "ready.json"
    closing = "exec 2>&-;" if stderr == "closed" else ""
    options = shlex.join(["--in", "127.0.0.1:0", "--no-dashboard", "--workers", "2"])
    options += " " + shlex.join(application_options("restless"))
    process = subprocess.Popen(
        ["sh", "-c", f'{closing} exec "$0" {options} --out "$1" --ready-file "$2"',
         str(COMMANDS / "wallaroo-run"), receiver.address, str(ready)],
        cwd=tmp_path,
        stderr=writing,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until("it is ready", ready.exists)
        address = json.loads(ready.read_text())["sources"][0]["address"]
        send_bytes(int(address.rpartition(":")[2]), framed(b"good", b"bad", b"good"))
        wait_until("results", lambda: receiver.line_count() == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        if stderr != "closed pipe":
            os.close(reading)
