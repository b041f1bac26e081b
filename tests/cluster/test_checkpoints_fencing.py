"""A run that takes checkpoints over has them, and the earlier one ends with an error."""

import os
import signal
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Deployment,
    check_same,
    manifest_numbers,
    newest_manifest,
    payloads_of,
    totals_in,
    totals_of,
    wait_checkpoints,
)
from tests.cluster.harness import (
    Cluster,
    Receiver,
    framed,
    is_gone,
    running,
    send_bytes,
    wait_until,
)

pytestmark = pytest.mark.cluster

KEYS = 50


def numbers(first: int, last: int) -> bytes:
    """The numbers from first to last, ready to be sent."""
    return framed(*payloads_of("sent", range(first, last), KEYS))


def check_fenced(cluster: Cluster, pids: list[int]) -> None:
    assert cluster.wait_end() == 1
    wait_until("all of its workers have ended", lambda: all(map(is_gone, pids)))
    error, hint = cluster.errors
    # By its lease or by its next checkpoint, whichever is sooner.
    assert " were taken over by process " in error or " cannot be committed to " in error
    assert "another wallaroo-run continues from these checkpoints" in hint
    assert not cluster.ready_path.exists()


def options_of(store: Path, receiver: Receiver) -> list[str]:
    options = ["--in", "127.0.0.1:0", "--out", receiver.address]
    return [*options, "--resilience-dir", str(store)]


def test_a_run_that_takes_over_fences_off_the_first(tmp_path: Path) -> None:
    receiver, store = Receiver(), tmp_path / "checkpoints"
    options = [*options_of(store, receiver), "--workers", "2", "--checkpoint-interval", "0.1"]
    with running(tmp_path, "counts", *options) as first:
        first.wait_ready()
        send_bytes(first.source_port(), numbers(0, 1_000))
        wait_until("all is counted", lambda: receiver.line_count() == 1_000)
        wait_checkpoints(store)
        pids = first.pids()
        with running(tmp_path, "counts", *options, "--take-over") as second:
            second.wait_ready()
            check_fenced(first, pids)
            send_bytes(second.source_port(), numbers(1_000, 2_000))
            wait_checkpoints(store)
            assert newest_manifest(store).epoch == second.ready()["epoch"]
            assert second.stop() == 0
            assert second.errors == []
    check_same(totals_in(store), totals_of("sent", 2_000, KEYS))


def test_a_run_that_sleeps_and_wakes_up_behind_another_commits_and_spoils_nothing(
    tmp_path: Path,
) -> None:
    receiver, store = Receiver(), tmp_path / "checkpoints"
    options = options_of(store, receiver)
    rare = ["--workers", "3", "--checkpoint-interval", "1", "--keep-checkpoints", "1"]
    often = ["--workers", "2", "--checkpoint-interval", "0.1", "--keep-checkpoints", "1000"]
    with running(tmp_path, "counts", *options, *rare) as first:
        first.wait_ready()
        send_bytes(first.source_port(), numbers(0, 1_000))
        wait_until("all is counted", lambda: receiver.line_count() == 1_000)
        # It has committed when it deletes what it does not keep.
        wait_until("a checkpoint is committed", lambda: 1 not in manifest_numbers(store))
        first.signal(signal.SIGSTOP)
        pids = first.pids()
        # Awake, it begins the very epoch that the second run is in, with the same workers. It may
        # also notice first that it is fenced.
        os.kill(first.pid("w3"), signal.SIGKILL)
        with running(tmp_path, "counts", *options, *often, "--take-over") as second:
            second.wait_ready()
            assert second.ready()["epoch"] == first.ready()["epoch"] + 1
            send_bytes(second.source_port(), numbers(1_000, 2_000))
            wait_checkpoints(store, 5)
            first.signal(signal.SIGCONT)
            check_fenced(first, [pid for pid in pids if pid != first.process.pid])
            wait_checkpoints(store)
            assert newest_manifest(store).members == ["w1", "w2"]
            assert second.stop() == 0
            assert second.errors == []
    check_same(totals_in(store), totals_of("sent", 2_000, KEYS))


def test_a_second_run_with_the_same_output_files_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    counts = Deployment(tmp_path, line_count=30_000, records_per_ms=1)
    with counts.running(workers=1) as first:
        first.wait_ready()
        with counts.running("--take-over", workers=1) as second:
            assert second.wait_end() == 2
            error, hint = second.errors
            assert "is being written by another run" in error
            assert "stop that run" in hint
        wait_checkpoints(counts.store)
        assert first.stop() == 0
    # The second has not even begun an epoch.
    assert newest_manifest(counts.store).epoch == 1
