"""Journals that are missing or too short: a run goes on without them only if it is allowed."""

import os
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cluster.counted import get
from tests.cluster.durable import (
    Deployment,
    accepted_in,
    kill_initializer,
    newest_manifest,
    payloads_of,
    totals_in,
    totals_of,
    wait_checkpoints,
)
from tests.cluster.harness import Cluster, framed, free_port, is_gone, running, wait_until
from tests.hosts.sites import write_secret
from wallaroo_cli.checkpoints import main as checkpoints_command

pytestmark = pytest.mark.cluster

KEYS = 50
FIRST, SECOND = 500, 80


def numbers(first: int, last: int) -> bytes:
    return framed(*payloads_of("sent", range(first, last), KEYS))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed: 500 records in checkpoints, 80 in its journal alone."""
    folder = tmp_path_factory.mktemp("killed")
    counts = Deployment(folder, is_sent_to=True, key_count=KEYS)
    with counts.running(workers=1, interval_s=0.1) as cluster:
        cluster.wait_ready()
        with socket.create_connection(("127.0.0.1", counts.port)) as connection:
            connection.sendall(numbers(0, FIRST))
            wait_accepted(counts.journals, FIRST)
            wait_checkpoints(counts.store)
            # From now on no checkpoint is committed.
            cluster.signal(signal.SIGSTOP)
            connection.sendall(numbers(FIRST, FIRST + SECOND))
            wait_accepted(counts.journals, FIRST + SECOND)
            kill_initializer(cluster)
    return folder


def wait_accepted(journals: Path, count: int) -> None:
    wait_until(f"{count} records are accepted", lambda: accepted_in(journals, "sent") >= count)


@pytest.fixture
def counts(killed: Path, tmp_path: Path) -> Deployment:
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return Deployment(tmp_path, is_sent_to=True, key_count=KEYS)


def segment_of(counts: Deployment) -> Path:
    (path,) = (path for path in counts.journals.glob("w1-*/*") if path.stat().st_size > 100)
    return path


def named_end(counts: Deployment) -> int:
    """How long the newest checkpoint says that the journal was."""
    (position,) = newest_manifest(counts.store).journal_positions()
    assert position.least_end < segment_of(counts).stat().st_size
    return position.least_end


def cut_short(counts: Deployment) -> tuple[Path, str]:
    path = segment_of(counts)
    end = named_end(counts)
    os.truncate(path, 3000)
    return path, f"it holds 3,000 bytes, and had at least {end:,}"


def cut_to_half_a_header(counts: Deployment) -> tuple[Path, str]:
    path = segment_of(counts)
    end = named_end(counts)
    os.truncate(path, 5)
    return path, f"it holds 5 bytes, and had at least {end:,}"


def end_with_zeros(counts: Deployment) -> tuple[Path, str]:
    path = segment_of(counts)
    end, length = named_end(counts), path.stat().st_size
    os.truncate(path, 10)
    os.truncate(path, length)
    return path, f"it holds 10 bytes, and had at least {end:,}"


def delete_journal(counts: Deployment) -> tuple[Path, str]:
    folder = segment_of(counts).parent
    end = named_end(counts)
    shutil.rmtree(folder)
    return folder, f"there is no such journal, and it had at least {end:,} bytes"


def delete_folder(counts: Deployment) -> tuple[Path, str]:
    folder, what = delete_journal(counts)
    shutil.rmtree(counts.journals)
    return folder, what


@pytest.mark.parametrize(
    "spoil", [cut_short, cut_to_half_a_header, end_with_zeros, delete_journal, delete_folder]
)
def test_what_is_missing_of_a_journal_is_refused_by_the_start_and_found_by_verify(
    counts: Deployment, spoil: Callable[[Deployment], tuple[Path, str]]
) -> None:
    path, what = spoil(counts)
    found = CliRunner().invoke(checkpoints_command, ["verify", str(counts.store)])
    assert found.exit_code == 1
    assert f"Error: {path}: " in found.stderr
    assert what in found.stderr
    with counts.running(workers=2) as cluster:
        assert cluster.wait_end() == 1
        assert not cluster.events("application.ready")
        error, hint = cluster.errors
        (line,) = cluster.events("journals.lost")
    assert f"{path}: " in error
    assert what in error
    assert "--allow-lost-input" in hint
    assert (line["level"], line["file"], line["next"]) == ("error", str(path), "the run stops")


def test_with_allow_lost_input_a_run_goes_on_from_what_is_there(counts: Deployment) -> None:
    delete_folder(counts)
    with counts.running("--allow-lost-input", workers=2) as cluster:
        cluster.wait_ready()
        (line,) = cluster.events("journals.lost")
        assert line["next"] == "the run continues without it"
        assert cluster.stop() == 0
    assert totals_in(counts.store) == totals_of("sent", FIRST, KEYS)
    # What was given up is asked for no more.
    with counts.running(workers=1) as cluster:
        cluster.wait_ready()
        assert cluster.stop() == 0


def test_nothing_is_missing_where_nothing_is(counts: Deployment) -> None:
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        assert cluster.stop() == 0
        assert not cluster.events("journals.lost")
    assert totals_in(counts.store) == totals_of("sent", FIRST + SECOND, KEYS)
    # After a stop in order all of the journals is in the checkpoint: they may stay behind.
    shutil.rmtree(counts.journals)
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        assert cluster.stop() == 0
    assert totals_in(counts.store) == totals_of("sent", FIRST + SECOND, KEYS)


class TwoHosts:
    """Workers a and b, each with an agent and a folder of journals of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = Deployment(folder, is_sent_to=True, key_count=KEYS)
        self._control = f"127.0.0.1:{free_port()}"
        self._secret = ["--secret-file", str(write_secret(folder))]

    def initializer(self, *options: str) -> AbstractContextManager[Cluster]:
        own = ["--control", self._control, "--expect-workers", "2", *self._secret]
        page = ["--dashboard", "127.0.0.1:0"]
        return self.counts.running(*own, *page, *options, workers=0, interval_s=600)

    def agent(self, name: str, journals: Path) -> AbstractContextManager[Cluster]:
        own = ["--join", self._control, "--name", name, "--journal-dir", str(journals)]
        return running(self.folder, "counts", *self.counts.options, *own, *self._secret)


