"""Checkpoints of a user whom the permissions of files bind, as they do not bind root."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.cluster.durable import Deployment, newest, wait_checkpoints
from tests.cluster.harness import Cluster, is_gone, running

pytestmark = pytest.mark.cluster

OVERRIDES = "-dac_override,-dac_read_search"
BOUND = ("setpriv", f"--bounding-set={OVERRIDES}", f"--inh-caps={OVERRIDES}")


@pytest.fixture
def before() -> Sequence[str]:
    """What makes a command run as a user who cannot write against a file's permissions."""
    if os.geteuid() != 0:
        return ()
    # Not as somebody else: to such the interpreter may be closed.
    try:
        subprocess.run([*BOUND, "true"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root cannot give up its right to write everywhere")
    return BOUND


@pytest.fixture
def counts(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path, is_sent_to=True)


@contextmanager
def read_only(store: Path) -> Iterator[None]:
    """Take the permission to write in the folders of a store away."""
    folders = [store, store / "parts", store / "manifests", *store.glob("parts/*")]
    modes = {folder: folder.stat().st_mode for folder in folders if folder.exists()}
    for folder in modes:
        folder.chmod(0o500)
    try:
        yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)


def running_as(
    counts: Deployment, before: Sequence[str], *options: str
) -> AbstractContextManager[Cluster]:
    also = ["--workers", "2", "--checkpoint-interval", "0.1", *options]
    return running(counts.folder, "counts", *counts.options, *also, before=before)


def test_a_permission_that_is_taken_away_stops_checkpoints_only_and_for_as_long(
    counts: Deployment, before: Sequence[str]
) -> None:
    with running_as(counts, before) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        with read_only(counts.store):
            line = cluster.wait_event("checkpoint.failed", 3)
            assert line["level"] == "warning"
            assert "Permission denied" in line["reason"]
            assert str(counts.store) in line["reason"]
            assert "allow the user that runs wallaroo to read and write there" in line["hint"]
            last = newest(counts.store)
            sender.wait_sent(2_000)
            assert newest(counts.store) == last
        wait_checkpoints(counts.store)
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


def test_too_many_checkpoints_without_permission_end_the_run_and_nothing_is_lost(
    counts: Deployment, before: Sequence[str]
) -> None:
    with running_as(counts, before, "--max-checkpoint-failures", "2") as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        pids = cluster.pids()
        with read_only(counts.store):
            assert cluster.wait_end() == 1
        assert all(map(is_gone, pids))
        error, hint = cluster.errors
        assert error.startswith("Error: 3 checkpoints in a row could not be saved: ")
        assert "Permission denied" in error
        assert "nothing is lost: the same command continues" in hint
    with running_as(counts, before) as cluster:
        cluster.wait_ready()
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


def test_a_store_that_cannot_be_written_is_refused_at_the_start(
    counts: Deployment, before: Sequence[str]
) -> None:
    counts.store.mkdir(mode=0o500)
    with running_as(counts, before) as cluster:
        assert cluster.wait_end() == 1
    error, hint = cluster.errors
    assert str(counts.store) in error
    assert "allow the user that runs wallaroo to read and write there" in hint
