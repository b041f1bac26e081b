"""Clusters of real processes with a sink that is exactly once: kill -9 at every point of it."""

import importlib
import os
import signal
import socket
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.cluster.durable import manifest_numbers, newest, wait_checkpoints
from tests.cluster.harness import (
    APPLICATIONS,
    ending,
    framed,
    is_gone,
    running,
    send_bytes,
    wait_processed,
    wait_until,
)
from tests.cluster.test_resize import ResizableCluster
from wallaroo.checkpoint.manifest import Manifest, decode_manifest, manifest_name

pytestmark = pytest.mark.cluster

LINES = 3000
KEYS = 7
OPTIONS = ("--checkpoint-interval", "0.2", "--keep-checkpoints", "100")
IN_DELIVERY = ("begun", "half", "all", "committed")

Row = tuple[str, int]
EXPECTED = [(f"k{n % KEYS}", n // KEYS + 1) for n in range(LINES)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "lines.txt").write_text("".join(f"k{n % KEYS} {n}\n" for n in range(LINES)))
    return tmp_path


def options(*more: str, store: str = "checkpoints", workers: int = 2) -> list[str]:
    return ["--resilience-dir", store, "--workers", str(workers), *OPTIONS, *more]


def dying(option: str, points: tuple[str, ...]) -> list[str]:
    return [each for point in points for each in (option, point)]


def rows_of(folder: Path) -> list[Row]:
    """Return all rows in the order in which they became visible."""
    if str(APPLICATIONS) not in sys.path:
        sys.path.append(str(APPLICATIONS))
    return [*importlib.import_module("once").rows_in(folder / "target")]


def check_rows(folder: Path) -> None:
    """Each count of each key is there once, and they are in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for key, count in rows_of(folder):
        found[key].append(count)
    for key, counts in found.items():
        assert counts == [*range(1, len(counts) + 1)], f"{key} has its counts in another order"
    assert Counter(rows_of(folder)) == Counter(EXPECTED)


def last_manifest(folder: Path, store: str = "checkpoints") -> Manifest:
    path = folder / store
    name = manifest_name(newest(path))
    return decode_manifest((path / name).read_bytes(), name)


def test_all_results_are_there_once_and_nothing_is_in_doubt_at_the_end(folder: Path) -> None:
    with running(folder, "once", *options()) as cluster:
        assert cluster.wait_end() == 0
    check_rows(folder)
    assert last_manifest(folder).outbox() == []


def test_a_worker_may_be_killed_at_every_point_of_a_delivery(folder: Path) -> None:
    with running(folder, "once", *options(*dying("--die", IN_DELIVERY))) as cluster:
        assert cluster.wait_end() == 0
    assert len([*folder.glob("done-*")]) == len(IN_DELIVERY)
    check_rows(folder)


def test_a_worker_may_be_killed_again_while_it_recovers(folder: Path) -> None:
    points = ("half", "opening again", "opened again")
    with running(folder, "once", *options(*dying("--die", points))) as cluster:
        assert cluster.wait_end() == 0
    assert len([*folder.glob("done-*")]) == len(points)
    check_rows(folder)


def test_of_two_runs_on_one_store_a_worker_that_wakes_up_late_writes_nothing(folder: Path) -> None:
    with running(folder, "once", *options("--freeze", "half")) as first:
        first.wait_ready()
        pids = first.pids()
        wait_until("a worker is frozen", (folder / "done-half").exists)
        first.signal(signal.SIGSTOP)
        with running(folder, "once", *options("--take-over")) as second:
            assert second.wait_end() == 0
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        assert first.wait_end() == 1
        wait_until("all of its workers have ended", lambda: all(map(is_gone, pids[1:])))
    check_rows(folder)


def test_a_refused_result_is_left_out_and_the_rest_is_there_once_over_a_crash(folder: Path) -> None:
    arguments = options("--poison", "k3", "--die", "half of the others")
    with running(folder, "once", *arguments) as cluster:
        assert cluster.wait_end() == 0
        assert {line["step"] for line in cluster.events("record.failed")} == {"sink 0"}
        assert len(cluster.events("worker.lost")) == 1
    assert Counter(rows_of(folder)) == Counter(EXPECTED) - Counter([("k3", 3)])


@pytest.mark.parametrize("point", IN_DELIVERY)
def test_the_initializer_may_be_killed_at_every_point_of_a_delivery(
    folder: Path, point: str
) -> None:
    with running(folder, "once", *options("--die-all", point)) as cluster:
        assert cluster.wait_end() == -9
    with running(folder, "once", *options(workers=1 if point == "half" else 3)) as cluster:
        assert cluster.wait_end() == 0
    check_rows(folder)


def test_a_target_that_is_away_delays_results_and_loses_none(folder: Path) -> None:
    lines = (folder / "lines.txt").read_bytes().splitlines()
    with running(folder, "once", *options("--in", "127.0.0.1:0")) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), framed(*lines[: LINES // 2]))
        wait_until("some results are there", lambda: rows_of(folder) != [])
        (folder / "target").rename(folder / "away")
        send_bytes(cluster.source_port(), framed(*lines[LINES // 2 :]))
        waiting = cluster.wait_event("sink.waiting")
        assert waiting["sink"] == "sink 0"
        (folder / "away").rename(folder / "target")
        assert cluster.stop() == 0
    check_rows(folder)


def test_a_target_that_stays_away_for_too_long_ends_the_run(folder: Path) -> None:
    (folder / "target").rmdir()
    with running(folder, "once", *options("--sink-timeout", "1")) as cluster:
        assert cluster.wait_end() == 1
    assert any("sink 0" in line or "once.Batches" in line for line in cluster.errors)


def test_another_store_over_the_same_target_delivers_everything_again(folder: Path) -> None:
    for store in ("one", "two"):
        with running(folder, "once", *options(store=store)) as cluster:
            assert cluster.wait_end() == 0
    assert Counter(rows_of(folder)) == Counter([*EXPECTED, *EXPECTED])
    assert last_manifest(folder, "one").lineage != last_manifest(folder, "two").lineage


def test_after_a_return_to_an_older_checkpoint_what_followed_it_is_delivered_again(
    folder: Path,
) -> None:
    with running(folder, "once", *options()) as cluster:
        assert cluster.wait_end() == 0
    number = manifest_numbers(folder / "checkpoints")[2]
    with running(folder, "once", *options("--from-checkpoint", str(number))) as cluster:
        assert cluster.wait_end() == 0
    found = Counter(rows_of(folder))
    assert found.keys() == Counter(EXPECTED).keys()
    again = [row for row, count in found.items() if count == 2]
    assert set(EXPECTED[-KEYS:]) <= set(again)
    assert max(found.values()) == 2


def test_results_are_in_order_when_members_change_while_the_target_is_away(folder: Path) -> None:
    lines = (folder / "lines.txt").read_bytes().splitlines()
    store, target, away = folder / "checkpoints", folder / "target", folder / "away"
    arguments = options("--in", "127.0.0.1:0")
    with ending(ResizableCluster(folder, "once", *arguments)) as cluster:
        cluster.wait_ready()
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as sender:
            sender.sendall(framed(*lines[:1000]))
            wait_checkpoints(store, 1)
            target.rename(away)
            sender.sendall(framed(*lines[1000:1500]))
            cluster.wait_event("sink.waiting")
            cluster.ask(["w3"], ["w1"])
            cluster.wait_event("cluster.resizing")
            sender.sendall(framed(*lines[1500:2000]))
            away.rename(target)
            assert cluster.answer()["workers"] == ["w2", "w3"]
            sender.sendall(framed(*lines[2000:2500]))
            assert cluster.resize(["w4"], [])["workers"] == ["w2", "w3", "w4"]
            sender.sendall(framed(*lines[2500:]))
            wait_processed(sender)
        assert cluster.stop() == 0
    check_rows(folder)
    assert {path.name.split(".")[-1][:2] for path in target.iterdir()} == {"w1", "w2", "w3", "w4"}
    assert last_manifest(folder).outbox() == []
