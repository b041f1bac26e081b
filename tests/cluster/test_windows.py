"""Windows by event time on real workers: all clocks move together, and each result comes once."""

import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import wallaroo
from tests.cluster.durable import kill, lines_in, wait_checkpoints
from tests.cluster.harness import Cluster, application_options, run_to_end, running, wait_until
from wallaroo_cli.cluster import main

pytestmark = pytest.mark.cluster

KEYS = [f"key{number}" for number in range(20)]
CHECKPOINTS = ("--resilience-dir", "kept", "--checkpoint-interval", "0.2")


def lines(first: int, end: int) -> list[str]:
    """One record of each key for each of these seconds, out of order by less than 3 seconds."""
    found = [(second, f"{key} {second}\n") for second in range(first, end) for key in KEYS]
    rng = random.Random(first)
    return [line for _, line in sorted(found, key=lambda each: each[0] + rng.random() * 2.9)]


def results(first: int, end: int) -> Counter[str]:
    """What windows give that begin in these seconds, if they have all records."""
    return Counter(f"{key} {start} 10 final" for start in range(first, end, 10) for key in KEYS)


def run_file(folder: Path, *options: str) -> None:
    (folder / "in").write_text("".join(lines(0, 100)))
    ended = run_to_end(folder, *application_options("tumbled"), "--no-dashboard", *options, "file")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_at_the_end_of_a_file_all_windows_have_fired(tmp_path: Path, workers: int) -> None:
    run_file(tmp_path, "--workers", str(workers))
    assert lines_in(tmp_path / "out") == results(0, 100)


def test_so_they_have_in_the_last_checkpoint(tmp_path: Path) -> None:
    run_file(tmp_path, "--workers", "3", *CHECKPOINTS)
    assert lines_in(tmp_path / "out") == results(0, 100)


@contextmanager
def listening(folder: Path, workers: int, *options: str) -> Iterator[tuple[Cluster, socket.socket]]:
    """A run, and a sender that is connected to one of its workers."""
    with running(folder, "tumbled", "--workers", str(workers), *options) as cluster:
        cluster.wait_ready()
        address = ("127.0.0.1", cluster.source_port())
        with socket.create_connection(address, timeout=20) as connection:
            yield cluster, connection
        assert cluster.errors == []


def send(connection: socket.socket, first: int, end: int) -> None:
    connection.sendall("".join(lines(first, end)).encode())


def wait_results(folder: Path, first: int, end: int) -> None:
    """Wait for these results on top of nothing else."""
    expected = results(first, end)
    wait_until(f"windows up to {end}", lambda: lines_in(folder / "out") >= expected)
    assert lines_in(folder / "out") == expected


def ask(folder: Path, *arguments: str) -> str:
    """Return what a command answers."""
    with contextlib.chdir(folder):
        ended = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def test_windows_fire_on_all_workers_though_one_alone_reads(tmp_path: Path) -> None:
    with listening(tmp_path, 3) as (cluster, connection):
        send(connection, 0, 36)
        wait_results(tmp_path, 0, 30)
        # Without checkpoints nothing would keep the windows that are open, so they fire.
        assert cluster.stop() == 0
    found = lines_in(tmp_path / "out")
    assert found - results(0, 30) == Counter(f"{key} 30 6 final" for key in KEYS)


def test_a_stop_keeps_open_windows_for_the_next_run(tmp_path: Path) -> None:
    with listening(tmp_path, 3, *CHECKPOINTS) as (cluster, connection):
        send(connection, 0, 36)
        wait_results(tmp_path, 0, 30)
        shown = json.loads(ask(tmp_path, "get", "count", KEYS[0], "--json"))
        assert [(each["start"], each["accumulator"]) for each in shown["windows"]] == [
            (wallaroo.seconds(30), 6)
        ]
        assert cluster.stop() == 0
    assert lines_in(tmp_path / "out") == results(0, 30)
    with listening(tmp_path, 1, *CHECKPOINTS) as (cluster, connection):
        send(connection, 36, 66)
        wait_results(tmp_path, 0, 60)
        assert cluster.stop() == 0