@pytest.mark.parametrize("is_allowed", [False, True], ids=["refused", "allowed"])
def test_a_worker_that_comes_back_without_its_disk_is_not_passed_over(
    tmp_path: Path, is_allowed: bool
) -> None:
    hosts = TwoHosts(tmp_path)
    port, disks = hosts.counts.port, {name: tmp_path / f"disk-{name}" for name in "ab"}
    options = ["--allow-lost-input"] if is_allowed else []
    with (
        hosts.initializer(*options) as cluster,
        hosts.agent("a", disks["a"]) as agent_a,
        hosts.agent("b", disks["b"]) as agent_b,
    ):
        cluster.wait_ready()
        url = str(cluster.wait_event("dashboard.listening")["url"])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(numbers(0, FIRST))
            where = "the records are accepted"
            wait_until(where, lambda: any(accepted_in(each, "sent") for each in disks.values()))
            (lost,) = (name for name, disk in disks.items() if accepted_in(disk, "sent"))
            worker = cluster.pid(lost)
            (agent_a if lost == "a" else agent_b).signal(signal.SIGKILL)
            wait_until("its worker has ended", lambda: is_gone(worker))
        shutil.rmtree(disks[lost])
        with hosts.agent(lost, tmp_path / "new-disk"):
            line = cluster.wait_event("journals.lost")
            assert line["level"] == "error"
            assert (line["worker"], line["journal"]) == (lost, f"{lost}-0000000001")
            assert line["file"] == str(tmp_path / "new-disk" / line["journal"])
            if not is_allowed:
                assert cluster.wait_end() == 1
                assert "--allow-lost-input" in cluster.errors[-1]
                return
            cluster.wait_ready(epoch=2)
            snapshot = get(f"{url}api/snapshot")
            assert line["journal"] in " ".join(snapshot["health"]["reasons"])
            assert "journals.lost" in [event["kind"] for event in snapshot["events"]]
            assert cluster.stop() == 0
