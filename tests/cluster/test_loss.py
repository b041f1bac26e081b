"""Workers that are killed, and unauthenticated peers at their ports: the cluster goes on."""

import contextlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.cluster import harness
from tests.cluster.harness import (
    Cluster,
    Receiver,
    framed,
    is_gone,
    listening_ports,
    running,
    send_bytes,
    wait_processed,
    wait_until,
)
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES, Handshake, Purpose, Side

pytestmark = pytest.mark.cluster

KEYS = [f"key{number}" for number in range(30)]
ROUND = framed(*(key.encode() for key in KEYS))
"""One record for each key."""


class Output:
    """What the application said of each key: its running totals, and who counted them."""

    def __init__(self, receiver: Receiver) -> None:
        self.totals: dict[str, list[int]] = {key: [] for key in KEYS}
        self.pids: dict[str, list[int]] = {key: [] for key in KEYS}
        for data in receiver.connections:
            for line in data[: data.rfind(b"\n") + 1].decode().splitlines():
                key, total, pid = line.split()
                self.totals[key].append(int(total))
                self.pids[key].append(int(pid))

    def owners(self) -> dict[str, int]:
        """The process that counted a key last."""
        return {key: pids[-1] for key, pids in self.pids.items()}


class Trickle:
    """A sender that goes on slowly over a connection of its own; dials anew when it is cut off."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port)) as connection,
            ):
                while not self._stopping.wait(0.005):
                    connection.sendall(framed(b"key0"))


@contextlib.contextmanager
def tally(folder: Path, *options: str) -> Iterator[tuple[Cluster, Receiver]]:
    """The tally application, ready, with a receiver."""
    receiver = Receiver()
    addresses = ["--in", "127.0.0.1:0", "--out", receiver.address]
    with running(folder, "tally", *addresses, *options) as cluster:
        cluster.wait_ready()
        yield cluster, receiver
    receiver.close()


def send_rounds(cluster: Cluster, count: int) -> None:
    """Send a record for each key, each time over a new connection."""
    for _ in range(count):
        send_bytes(cluster.source_port(), ROUND)


def wait_totals(receiver: Receiver, count: int) -> Output:
    """Wait until each key has so many totals; return them."""
    wait_until(
        f"{count} totals for each key",
        lambda: all(len(totals) >= count for totals in Output(receiver).totals.values()),
    )
    return Output(receiver)


def kill(cluster: Cluster, *workers: str) -> None:
    """End the processes of workers as the system does when memory runs out."""
    for pid in [cluster.pid(worker) for worker in workers]:
        os.kill(pid, signal.SIGKILL)


def check_totals(output: Output, lost: set[str], rounds_before: int, rounds_after: int) -> None:
    """Keys of workers that lived count on; those of lost ones began anew."""
    before = list(range(1, rounds_before + 1))
    for key, totals in output.totals.items():
        if key not in lost:
            assert sorted(totals) == list(range(1, rounds_before + rounds_after + 1)), key
            continue
        # The successor gets again what its predecessor had, but had not yet said so.
        again = len(totals) - rounds_before
        assert rounds_after <= again <= rounds_before + rounds_after, key
        assert sorted(totals) == sorted(before + list(range(1, again + 1))), key


def test_a_killed_worker_is_back_at_once_and_the_others_keep_their_totals(tmp_path: Path) -> None:
    with tally(tmp_path, "--workers", "3") as (cluster, receiver):
        first = cluster.ready()
        send_rounds(cluster, 3)
        owners = wait_totals(receiver, 3).owners()
        lost = {key for key, pid in owners.items() if pid == cluster.pid("w2")}
        assert 0 < len(lost) < len(KEYS)
        kill(cluster, "w2")
        line = cluster.wait_event("worker.lost")
        assert (line["level"], line["worker"], line["epoch"]) == ("warning", "w2", 2)
        assert "SIGKILL" in line["reason"]
        assert line["lost"] == "its state and the records it held"
        again = cluster.wait_ready(epoch=2)
        cluster.wait_event("application.ready_again")
        pids = [[worker["pid"] for worker in facts["workers"]] for facts in (first, again)]
        assert [old == new for old, new in zip(*pids, strict=True)] == [True, False, True]
        assert again["sources"] == first["sources"]
        send_rounds(cluster, 4)
        wait_totals(receiver, 7)
        assert cluster.stop() == 0
        assert all(is_gone(pid) for pid in [*pids[0], *pids[1]])
        assert cluster.events("cluster.drained")[0]["failure_count"] == 0
    check_totals(Output(receiver), lost, 3, 4)


def test_two_workers_killed_at_once_are_both_back(tmp_path: Path) -> None:
    with tally(tmp_path, "--workers", "3") as (cluster, receiver):
        send_rounds(cluster, 2)
        owners = wait_totals(receiver, 2).owners()
        survivor = cluster.pid("w1")
        lost = {key for key, pid in owners.items() if pid != survivor}
        kill(cluster, "w2", "w3")
        cluster.wait_event("worker.lost", 2)
        cluster.wait_ready(epoch=3)
        assert cluster.pid("w1") == survivor
        send_rounds(cluster, 2)
        wait_totals(receiver, 4)
        assert cluster.stop() == 0
        assert len(cluster.events("worker.lost")) == 2
    check_totals(Output(receiver), lost, 2, 2)


def test_a_worker_that_is_killed_again_and_again_is_back_each_time_while_records_come(
    tmp_path: Path,
) -> None:
    with tally(tmp_path, "--workers", "3") as (cluster, receiver):
        with Trickle(cluster.source_port()):
            for epoch in (2, 3):
                kill(cluster, "w2")
                cluster.wait_ready(epoch)
        count = Counter(Output(receiver).pids["key1"]).total()
        send_rounds(cluster, 1)
        wait_until("they are counted", lambda: len(Output(receiver).pids["key1"]) == count + 1)
        assert cluster.stop() == 0
        assert [line["worker"] for line in cluster.events("worker.lost")] == ["w2", "w2"]
        assert len(cluster.events("application.ready_again")) == 2
        assert cluster.errors == []


def test_a_worker_killed_while_another_is_started_again_does_not_stop_the_cluster(
    tmp_path: Path,
) -> None:
    with tally(tmp_path, "--workers", "3") as (cluster, receiver):
        other = cluster.pid("w3")
        kill(cluster, "w2")
        cluster.wait_event("worker.lost")
        os.kill(other, signal.SIGKILL)
        cluster.wait_ready(epoch=3)
        send_rounds(cluster, 1)
        wait_totals(receiver, 1)
        assert cluster.stop() == 0


def test_a_stop_asked_for_while_a_worker_is_away_ends_in_order(tmp_path: Path) -> None:
    with tally(tmp_path, "--workers", "2") as (cluster, receiver):
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as connection:
            survivor = cluster.pid_of_connection(connection)
            victim = next(pid for pid in cluster.pids()[1:] if pid != survivor)
            os.kill(victim, signal.SIGKILL)
            cluster.wait_event("worker.lost")
            connection.sendall(ROUND)
            wait_processed(connection)
        assert cluster.stop() == 0
    # What was for the lost worker has waited for its successor.
    output = Output(receiver)
    assert set(map(len, output.totals.values())) == {1}
    assert victim not in output.owners().values()


def test_without_restarts_a_loss_ends_the_run(tmp_path: Path) -> None:
    with tally(tmp_path, "--workers", "2", "--no-restart") as (cluster, _receiver):
        pids = cluster.pids()
        kill(cluster, "w1")
        assert cluster.wait_end() == 1
        assert all(is_gone(pid) for pid in pids)
        (error,) = (line for line in cluster.errors if line.startswith("Error: "))
    assert "worker w1 was lost" in error
    assert "--no-restart is set" in error


def test_a_record_that_kills_its_worker_each_time_ends_the_run_after_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the installed command, but it waits less between two starts.
    command = tmp_path / "wallaroo-run"
    command.write_text(
        f"#!{harness.COMMANDS / 'python'}\n"
        "from wallaroo.coordinator import restart_policy\n"
        "from wallaroo_cli.run import main\n"
        "restart_policy.BACK_OFF_MAX_S = 0.1\n"
        "main()\n"
    )
    command.chmod(0o755)
    monkeypatch.setattr(harness, "COMMANDS", tmp_path)
    with tally(tmp_path, "--workers", "2", "--max-restarts", "3") as (cluster, receiver):
        send_rounds(cluster, 1)
        owner = wait_totals(receiver, 1).owners()["key0"]
        pids = cluster.pids()
        # Through the worker that lives on, which sends the record to each successor.
        send_through_another(cluster, owner, framed(b"poison key0"))
        assert cluster.wait_end() == 1
        assert all(is_gone(pid) for pid in pids)
        assert len(cluster.events("worker.lost")) == 4
        # The others were asked to stop; to them the initializer was not lost.
        assert cluster.events("initializer.lost") == []
        error, hint = cluster.errors
    assert error.startswith("Error: worker w")
    assert "was lost 4 times within 60 s" in error
    assert hint.startswith("hint: something ends the worker again and again")


def send_through_another(cluster: Cluster, owner: int, data: bytes) -> None:
    """Send to any worker but the owner, over a connection of its own."""
    while True:
        with socket.create_connection(("127.0.0.1", cluster.source_port())) as connection:
            if cluster.pid_of_connection(connection) != owner:
                connection.sendall(data)
                wait_processed(connection)
                return


# Unauthenticated peers


def refused(port: int, data: bytes) -> str:
    """Send data to a port between processes until it closes; return the address of this side."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        host, own_port = connection.getsockname()
        with contextlib.suppress(ConnectionResetError):
            connection.sendall(data)
            while connection.recv(1 << 16):
                pass
        return f"{host}:{own_port}"