@pytest.mark.parametrize(
    ("at_stop", "options"), [("flush", CHECKPOINTS), ("keep", ())], ids=["flush", "keep"]
)
def test_the_user_chooses_what_a_stop_does_with_open_windows(
    tmp_path: Path, at_stop: str, options: tuple[str, ...]
) -> None:
    with listening(tmp_path, 2, "--at-stop", at_stop, *options) as (cluster, connection):
        send(connection, 0, 36)
        wait_results(tmp_path, 0, 30)
        assert cluster.stop() == 0
    found = lines_in(tmp_path / "out") - results(0, 30)
    expected = [f"{key} 30 6 final" for key in KEYS] if at_stop == "flush" else []
    assert found == Counter(expected)


@pytest.mark.parametrize("is_holder", [False, True])
def test_a_worker_is_killed_while_windows_are_open(tmp_path: Path, is_holder: bool) -> None:
    with listening(tmp_path, 3, *CHECKPOINTS) as (cluster, connection):
        send(connection, 0, 36)
        wait_results(tmp_path, 0, 30)
        wait_checkpoints(tmp_path / "kept")
        holder = cluster.pid_of_connection(connection)
        names = {cluster.pid(name): name for name in ("w1", "w2", "w3")}
        lost = names[holder]
        if not is_holder:
            lost = next(name for name in names.values() if name != names[holder])
        kill(cluster, lost)
        cluster.wait_ready(epoch=2)
        if is_holder:
            address = ("127.0.0.1", cluster.source_port())
            with socket.create_connection(address, timeout=20) as again:
                send(again, 36, 66)
                wait_results(tmp_path, 0, 60)
        else:
            send(connection, 36, 66)
            wait_results(tmp_path, 0, 60)
        assert cluster.stop() == 0


@pytest.mark.parametrize("leaves_holder", [False, True])
def test_the_cluster_grows_and_shrinks_while_windows_are_open(
    tmp_path: Path, leaves_holder: bool
) -> None:
    with listening(tmp_path, 2, *CHECKPOINTS) as (cluster, connection):
        send(connection, 0, 36)
        wait_results(tmp_path, 0, 30)
        ask(tmp_path, "grow", "--workers", "1")
        send(connection, 36, 66)
        wait_results(tmp_path, 0, 60)
        holder = cluster.pid_of_connection(connection)
        leaving = next(
            name for name in ("w1", "w2", "w3") if (cluster.pid(name) == holder) is leaves_holder
        )
        ask(tmp_path, "shrink", "--names", leaving)
        send(connection, 66, 96)
        wait_results(tmp_path, 0, 90)
        assert cluster.stop() == 0


def append(path: Path, *seconds: int) -> None:
    with path.open("a") as file:
        file.writelines(f"{second}\n" for second in seconds)


@pytest.mark.parametrize("options", [(), CHECKPOINTS], ids=["without checkpoints", "with"])
def test_a_split_that_is_behind_is_not_late_at_a_worker_that_is_ahead_of_it(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    append(tmp_path / "slow", 101)
    append(tmp_path / "quick")
    arguments = ("--workers", "2", "--at-stop", "flush", *options)
    with running(tmp_path, "logs_by_time", *arguments) as cluster:
        cluster.wait_ready()

        def slow() -> dict[str, Any]:
            splits = json.loads(ask(tmp_path, "splits", "--json"))["splits"]
            return next(each for each in splits if each["split"] == "slow")

        # The other one would be ahead of its first record otherwise.
        wait_until("the slow one is read", lambda: slow()["position"] == 1)
        append(tmp_path / "quick", 501)
        append(tmp_path / "slow", 112)
        wait_until("a window has fired", lambda: lines_in(tmp_path / "out") == {"slow 100 1": 1})
        ask(tmp_path, "shrink", "--names", slow()["worker"])
        append(tmp_path / "quick", 601)
        append(tmp_path / "slow", 113, 124)
        wait_until("the next one has fired", lambda: lines_in(tmp_path / "out")["slow 110 2"] == 1)
        (clock,) = json.loads(ask(tmp_path, "clocks", "--json"))["clocks"]
        assert clock["late"] == 0
        assert cluster.stop() == 0
    expected = ["slow 100 1", "slow 110 2", "slow 120 1", "quick 500 1", "quick 600 1"]
    assert lines_in(tmp_path / "out") == Counter(expected)
