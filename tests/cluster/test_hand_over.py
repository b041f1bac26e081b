"""Clusters of real processes whose senders notice nothing when the worker they send to leaves."""

import os
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Sender,
    Total,
    check_same,
    payloads_of,
    totals_in,
    wait_checkpoints,
)
from tests.cluster.harness import WAIT_S, Receiver, framed, lines_of, wait_until
from tests.cluster.test_resize import (
    KEYS,
    NUMBERS,
    ResizableCluster,
    check_order,
    cluster_of,
    options,
)

pytestmark = pytest.mark.cluster

PAYLOAD_BYTES = 500
"""So that what the system keeps of a connection is not many records."""


class StreamingSender:
    """Sends numbers over one connection, as fast as they are taken, until it is to finish."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.sent = 0
        self.connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self._finishing = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._finishing.is_set():
                numbers = range(self.sent, self.sent + 100)
                payloads = payloads_of(self.name, numbers, KEYS)
                padded = [payload.ljust(PAYLOAD_BYTES) for payload in payloads]
                self.connection.sendall(framed(*padded))
                self.sent = numbers.stop
        except OSError as error:
            self._error = error

    def wait_sent(self, count: int) -> None:
        """Wait until so many more are sent."""
        goal = self.sent + count
        wait_until(f"{goal} records are sent", lambda: self.sent >= goal)

    def finish(self) -> list[bytes]:
        """Close the connection; return the lines that the output should have."""
        self._finishing.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        assert self._error is None, f"cut off: {self._error}"
        self.connection.close()
        return payloads_of(self.name, range(self.sent), KEYS)


def worker_of(cluster: ResizableCluster, sender: StreamingSender) -> str:
    """The worker that reads what ``sender`` sends."""
    pid = cluster.pid_of_connection(sender.connection)
    return next(str(w["name"]) for w in cluster.ready()["workers"] if w["pid"] == pid)


def leaving(cluster: ResizableCluster, senders: list[StreamingSender]) -> list[str]:
    """Two workers to leave: if two have senders, two that have."""
    with_senders = sorted({worker_of(cluster, sender) for sender in senders})
    others = {worker["name"] for worker in cluster.ready()["workers"]} - {*with_senders}
    return [*with_senders, *sorted(others)][:2]


@pytest.mark.parametrize("is_durable", [False, True], ids=["without", "with"])
def test_senders_at_full_speed_notice_nothing(tmp_path: Path, is_durable: bool) -> None:
    receiver = Receiver()
    chosen = options(receiver, 4, *NUMBERS)
    if is_durable:
        chosen += ["--resilience-dir", str(tmp_path / "state")]
    with cluster_of(tmp_path, *chosen) as cluster:
        senders = [StreamingSender(cluster.source_port(), f"s{number}") for number in range(4)]
        wait_until("records flow", lambda: receiver.line_count() > 8_000)
        cluster.resize([], leaving(cluster, senders))
        cluster.resize(["w5", "w6"], [])
        gone = leaving(cluster, senders)
        facts = cluster.resize([], gone)
        for sender in senders:
            assert worker_of(cluster, sender) in facts["workers"]
            sender.wait_sent(1000)
        expected = [line for sender in senders for line in sender.finish()]
        assert cluster.stop() == 0
        assert [line for line in cluster.log if line["level"] in ("warning", "error")] == []
        assert len(cluster.events("source_connections.handed_over")) >= 2
    output = receiver.finish()
    assert lines_of(output) == Counter(expected)
    check_order(output)


@pytest.mark.parametrize(
    "event", ["cluster.resizing", "source_connections.handed_over", "worker.left"]
)
def test_one_that_is_killed_while_it_leaves_loses_nothing_that_was_accepted(
    tmp_path: Path, event: str
) -> None:
    state = tmp_path / "state"
    receiver = Receiver()
    with cluster_of(tmp_path, *options(receiver, 3, "--resilience-dir", str(state))) as cluster:
        senders = [
            Sender(cluster.source_port(), state / "journals", f"s{number}", KEYS).start()
            for number in range(4)
        ]
        for sender in senders:
            sender.wait_sent(2000)
        leaver = senders[0].worker(cluster)
        before = {sender.name: sender.dialed for sender in senders}
        others = [sender for sender in senders if sender.worker(cluster) != leaver]
        pid = cluster.pid(leaver)
        cluster.ask([], [leaver])
        cluster.wait_event(event)
        os.kill(pid, signal.SIGKILL)
        is_done = isinstance(cluster.answer(), dict)
        wait_until("it is ready", lambda: len(cluster.ready().get("workers", ())) == 3 - is_done)
        for sender in others if not is_done else senders:
            assert sender.dialed == before[sender.name]
        expected: dict[str, Total] = {}
        for sender in senders:
            sender.wait_sent(1000)
            expected |= sender.stop()
        wait_checkpoints(state)
        assert cluster.stop() == 0
    check_same(totals_in(state), expected)
    receiver.close()
