"""Senders whose worker leaves while much goes wrong: a slow sink, takers that fail, few files."""

import contextlib
import os
import resource
import signal
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.durable import Sender, Total, check_same, totals_in
from tests.cluster.harness import (
    WAIT_S,
    Receiver,
    framed,
    hand_over_lines,
    hand_over_path,
    lines_of,
    listening_ports,
    wait_until,
)
from tests.cluster.test_hand_over import StreamingSender, worker_of
from tests.cluster.test_resize import NUMBERS, ResizableCluster, check_order, cluster_of, options

pytestmark = pytest.mark.cluster

CONNECTIONS = 1000
KERNEL_BYTES = 1 << 16
STUCK_LOOKS = 30
RECORDS_MANY = 30_000
"""Far more than come out before all sources wait; the system keeps the rest."""
PADDED = ("--width", "2000")
"""Options to put out much, so that all senders soon notice a sink that stands still."""


def open_count(cluster: ResizableCluster, worker: str) -> int:
    """How many files a worker has open."""
    return len(os.listdir(f"/proc/{cluster.pid(worker)}/fd"))


def wait_stuck(senders: list[StreamingSender]) -> None:
    """Wait until nothing of what they send is read any more."""
    seen: list[int] = []

    def is_stuck() -> bool:
        seen.append(sum(sender.sent for sender in senders))
        return seen[-1] > 0 and seen[-STUCK_LOOKS:] == [seen[-1]] * STUCK_LOOKS

    wait_until("senders stand still", is_stuck)


def wait_resting(cluster: ResizableCluster, worker: str) -> None:
    """Wait until a worker that is about to leave accepts nobody."""
    port, pid = cluster.source_port(), cluster.pid(worker)
    wait_until("it accepts nobody", lambda: port not in listening_ports(pid))


class PatientReceiver(Receiver):
    """Waits before it reads what one worker puts out, until it may; reads on from the others."""

    slow: socket.socket | None = None

    def _read(self, accepted: socket.socket, chunks: list[bytes]) -> None:
        with contextlib.suppress(OSError), accepted:
            while chunk := self._next(accepted):
                chunks.append(chunk)

    def _next(self, accepted: socket.socket) -> bytes:
        if accepted is self.slow:
            self.may_read.wait()
        return accepted.recv(1 << 18)

    def be_slow(self, cluster: ResizableCluster, worker: str) -> None:
        """Wait from now on before reading from ``worker``."""
        self.may_read.clear()
        pid = cluster.pid(worker)
        (self.slow,) = [each for each in self._sockets if cluster.pid_of_connection(each) == pid]


def ask_and_stop(
    cluster: ResizableCluster, leaver: str, failing: str, receiver: PatientReceiver
) -> None:
    """Have a worker leave, and a taker do nothing any more when it is offered its share.

    The one that leaves takes its time, since its sink alone is slow. A taker that was stopped while
    its own sink is slow would keep all senders waiting.
    """
    cluster.ask([], [leaver])
    wait_resting(cluster, leaver)
    pid = cluster.pid(failing)
    path = hand_over_path(pid)
    os.kill(pid, signal.SIGSTOP)
    receiver.may_read.set()
    wait_until("it is offered its share", lambda: ("0", path) in hand_over_lines())


def test_a_thousand_connections_change_their_worker_again_and_again(tmp_path: Path) -> None:
    receiver = Receiver()
    with cluster_of(tmp_path, *options(receiver, 1, *NUMBERS)) as cluster, ExitStack() as stack:
        alone = open_count(cluster, "w1")
        where = ("127.0.0.1", cluster.source_port())
        connections = [
            stack.enter_context(socket.create_connection(where, WAIT_S)) for _ in range(CONNECTIONS)
        ]
        expected: list[bytes] = []

        def send_around(joining: list[str], leaving: list[str]) -> None:
            """Send a record over each before the change, one cut in two by it, and one behind."""
            first = len(expected) // CONNECTIONS
            behind = []
            for number, connection in enumerate(connections):
                records = [f"s{number} {first + offset}".encode() for offset in range(3)]
                expected.extend(records)
                data = framed(*records)
                cut = len(data) // 2
                connection.sendall(data[:cut])
                behind.append(data[cut:])
            cluster.resize(joining, leaving)
            for connection, data in zip(connections, behind, strict=True):
                connection.sendall(data)
            wait_until("all came", lambda: receiver.line_count() == len(expected))

        send_around(["w2", "w3"], ["w1"])
        shares = [open_count(cluster, "w2"), open_count(cluster, "w3")]
        assert min(shares) >= CONNECTIONS // 2
        assert max(shares) < CONNECTIONS // 2 + 100
        send_around(["w4"], ["w2"])
        send_around([], ["w3"])
        assert open_count(cluster, "w4") >= CONNECTIONS
        stack.close()
        wait_until("no file is left", lambda: open_count(cluster, "w4") <= alone)
        assert cluster.stop() == 0
        assert [line for line in cluster.log if line["level"] in ("warning", "error")] == []
    output = receiver.finish()
    assert lines_of(output) == Counter(expected)
    check_order(output)


