"""The rows of recovery: seconds from ``kill -9`` of the worker that holds all keys.

To ``application.ready_again`` in the log, when sources listen again; and to the result of a record
that is sent from then on, behind all that is replayed from the journal.
"""

import os
import signal
import socket
import statistics
import struct
import tempfile
import time
from pathlib import Path

from tests.bench.processes import Cluster, running_cluster
from tests.bench.rows.row import Result
from tests.bench.stamped.load import fill, folder_bytes, wait_until_saved
from tests.bench.stamped.sink import Sink

KEY_COUNTS = (10_000, 100_000, 1_000_000)
READY_AGAIN = b"application.ready_again"
LOOK_S = 0.002
TIMEOUT_S = 60.0
FRAME = struct.Struct(">IQI")


class RecoveryRow:
    """One worker, killed with so many keys in its state."""

    group = "recovery"

    def __init__(self, key_count: int) -> None:
        self.name = f"recovery, {key_count:,} keys"
        self._key_count = key_count
        self._ready_s: list[float] = []
        self._result_s: list[float] = []
        self._bytes: list[int] = []

    def measure(self, folder: Path) -> None:
        """Fill the state, wait for its checkpoint, kill."""
        with Sink() as sink, tempfile.TemporaryDirectory(dir=folder) as state:
            arguments = ["many", "--resilience-dir", state]
            with running_cluster("stamps", 1, sink.address, arguments) as cluster:
                fill(cluster, sink, self._key_count)
                wait_until_saved(cluster, state, self._key_count)
                self._bytes.append(folder_bytes(f"{state}/parts"))
                [pid] = cluster.worker_pids
                killed_s = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                self._ready_s.append(_wait_for_line(cluster) - killed_s)
                self._result_s.append(_first_result(cluster, sink) - killed_s)

    def result(self) -> Result:
        """Return the time to the first result."""
        return Result(
            name=self.name,
            group=self.group,
            unit="seconds from kill -9 to the first new result",
            values=self._result_s,
            more={
                "keys": self._key_count,
                "ready_again_s": statistics.median(self._ready_s),
                "first_result_s": statistics.median(self._result_s),
                "state_bytes": statistics.median(self._bytes),
            },
        )


def _wait_for_line(cluster: Cluster) -> float:
    """Return when the cluster said that it is ready again."""
    deadline_s = time.monotonic() + TIMEOUT_S
    with cluster.log.open("rb") as log:
        tail = b""
        while True:
            tail = tail[-len(READY_AGAIN) :] + log.read()
            now_s = time.monotonic()
            if READY_AGAIN in tail:
                return now_s
            cluster.check()
            assert now_s < deadline_s, "the worker does not come back"
            time.sleep(LOOK_S)


def _first_result(cluster: Cluster, sink: Sink) -> float:
    """Return when a record that is sent now has come out."""
    host, _, port = cluster.source.rpartition(":")
    stamp_ns = time.monotonic_ns()
    came = sink.expect(stamp_ns)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(FRAME.pack(FRAME.size - 4, stamp_ns, 0))
        assert came.wait(TIMEOUT_S), "the first record does not come out"
    return sink.arrivals[-1].at_ns / 1e9
