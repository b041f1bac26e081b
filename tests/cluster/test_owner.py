"""Who owns a store of checkpoints: real runs, one after the other and beside each other.

Containers are namespaces of processes here: in each of them the initializer is process 1.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.durable import wait_checkpoints, write_application
from tests.cluster.harness import Cluster, Receiver, running
from tests.cluster.seaweed import ACCESS_KEY, SECRET_KEY, S3Server
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
    assert second.events("checkpoint.begin") == []


def test_a_second_start_is_refused_and_the_first_run_goes_on(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_application(tmp_path)
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
    write_application(tmp_path)
    given = options(str(tmp_path / "state"), receiver)
    for number in range(2):
        with running(tmp_path, "counts", *given) as run:
            run.wait_ready(epoch=number + 1)
            assert run.events("owner.awaited") == []
            run.signal(signal.SIGKILL)


@pytest.mark.parametrize("kind", ["folder", "S3"])
def test_in_containers_who_lives_is_respected_and_who_was_killed_is_not(
    kind: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_containers()
    write_application(tmp_path)
    server = S3Server(tmp_path_factory.mktemp("seaweed")) if kind == "S3" else None
    store = "s3://checkpoints/owner" if server is not None else str(tmp_path / "state")
    given = options(store, receiver)
    if server is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    try:
        # The server is started beside the run, which waits for it.
        with running(tmp_path, "counts", *given, before=CONTAINER) as first:
            if server is not None:
                first.wait_event("store.awaited")
                server.start()
            first.wait_ready()
            with running(tmp_path, "counts", *given, before=CONTAINER) as second:
                check_refused(second, 1)
            first.signal(signal.SIGKILL)
            first.wait_end()
        begun_s = time.monotonic()
        with running(tmp_path, "counts", *given, before=CONTAINER) as again:
            again.wait_ready(epoch=2)
            assert again.events("owner.awaited") == []
            assert time.monotonic() - begun_s < LEASE_S
    finally:
        if server is not None:
            server.kill()


def test_a_run_on_a_host_that_cannot_be_seen_is_replaced_when_its_lease_has_run_out(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_application(tmp_path)
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
        second.wait_event("owner.awaited")
        second.wait_event("lease.damaged")
        begun_s = time.monotonic()
        second.wait_ready(epoch=2)
        assert time.monotonic() - begun_s > LEASE_S / 2
        assert second.stop() == 0