def test_connections_that_wait_for_a_slow_sink_go_on_elsewhere(tmp_path: Path) -> None:
    receiver = Receiver(kernel_bytes_max=KERNEL_BYTES)
    receiver.may_read.clear()
    with cluster_of(tmp_path, *options(receiver, 3, *NUMBERS, *PADDED)) as cluster:
        senders = [StreamingSender(cluster.source_port(), f"s{number}") for number in range(4)]
        wait_stuck(senders)
        leaver = worker_of(cluster, senders[0])
        cluster.ask([], [leaver])
        wait_resting(cluster, leaver)
        receiver.may_read.set()
        facts = cluster.answer()
        assert isinstance(facts, dict), facts
        for sender in senders:
            assert worker_of(cluster, sender) in facts["workers"]
            sender.wait_sent(1000)
        expected = [line for sender in senders for line in sender.finish()]
        assert cluster.stop() == 0
        assert cluster.events("source_connections.closed") == []
    output = receiver.finish()
    assert Counter(map(bytes.rstrip, lines_of(output).elements())) == Counter(expected)
    check_order(output)


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "silent"])
def test_a_taker_that_fails_in_the_middle_cuts_nobody_else_off(
    tmp_path: Path, is_killed: bool
) -> None:
    state = tmp_path / "state"
    receiver = PatientReceiver(kernel_bytes_max=KERNEL_BYTES)
    durable = ["--resilience-dir", str(state), "--checkpoint-interval", "60"]
    durable += ["--worker-timeout", "2"]
    with cluster_of(tmp_path, *options(receiver, 3, *durable, *PADDED)) as cluster:
        senders = [
            Sender(cluster.source_port(), state / "journals", f"s{number}").start()
            for number in range(6)
        ]
        workers = [sender.worker(cluster) for sender in senders]
        ((leaver, count),) = Counter(workers).most_common(1)
        assert count >= 2, "each taker is to get a share"
        failing = next(name for name in ("w1", "w2", "w3") if name != leaver)
        receiver.be_slow(cluster, leaver)
        many = sum(each.sent for each in senders) + RECORDS_MANY
        wait_until("much is sent", lambda: sum(each.sent for each in senders) > many)
        ask_and_stop(cluster, leaver, failing, receiver)
        if is_killed:
            os.kill(cluster.pid(failing), signal.SIGKILL)
        assert isinstance(cluster.answer(), str)
        wait_until("it is ready again", lambda: cluster.ready()["epoch"] > 1)
        expected: dict[str, Total] = {}
        for sender, worker in zip(senders, workers, strict=True):
            sender.wait_sent(500)
            assert sender.dialed == 1 or worker == failing
            expected |= sender.stop()
        assert cluster.stop() == 0
        assert cluster.events("source_connections.closed") == []
    check_same(totals_in(state), expected)
    receiver.close()


def test_without_checkpoints_a_taker_that_is_killed_cuts_nobody_else_off(tmp_path: Path) -> None:
    receiver = PatientReceiver(kernel_bytes_max=KERNEL_BYTES)
    with cluster_of(tmp_path, *options(receiver, 3, *NUMBERS, *PADDED)) as cluster:
        senders = [StreamingSender(cluster.source_port(), f"s{number}") for number in range(6)]
        workers = {sender: worker_of(cluster, sender) for sender in senders}
        ((leaver, _),) = Counter(workers.values()).most_common(1)
        failing = next(name for name in ("w1", "w2", "w3") if name != leaver)
        receiver.be_slow(cluster, leaver)
        wait_stuck(senders)
        ask_and_stop(cluster, leaver, failing, receiver)
        os.kill(cluster.pid(failing), signal.SIGKILL)
        assert isinstance(cluster.answer(), str)
        wait_until("it is ready again", lambda: cluster.ready()["epoch"] > 1)
        for sender, worker in workers.items():
            if worker == failing:
                sender.connection.close()
                continue
            sender.wait_sent(1000)
            assert worker_of(cluster, sender) == worker
            sender.finish()
        assert cluster.events("source_connections.closed") == []
    receiver.close()


def test_a_taker_with_few_files_left_is_passed_by(tmp_path: Path) -> None:
    receiver = Receiver()
    with cluster_of(tmp_path, *options(receiver, 3, *NUMBERS)) as cluster:
        senders = [StreamingSender(cluster.source_port(), f"s{number}") for number in range(8)]
        wait_until("records flow", lambda: receiver.line_count() > 8_000)
        ((leaver, _),) = Counter(worker_of(cluster, each) for each in senders).most_common(1)
        few, other = sorted({"w1", "w2", "w3"} - {leaver})
        pid = cluster.pid(few)
        highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 4, hard))
        moved = [sender for sender in senders if worker_of(cluster, sender) == leaver]
        cluster.resize([], [leaver])
        assert {worker_of(cluster, sender) for sender in moved} == {other}
        for sender in senders:
            sender.wait_sent(1000)
        expected = [line for sender in senders for line in sender.finish()]
        assert cluster.stop() == 0
        (refused,) = cluster.events("source_connections.takeover_failed")
        assert f"of {highest + 4} allowed files open" in refused["reason"]
        assert len(cluster.events("source_connections.handed_over")) == 1
        assert cluster.events("source_connections.closed") == []
    output = receiver.finish()
    assert lines_of(output) == Counter(expected)
    check_order(output)
