"""Who owns a store of checkpoints: real runs, one after the other and beside each other.

Containers are namespaces of processes here: in each of them the initializer is process 1.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.durable import payloads_of, wait_checkpoints
from tests.cluster.harness import Cluster, Receiver, framed, running, send_bytes, wait_until
from tests.cluster.seaweed import S3Server
from wallaroo.checkpoint.lease import LEASE_S
from wallaroo.checkpoint.owner import decode_owner

pytestmark = pytest.mark.cluster

CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def needs_containers() -> None:
    if subprocess.run([*CONTAINER, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make namespaces")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def options(store: str, receiver: Receiver) -> list[str]:
    return ["--in", "127.0.0.1:0", "--out", receiver.address, "--resilience-dir", store]


def check_refused(second: Cluster, pid: int) -> None:
    assert second.wait_end() == 1
    error, hint = second.errors
    assert "belong to a run that is alive: process" in error
    assert f"process {pid} on host" in error
    assert "(application counts, since 20" in error
    assert "--take-over" in hint
    assert second.events("checkpoint.selected") == []


def test_a_second_start_is_refused_and_the_first_run_goes_on(
    tmp_path: Path, receiver: Receiver
) -> None:
    store = tmp_path / "state"
    given = options(str(store), receiver)
    with running(tmp_path, "counts", *given) as first:
        first.wait_ready()
        with running(tmp_path, "counts", *given) as second:
            check_refused(second, first.process.pid)
        # One that stands still lives, too.
        first.signal(signal.SIGSTOP)
        with running(tmp_path, "counts", *given) as second:
            check_refused(second, first.process.pid)
        first.signal(signal.SIGCONT)
        wait_checkpoints(store)
        assert first.stop() == 0
    (last,) = (store / "owner").iterdir()
    assert decode_owner(last.read_bytes(), str(last)).is_released


def test_a_killed_run_does_not_delay_its_restart(tmp_path: Path, receiver: Receiver) -> None:
    given = options(str(tmp_path / "state"), receiver)
    for number in range(2):
        with running(tmp_path, "counts", *given) as run:
            run.wait_ready(epoch=number + 1)
            assert run.events("lease.waiting") == []
            run.signal(signal.SIGKILL)


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Server]:
    """An S3 server that is not started yet."""
    server = S3Server(tmp_path_factory.mktemp("seaweed"))
    server.use(monkeypatch)
    yield server
    server.kill()


@pytest.mark.parametrize("kind", ["folder", "S3"])
def test_in_containers_who_lives_is_respected_and_who_was_killed_is_not(
    kind: str, tmp_path: Path, receiver: Receiver, server: S3Server
) -> None:
    needs_containers()
    store = "s3://checkpoints/owner" if kind == "S3" else str(tmp_path / "state")
    given = options(store, receiver)
    # The server is started beside the run, which waits for it.
    with running(tmp_path, "counts", *given, before=CONTAINER) as first:
        if kind == "S3":
            assert first.wait_event("store.unavailable")["location"] == store
            server.start()
        first.wait_ready()
        with running(tmp_path, "counts", *given, before=CONTAINER) as second:
            check_refused(second, 1)
        first.signal(signal.SIGKILL)
        first.wait_end()
    begun_s = time.monotonic()
    with running(tmp_path, "counts", *given, before=CONTAINER) as again:
        again.wait_ready(epoch=2)
        assert again.events("lease.waiting") == []
        assert time.monotonic() - begun_s < LEASE_S


def test_a_store_that_goes_away_ends_neither_a_run_nor_its_recovery(
    tmp_path: Path, receiver: Receiver, server: S3Server
) -> None:
    server.start()
    with running(tmp_path, "counts", *options("s3://checkpoints/away", receiver)) as cluster:
        cluster.wait_ready()
        # Records that a checkpoint holds, so that the recovery has something to read.
        send_bytes(cluster.source_port(), framed(*payloads_of("sent", range(500), 50)))
        wait_until("all is counted", lambda: receiver.line_count() == 500)
        server.kill()
        cluster.wait_event("lease.renewal_failed")
        os.kill(cluster.pid("w1"), signal.SIGKILL)
        cluster.wait_event("worker.lost")
        server.start()
        cluster.wait_ready(epoch=2)
        assert cluster.stop() == 0


def test_a_run_on_a_host_that_cannot_be_seen_is_replaced_when_its_lease_has_run_out(
    tmp_path: Path, receiver: Receiver
) -> None:
    store = tmp_path / "state"
    given = options(str(store), receiver)
    with running(tmp_path, "counts", *given) as first:
        first.wait_ready()
        wait_checkpoints(store)
        first.signal(signal.SIGKILL)
        first.wait_end()
    (last,) = (store / "owner").iterdir()
    last.write_bytes(b"damaged")
    with running(tmp_path, "counts", *given) as second:
        second.wait_event("lease.waiting")
        second.wait_event("lease.damaged")
        begun_s = time.monotonic()
        second.wait_ready(epoch=2)
        assert time.monotonic() - begun_s > LEASE_S / 2
        assert second.stop() == 0
