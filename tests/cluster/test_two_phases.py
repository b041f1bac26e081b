"""Clusters of real processes with a sink that prepares its results: kill -9 at every point."""

import importlib
import os
import random
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import newest, wait_checkpoints
from tests.cluster.harness import (
    APPLICATIONS,
    ending,
    framed,
    running,
    send_bytes,
    wait_processed,
)
from tests.cluster.test_resize import ResizableCluster

pytestmark = pytest.mark.cluster

LINES = 3000
KEYS = 7
POINTS = ("write", "before prepare", "prepared", "before commit", "committed")
OPTIONS = ("--checkpoint-interval", "0.2", "--keep-checkpoints", "100")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    write_lines(tmp_path, LINES)
    return tmp_path


def write_lines(folder: Path, count: int) -> None:
    (folder / "lines.txt").write_text("".join(f"k{n % KEYS} {n}\n" for n in range(count)))


def options(*more: str, workers: int = 2) -> list[str]:
    return ["--resilience-dir", "checkpoints", "--workers", str(workers), *OPTIONS, *more]


def dying(option: str, points: tuple[str, ...]) -> list[str]:
    return [each for point in points for each in (option, point)]


def check_rows(folder: Path, lines: int = LINES) -> None:
    """Each count of each key is visible once, and nothing else is prepared."""
    if str(APPLICATIONS) not in sys.path:
        sys.path.append(str(APPLICATIONS))
    found = Counter(importlib.import_module("parts").rows_in(folder / "target"))
    assert found == Counter((f"k{n % KEYS}", n // KEYS + 1) for n in range(lines))
    hidden = [path for path in (folder / "target").glob(".*") if path.suffix != ".writing"]
    assert hidden == []


def test_all_results_are_visible_once_when_the_run_has_ended(folder: Path) -> None:
    with running(folder, "parts", *options()) as cluster:
        assert cluster.wait_end() == 0
    check_rows(folder)


def test_a_worker_may_be_killed_at_every_point_and_again_while_it_recovers(folder: Path) -> None:
    points = (*POINTS, "opening again", "opened again")
    with running(folder, "parts", *options(*dying("--die", points))) as cluster:
        assert cluster.wait_end() == 0
    assert len([*folder.glob("done-*")]) == len(points)
    check_rows(folder)


@pytest.mark.parametrize(("point", "workers"), [("prepared", 1), ("before commit", 3)])
def test_the_initializer_may_be_killed_and_another_number_of_workers_goes_on(
    folder: Path, point: str, workers: int
) -> None:
    with running(folder, "parts", *options("--die-all", point)) as cluster:
        assert cluster.wait_end() == -9
    with running(folder, "parts", *options(workers=workers)) as cluster:
        assert cluster.wait_end() == 0
    check_rows(folder)


def test_a_target_that_is_away_delays_results_and_loses_none(folder: Path) -> None:
    lines = (folder / "lines.txt").read_bytes().splitlines()
    with running(folder, "parts", *options("--in", "127.0.0.1:0")) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(*lines[: LINES // 2]))
        wait_checkpoints(folder / "checkpoints")
        (folder / "target").rename(folder / "away")
        send_bytes(cluster.source_port(), framed(*lines[LINES // 2 :]))
        assert cluster.wait_event("sink.waiting")["sink"] == "sink 0"
        (folder / "away").rename(folder / "target")
        assert cluster.stop() == 0
    check_rows(folder)


def test_a_target_that_stays_away_for_too_long_ends_the_run(folder: Path) -> None:
    (folder / "target").rmdir()
    with running(folder, "parts", *options("--sink-timeout", "1")) as cluster:
        assert cluster.wait_end() == 1
    assert any("sink 0" in line or "parts.Parts" in line for line in cluster.errors)


def test_processes_may_be_killed_at_random_moments(folder: Path) -> None:
    rng = random.Random()
    store = folder / "checkpoints"
    lines = 10 * LINES
    write_lines(folder, lines)
    with running(folder, "parts", *options()) as cluster:
        cluster.wait_ready()
        for _ in range(2):
            epoch = cluster.ready()["epoch"]
            wait_checkpoints(store, newest(store) + rng.randrange(1, 3))
            os.kill(cluster.pid(rng.choice(["w1", "w2"])), signal.SIGKILL)
            cluster.wait_ready(epoch=epoch + 1)
        cluster.signal(signal.SIGKILL)
        cluster.wait_end()
    with running(folder, "parts", *options(workers=rng.choice([1, 3]))) as cluster:
        assert cluster.wait_end() == 0
    check_rows(folder, lines)


def test_workers_join_leave_and_are_killed(folder: Path) -> None:
    lines = (folder / "lines.txt").read_bytes().splitlines()
    arguments = options("--in", "127.0.0.1:0")
    with ending(ResizableCluster(folder, "parts", *arguments)) as cluster:
        cluster.wait_ready()
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as sender:
            sender.sendall(framed(*lines[:1000]))
            assert cluster.resize(["w3"], [])["workers"] == ["w1", "w2", "w3"]
            sender.sendall(framed(*lines[1000:1500]))
            wait_processed(sender)
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=3)
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as sender:
            sender.sendall(framed(*lines[1500:2000]))
            assert cluster.resize(["w4"], ["w3"])["workers"] == ["w1", "w2", "w4"]
            sender.sendall(framed(*lines[2000:]))
            assert cluster.resize([], ["w4", "w1"])["workers"] == ["w2"]
            wait_processed(sender)
        assert cluster.stop() == 0
    check_rows(folder)
