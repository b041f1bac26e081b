"""The row of a million windows that are due at the same time.

A million keys have one record each, in one window. Then one record moves the clock behind its end,
while checkpoints are taken. What is measured is how many results a second of the worker's CPU
gives, encoding and sending included, and the pauses of the checkpoints meanwhile.
"""

import statistics
import struct
import tempfile
import time
from pathlib import Path

from tests.bench.cluster_run import send
from tests.bench.processes import cpu_s, running_cluster
from tests.bench.receiver import Receiver
from tests.bench.rows.checkpoints import part_of
from tests.bench.rows.row import Result
from tests.bench.stamped.load import taken

KEY_COUNT = 1_000_000
FRAME = struct.Struct(">IIQ")
PAYLOAD_BYTES = FRAME.size - 4
BEHIND_MS = 1_000_000
INTERVAL_S = "0.3"
SETTLE_POLL_S = 0.5
SETTLED_CPU_S = 0.05
"""A worker that takes less than this in that time has nothing to do."""


class DueRow:
    """Windows fired a second of CPU."""

    name = "a million windows due"
    group = "timing"

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._pauses_ms: list[float] = []

    def measure(self, folder: Path) -> None:
        """Fill one window, let its results come, and read what checkpoints have paused."""
        records, last = folder / "due.bin", folder / "due-last.bin"
        if not records.exists():
            frames = (FRAME.pack(PAYLOAD_BYTES, key, 0) for key in range(KEY_COUNT))
            records.write_bytes(b"".join(frames))
            last.write_bytes(FRAME.pack(PAYLOAD_BYTES, 0, BEHIND_MS))
        with Receiver() as receiver, tempfile.TemporaryDirectory(dir=folder) as state:
            arguments = ["stamped", "long", "--no-dashboard", "--resilience-dir", state]
            arguments += ["--checkpoint-interval", INTERVAL_S, "--keep-checkpoints", "1000"]
            with running_cluster("windows", 1, receiver.address, arguments) as cluster:
                [pid] = cluster.worker_pids
                send(cluster, receiver, records, FRAME.size, KEY_COUNT, 0, 1)
                used_s = _settled_cpu_s(pid)
                began_s = time.monotonic()
                send(cluster, receiver, last, FRAME.size, 1, KEY_COUNT, 1)
                ended_s = time.monotonic()
                self._rates.append(KEY_COUNT / (cpu_s(pid) - used_s))
            self._pauses_ms += [
                each.pause_ms for each in taken(state) if began_s < each.ended_s < ended_s
            ]

    def result(self) -> Result:
        """Return the rates, and the pauses of all rounds."""
        p99_ms = part_of(self._pauses_ms, 0.99)
        return Result(
            name=self.name,
            group=self.group,
            unit="windows fired a second of CPU",
            values=self._rates,
            target=600_000.0,
            verdict=statistics.median(self._rates) >= 600_000.0 and p99_ms <= 10.0,
            more_is_better=True,
            more={"checkpoint_count": len(self._pauses_ms), "pause_p99_ms": p99_ms},
        )


def _settled_cpu_s(pid: int) -> float:
    """Return the CPU time once the process has nothing to do but checkpoints; there is no event."""
    before, used_s = -1.0, cpu_s(pid)
    while used_s - before > SETTLED_CPU_S:
        time.sleep(SETTLE_POLL_S)
        before, used_s = used_s, cpu_s(pid)
    return used_s
