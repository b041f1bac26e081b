"""Processes killed under load: every record that was accepted counts once, in state and files."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Deployment,
    Sender,
    children,
    is_saving,
    kill,
    kill_initializer,
    lines_in,
    wait_checkpoints,
)
from tests.cluster.harness import Cluster, framed, send_bytes, wait_until
from wallaroo.coordinator.coordinator import NOTHING_IF_FOUND

pytestmark = pytest.mark.cluster


def loaded(folder: Path, key_count: int = 50) -> Deployment:
    """Files that take some seconds, and a sender beside them."""
    return Deployment(
        folder, line_count=20_000, is_sent_to=True, records_per_ms=50, key_count=key_count
    )


@contextmanager
def under_load(
    counts: Deployment, workers: int, interval_s: float = 0.2
) -> Iterator[tuple[Cluster, Sender]]:
    """A run with checkpoints behind it; stopped in the end, when all files are read and sent."""
    with counts.running(workers=workers, interval_s=interval_s) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        yield cluster, sender
        # Somebody else is sent to as well, perhaps.
        sender.wait_sent(2_000)
        counts.wait_lines()
        totals = sender.stop()
        assert cluster.stop() == 0
        assert all(line["lost"] == NOTHING_IF_FOUND for line in cluster.events("worker.lost"))
        assert cluster.errors == []
    counts.check(totals)


def test_workers_are_killed_one_two_and_all(tmp_path: Path) -> None:
    with under_load(loaded(tmp_path), workers=3) as (cluster, sender):
        everybody = {"w1", "w2", "w3"}
        holder = sender.worker(cluster)
        first, second = sorted(everybody - {holder})
        pids = {name: cluster.pid(name) for name in everybody}
        kill(cluster, first)
        line = cluster.wait_event("worker.lost")
        assert (line["worker"], line["epoch"]) == (first, 2)
        assert line["next"].startswith("all workers go back to checkpoint ")
        cluster.wait_ready(epoch=2)
        assert [cluster.pid(name) == pids[name] for name in (first, second, holder)] == [
            False,
            True,
            True,
        ]
        assert (sender.worker(cluster), sender.dialed) == (holder, 1)

        kill(cluster, holder)
        cluster.wait_ready(epoch=3)
        wait_until("the sender is back", lambda: sender.dialed > 1)

        kill(cluster, second, holder)
        cluster.wait_ready(epoch=5)

        kill(cluster, *everybody)
        cluster.wait_ready(epoch=8)


def joins(cluster: Cluster, worker: str) -> int:
    """How often a worker has joined so far."""
    return sum(line["worker"] == worker for line in cluster.events("worker.joined"))


def wait_joins(cluster: Cluster, worker: str, count: int) -> None:
    wait_until(f"{worker} has joined", lambda: joins(cluster, worker) >= count)


def wait_child(cluster: Cluster, known: set[int]) -> int:
    """The worker process that is not known yet, once it is there."""
    wait_until("it is started again", lambda: bool(children(cluster.process.pid) - known))
    (child,) = children(cluster.process.pid) - known
    return child


def test_a_worker_is_killed_again_while_it_comes_back(tmp_path: Path) -> None:
    with under_load(loaded(tmp_path), workers=2) as (cluster, _sender):
        known = children(cluster.process.pid)
        kill(cluster, "w2")
        for loss, has_joined in [(1, False), (2, True)]:
            cluster.wait_event("worker.lost", loss)
            joined = joins(cluster, "w2")
            successor = wait_child(cluster, known)
            if has_joined:
                wait_joins(cluster, "w2", joined + 1)
            os.kill(successor, signal.SIGKILL)
            known.add(successor)
        cluster.wait_ready(epoch=4)


def test_workers_are_killed_in_the_middle_of_checkpoints(tmp_path: Path) -> None:
    counts = loaded(tmp_path, key_count=10_000)
    with under_load(counts, workers=2, interval_s=0.05) as (cluster, _sender):
        for epoch, victim in [(2, "w1"), (3, "w2")]:
            wait_until("a checkpoint is being saved", lambda: is_saving(counts.store))
            kill(cluster, victim)
            cluster.wait_ready(epoch)


def test_the_initializer_is_killed_and_the_command_run_again(tmp_path: Path) -> None:
    counts = loaded(tmp_path)
    sender: Sender | None = None
    for workers in (2, 1):
        with counts.running(workers=workers) as cluster:
            cluster.wait_ready()
            sender = sender or counts.sender()
            sender.wait_sent(2_000)
            wait_checkpoints(counts.store)
            kill_initializer(cluster)
            assert len(cluster.events("initializer.lost")) == workers
    with counts.running(workers=3) as cluster:
        cluster.wait_ready()
        (line,) = cluster.events("checkpoint.selected")
        assert line["keys"] == 3 * counts.key_count
        # What was half written is not there any more.
        assert [*counts.store.rglob("*#*")] == []
        assert sender is not None
        sender.wait_sent(2_000)
        counts.wait_lines()
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


def test_a_worker_is_killed_while_the_cluster_stops(tmp_path: Path) -> None:
    counts = loaded(tmp_path)
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        # So that it cannot be done before it is killed.
        os.kill(cluster.pid("w2"), signal.SIGSTOP)
        cluster.signal(signal.SIGINT)
        cluster.wait_event("cluster.draining")
        kill(cluster, "w2")
        assert cluster.wait_end() == 1
        error, hint = cluster.errors
    assert "worker w2 was lost" in error
    assert "while the cluster was stopping" in error
    assert "nothing is lost: the same command continues" in hint
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        counts.wait_lines()
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


def test_changes_that_were_not_told_are_forgotten_with_the_process(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True)
    counts.options += ["--quiet-prefix", "quiet"]
    with counts.running(workers=1, interval_s=0.1) as cluster:
        cluster.wait_ready()
        send_bytes(counts.port, framed(b"told 1", b"quiet 1", b"quiet 2"))
        # Behind these the journal is not looked at any more.
        wait_checkpoints(counts.store, 2)
        os.kill(cluster.pid("w1"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        send_bytes(counts.port, framed(b"told 2", b"quiet 3"))
        wait_checkpoints(counts.store, 2)
        assert cluster.stop() == 0
    expected = ["told 1", "quiet 1", "quiet 2", "told 2", "quiet 1"]
    assert lines_in(counts.sent) == Counter(expected)
