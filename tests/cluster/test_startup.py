"""How a run starts or says why it cannot, and that no process is left behind when it ends."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.harness import (
    COMMANDS,
    WAIT_S,
    Cluster,
    Receiver,
    copy_application,
    framed,
    free_port,
    is_gone,
    run_to_end,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster

ADDRESSES = ["--in", "127.0.0.1:0", "--out", "127.0.0.1:9"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an application of two modules."""
    copy_application(tmp_path, "echo")
    return tmp_path


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def lines_for_people(stderr: str) -> list[str]:
    """What a command said beside its log lines."""
    return [line for line in stderr.splitlines() if not line.startswith("{")]


# Mistakes


def test_an_application_that_cannot_be_loaded_is_one_error_with_the_users_own_line(
    folder: Path,
) -> None:
    (folder / "shared_codecs.py").write_text("\n\ndef decode_bytes(payload)\n    return payload\n")
    ended = run_to_end(folder, "--application-module", "echo", *ADDRESSES)
    error, hint = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert error.startswith(
        "Error: module 'echo' cannot be imported: shared_codecs.py:3: SyntaxError"
    )
    assert hint == "hint: fix it there; --debug shows the whole traceback"
    assert ended.stdout == ""


def test_debug_shows_the_traceback_too(folder: Path) -> None:
    (folder / "shared_codecs.py").write_text("1 / 0\n")
    ended = run_to_end(folder, "--application-module", "echo", "--debug", *ADDRESSES)
    assert ended.returncode == 2
    assert "ZeroDivisionError" in ended.stderr.splitlines()[0]
    assert str(folder / "shared_codecs.py") in ended.stderr.splitlines()[0]
    assert lines_for_people(ended.stderr)[0].startswith("Error: ")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--application-module", "ekko"], 2, "there is no module 'ekko' in {folder}"),
        (["--in", "nonsense", "--out", "127.0.0.1:9"], 2, "'nonsense', which is not HOST:PORT"),
        (["--in", "127.0.0.1:0"], 2, "the option -o/--out is missing"),
        (["--in", "no.such.host.invalid:7010", "--out", "127.0.0.1:9"], 2, "host of source"),
        ([*ADDRESSES, "--workers", "0"], 2, "--workers 0 leaves no worker"),
        ([*ADDRESSES, "--control", "nonsense"], 2, "--control: 'nonsense' is not an address"),
        ([*ADDRESSES, "--ready-file", "no/folder"], 2, "no folder {folder}/no for the ready file"),
        ([*ADDRESSES, "--dead-letters", "echo.py"], 2, "'echo.py' is a file"),
    ],
)
def test_mistakes_on_the_command_line_are_told_in_a_sentence(
    folder: Path, options: list[str], status: int, said: str
) -> None:
    ended = run_to_end(folder, "--application-module", "echo", *options)
    assert ended.returncode == status
    (error,) = (line for line in ended.stderr.splitlines() if line.startswith("Error: "))
    assert said.format(folder=folder) in error
    assert "Traceback" not in ended.stderr


def test_a_misspelled_option_is_passed_on_with_a_warning(folder: Path) -> None:
    options = ["--plan", *ADDRESSES, "--max-frame-byte", "100"]
    ended = run_to_end(folder, "--application-module", "echo", *options)
    assert ended.returncode == 0
    (line,) = ended.stderr.splitlines()
    warning = json.loads(line)
    assert warning["level"] == "warning"
    assert warning["option"] == "--max-frame-byte"
    assert warning["did_you_mean"] == "--max-frame-bytes"


@pytest.mark.parametrize(
    ("option", "first_line"), [("--plan", "application 'echo'"), ("--plan=dot", "digraph plan {")]
)
def test_the_plan_is_shown_without_listening(folder: Path, option: str, first_line: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        addresses = ["--in", address, "--out", "127.0.0.1:9"]
        ended = run_to_end(folder, "--application-module", "echo", option, *addresses)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0] == first_line


@pytest.mark.parametrize("files", range(20, 25))
def test_too_few_open_files_are_an_error_and_nothing_else(folder: Path, files: int) -> None:
    start = f'ulimit -n {files}; exec "$0" "$@"'
    command = [str(COMMANDS / "wallaroo-run"), "--application-module", "echo", "--no-dashboard"]
    ended = subprocess.run(
        ["sh", "-c", start, *command, *ADDRESSES, "--sink-timeout", "1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 1
    error, hint = lines_for_people(ended.stderr)
    assert error.startswith("Error: ")
    assert error.endswith(": Too many open files")
    assert "ulimit -n" in hint


# Modules


def test_a_users_files_never_stand_in_for_libraries(folder: Path, receiver: Receiver) -> None:
    for name in ("click", "msgpack", "structlog", "json", "asyncio"):
        (folder / f"{name}.py").write_text("raise SystemExit('the user has a file of this name')\n")
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "echo", *addresses) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(b"a"))
        wait_until("the record is there", lambda: receiver.line_count() == 1)
        assert cluster.stop() == 0