def refused_with_wrong_secret(port: int, purpose: Purpose) -> str:
    """As a worker of another run would: speak the protocol, without knowing the secret."""
    handshake = Handshake(Side.DIALER, purpose, b"another secret", os.urandom(NONCE_BYTES))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        host, own_port = connection.getsockname()
        connection.sendall(handshake.first_bytes())
        opening = connection.recv(len(MAGIC) + NONCE_BYTES + PROOF_BYTES, socket.MSG_WAITALL)
        assert len(opening) == len(MAGIC) + NONCE_BYTES + PROOF_BYTES
        connection.sendall(b"\0" * PROOF_BYTES)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        return f"{host}:{own_port}"


def test_unauthenticated_peers_at_the_ports_between_processes_are_refused(tmp_path: Path) -> None:
    with tally(tmp_path, "--workers", "2") as (cluster, receiver):
        control_port = int(cluster.ready()["control"].rpartition(":")[2])
        data_ports = listening_ports(cluster.pid("w1")) - {cluster.source_port()}
        (data_port,) = data_ports
        for port, event, purpose in [
            (control_port, "control.rejected", Purpose.CONTROL),
            (data_port, "link.rejected", Purpose.DATA),
        ]:
            peers = [
                refused(port, b"GET / HTTP/1.1\r\n\r\n"),
                refused(port, b"\xff" * 100_000),
                refused_with_wrong_secret(port, purpose),
            ]
            cluster.wait_event(event, 3)
            lines = cluster.events(event)
            assert [line["peer"] for line in lines] == peers
            reasons = [line["reason"] for line in lines]
            assert reasons[0] == reasons[1] == "the peer does not speak this release's protocol"
            assert reasons[2] == "the peer does not know this cluster's secret"
        send_rounds(cluster, 1)
        wait_totals(receiver, 1)
        assert cluster.stop() == 0
        assert cluster.events("worker.lost") == []
        assert len(cluster.events("control.rejected")) == len(cluster.events("link.rejected")) == 3
