"""For how long records wait while a cluster at full load is resized.

The project's target is 250 ms beside the time in which keys move. That is about a machine that has
a processor to spare; where programs stand in line for one, everything takes as many times longer,
so the bound here is the target times as much as a piece of work of known size takes just then. Of
several changes the median counts.
"""

import contextlib
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.harness import WAIT_S, Receiver, framed, wait_until
from tests.cluster.test_resize import ResizableCluster, cluster_of, options

pytestmark = pytest.mark.cluster

PAUSE_S = 0.25
WORK_S = 0.05
CONNECTIONS = 4
KEYS = 1000
HOT_CONNECTIONS = 16
"""As many that both workers have some: which one takes a connection is the kernel's choice."""
FULL_S = 0.5
"""A sender that waits for so long waits for the cluster."""


def times_slower() -> float:
    """How many times longer than alone on a processor some work takes now."""
    begun_s, begun_cpu_s = time.monotonic(), time.thread_time()
    while (used_s := time.thread_time() - begun_cpu_s) < WORK_S:
        pass
    return (time.monotonic() - begun_s) / used_s


class FullSpeed:
    """Sends the same block again and again, as fast as it is taken, until closed."""

    def __init__(self, port: int, block: bytes) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self._block = block
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # It ends when the connection is closed, from here or by a worker that leaves.
        with contextlib.suppress(OSError):
            while True:
                self._connection.sendall(self._block)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self._connection.close()


def in_turn(cluster: ResizableCluster, changes: int) -> list[tuple[float, float]]:
    """Have a worker join and leave; for each the pause beside what moves, and its bound."""
    seen = []
    for number in range(changes):
        name = f"w{3 + number}"
        for joining, leaving in ([name], []), ([], [name]):
            facts = cluster.resize(joining, leaving)
            assert facts["moved_keys"] > 0
            seen.append((facts["pause_s"] - facts["moving_s"], PAUSE_S * times_slower()))
    return seen


def test_records_wait_for_a_quarter_of_a_second_beside_what_moves(tmp_path: Path) -> None:
    receiver = Receiver()
    block = framed(*(f"k{number % KEYS} {number}".encode() for number in range(10_000)))
    with cluster_of(tmp_path, *options(receiver, 2)) as cluster:
        senders = [FullSpeed(cluster.source_port(), block) for _ in range(CONNECTIONS)]
        wait_until("records flow", lambda: receiver.line_count() > 10_000)
        seen = in_turn(cluster, 3)
        for sender in senders:
            sender.close()
    receiver.close()
    assert statistics.median(rest_s for rest_s, _ in seen) <= statistics.median(
        bound_s for _, bound_s in seen
    ), seen


def test_a_worker_with_a_long_backlog_shortens_it_before_anything_waits(tmp_path: Path) -> None:
    receiver = Receiver()
    # One key, so that one worker has all the work: its inbox fills, and takes seconds to empty. It
    # takes a second for a block, so a sender that has filled all buffers surely waits for longer
    # than FULL_S; smaller blocks would be taken in time for ever.
    block = framed(*(f"k {number}".encode() for number in range(200_000)))
    chosen = options(receiver, 2, "--records-per-ms", "200")
    with cluster_of(tmp_path, *chosen) as cluster, contextlib.ExitStack() as connections:
        for _ in range(HOT_CONNECTIONS):
            where = ("127.0.0.1", cluster.source_port())
            connection = connections.enter_context(socket.create_connection(where, FULL_S))
            with contextlib.suppress(TimeoutError):
                while True:
                    connection.sendall(block)
        facts = cluster.resize(["w3"], [])
        bound_s = PAUSE_S * times_slower()
    receiver.close()
    assert facts["pause_s"] - facts["moving_s"] <= bound_s, facts