def test_a_module_is_found_in_a_folder_given_by_option(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    options = ["--application-path", "..", "--application-module", "echo", "--plan", *ADDRESSES]
    assert run_to_end(folder / "elsewhere", *options).returncode == 0


# Ports


def test_a_port_that_another_program_has_is_reported(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        addresses = ["--in", address, "--out", "127.0.0.1:9"]
        ended = run_to_end(folder, "--application-module", "echo", *addresses)
    assert ended.returncode == 1
    error, hint = ended.stderr.splitlines()
    assert error == (
        f"Error: a source cannot listen at {address}: the port is in use by another program"
    )
    assert hint.startswith("hint: stop what listens there, or choose another port")


def test_a_second_run_on_the_same_port_is_refused_and_the_first_unharmed(
    folder: Path, receiver: Receiver
) -> None:
    address = f"127.0.0.1:{free_port()}"
    addresses = ["--in", address, "--out", receiver.address]
    with running(folder, "echo", *addresses, "--workers", "2") as first:
        first.wait_ready()
        ended = run_to_end(folder, "--application-module", "echo", *addresses)
        assert ended.returncode == 1
        assert f"cannot listen at {address}: the port is in use" in ended.stderr
        for _ in range(8):
            send_bytes(first.source_port(), framed(b"a"))
        wait_until("all records are there", lambda: receiver.line_count() == 8)
        assert first.stop() == 0


def test_of_two_runs_started_at_once_on_the_same_port_exactly_one_wins(
    folder: Path, receiver: Receiver
) -> None:
    port = free_port()
    # Two names of one address.
    first_options = ["--in", f"127.0.0.1:{port}", "--out", receiver.address]
    second_options = ["--in", f"localhost:{port}", "--out", receiver.address]
    with (
        running(folder, "echo", *first_options) as first,
        running(folder, "echo", *second_options) as second,
    ):
        runs = [first, second]
        wait_until("one has lost", lambda: any(run.process.poll() is not None for run in runs))
        loser, winner = sorted(runs, key=lambda run: run.process.poll() is None)
        assert loser.wait_end() == 1
        assert "the port is in use by" in loser.errors[0]
        winner.wait_ready()
        send_bytes(winner.source_port(), framed(b"a"))
        wait_until("the record is there", lambda: receiver.line_count() == 1)
        assert winner.stop() == 0


# Ends


def stop_by_initializer(cluster: Cluster) -> int:
    cluster.signal(signal.SIGTERM)
    return cluster.wait_end()


def stop_by_one_worker(cluster: Cluster) -> int:
    os.kill(cluster.pid("w2"), signal.SIGTERM)
    return cluster.wait_end()


def stop_by_supervisor(cluster: Cluster) -> int:
    """Signal every process, as service managers do, in the least convenient order."""
    _initializer, *workers = cluster.pids()
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    cluster.wait_event("cluster.draining")
    cluster.signal(signal.SIGTERM)
    return cluster.wait_end()


def stop_by_terminal(cluster: Cluster) -> int:
    """Send what a terminal sends to each process of its group."""
    for pid in reversed(cluster.pids()):
        os.kill(pid, signal.SIGINT)
    return cluster.wait_end()


@pytest.mark.parametrize(
    "stop",
    [stop_by_initializer, stop_by_one_worker, stop_by_supervisor, stop_by_terminal],
    ids=lambda stop: stop.__name__,
)
def test_a_stop_in_order_delivers_everything_and_leaves_no_process(
    folder: Path, receiver: Receiver, stop: Callable[[Cluster], int]
) -> None:
    records = [b"%d" % number for number in range(20_000)]
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "echo", *addresses, "--workers", "2") as cluster:
        cluster.wait_ready()
        for part in range(4):
            send_bytes(cluster.source_port(), framed(*records[part::4]))
        pids = cluster.pids()
        assert stop(cluster) == 0
        assert all(is_gone(pid) for pid in pids)
        assert not cluster.ready_path.exists()
        assert cluster.errors == []
        assert cluster.events("worker.lost") == []
        assert cluster.log[-1]["event"] == "cluster.stopped"
    receiver.finish()
    assert receiver.lines() == dict.fromkeys(records, 1)


def test_workers_stop_by_themselves_when_the_initializer_is_killed(
    folder: Path, receiver: Receiver
) -> None:
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "echo", *addresses, "--workers", "3") as cluster:
        cluster.wait_ready()
        pids = cluster.pids()
        cluster.signal(signal.SIGKILL)
        assert cluster.wait_end() == -signal.SIGKILL
        wait_until("all workers have ended", lambda: all(is_gone(pid) for pid in pids))
        assert {line["process"] for line in cluster.events("initializer.lost")} == {
            "w1",
            "w2",
            "w3",
        }
