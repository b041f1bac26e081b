"""Clusters of real processes with a slow sink: results keep their order when keys move."""

import selectors
import socket
import threading
from collections import defaultdict
from pathlib import Path

import pytest

from tests.cluster.durable import payloads_of
from tests.cluster.harness import WAIT_S, framed, wait_processed, wait_until
from tests.cluster.test_resize import NUMBERS, ResizableCluster, cluster_of

pytestmark = pytest.mark.cluster

KEYS = 50
RECORDS = 20_000
KERNEL_BYTES_MAX = 4096


class PickyReceiver:
    """Reads what has arrived, older connections first; the first ones only once it is told to."""

    def __init__(self, connections_at_first: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Accepted connections inherit it: what is not read stays with the worker.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES_MAX)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.may_read_first = threading.Event()
        self._first_count = connections_at_first
        self._connections: list[socket.socket] = []
        self._rests: dict[int, bytes] = defaultdict(bytes)
        self.arrivals: list[bytes] = []
        """Whole lines of all connections, in the order in which they were read."""
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._is_closing:
                # Connections that are not read on purpose are not registered.
                selector.select(0.01)
                self._accept()
                for number, connection in enumerate(self._connections):
                    if number >= self._first_count or self.may_read_first.is_set():
                        self._read(number, connection)

    def _accept(self) -> None:
        self._listener.setblocking(False)
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        self._connections.append(connection)

    def _read(self, number: int, connection: socket.socket) -> None:
        """Read until nothing is there."""
        while True:
            try:
                data = connection.recv(1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            *lines, self._rests[number] = (self._rests[number] + data).split(b"\n")
            self.arrivals += lines

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(WAIT_S)
        for each in [self._listener, *self._connections]:
            each.close()


def send_while_members_change(
    cluster: ResizableCluster, receiver: PickyReceiver, joining: list[str], leaving: list[str]
) -> list[bytes]:
    """Send records before and behind a change of the members; return the results to expect."""
    payloads = payloads_of("s", range(2 * RECORDS), KEYS)
    with socket.create_connection(("127.0.0.1", cluster.source_port()), WAIT_S) as sender:
        sender.sendall(framed(*payloads[:RECORDS]))
        cluster.ask(joining, leaving)
        cluster.wait_event("results.held")
        sender.sendall(framed(*payloads[RECORDS:]))
        wait_processed(sender)
        receiver.may_read_first.set()
        assert isinstance(cluster.answer(), dict)
        wait_until("all results are there", lambda: len(receiver.arrivals) == len(payloads))
    return payloads


def check(receiver: PickyReceiver, expected: list[bytes]) -> None:
    by_key: dict[bytes, list[bytes]] = defaultdict(list)
    for line in receiver.arrivals:
        by_key[line.split()[0]].append(line)
    wanted: dict[bytes, list[bytes]] = defaultdict(list)
    for payload in expected:
        wanted[payload.split()[0]].append(payload)
    assert by_key == wanted


@pytest.mark.parametrize(
    ("workers", "joining", "leaving"), [(1, ["w2", "w3"], []), (3, [], ["w2", "w3"])]
)
def test_results_of_a_new_owner_wait_for_those_of_the_old_one(
    tmp_path: Path, workers: int, joining: list[str], leaving: list[str]
) -> None:
    # Of a cluster that shrinks the sink reads everything only later.
    receiver = PickyReceiver(workers)
    where = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", str(workers)]
    where += NUMBERS
    with cluster_of(tmp_path, *where) as cluster:
        expected = send_while_members_change(cluster, receiver, joining, leaving)
        assert cluster.stop() == 0
    receiver.close()
    check(receiver, expected)


def test_a_worker_that_leaves_while_it_holds_results_delivers_them(tmp_path: Path) -> None:
    receiver = PickyReceiver(1)
    payloads = payloads_of("s", range(2 * RECORDS), KEYS)
    where = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "1"]
    where += NUMBERS
    with cluster_of(tmp_path, *where) as cluster:
        with socket.create_connection(("127.0.0.1", cluster.source_port()), WAIT_S) as sender:
            sender.sendall(framed(*payloads[:RECORDS]))
            assert isinstance(cluster.resize(["w2", "w3"], []), dict)
            cluster.wait_event("results.held")
            sender.sendall(framed(*payloads[RECORDS:]))
            wait_processed(sender)
            # Both of these hold results behind those of the first worker, and so owe them.
            cluster.ask([], ["w2", "w3"])
            cluster.wait_event("results.held", 2)
            receiver.may_read_first.set()
            assert isinstance(cluster.answer(), dict)
            wait_until("all results are there", lambda: len(receiver.arrivals) == len(payloads))
        assert cluster.stop() == 0
    receiver.close()
    check(receiver, payloads)
