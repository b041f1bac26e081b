"""The row of the start: seconds from ``wallaroo-run --workers 4`` to its ready file.

Subtracted is the time that importing the user's module takes by itself, in a fresh process that has
imported ``wallaroo``. A socket that listens stands for the receiver: ready means connected to it.
"""

import socket
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.processes import APPLICATIONS, running_cluster
from tests.bench.rows.row import Result

MODULE = "letters"
WORKER_COUNT = 4
IMPORT = f"""
import time, wallaroo
before_s = time.perf_counter()
import {MODULE}
print(time.perf_counter() - before_s)
"""


class StartUpRow:
    """Seconds until ready."""

    name = "start-up"
    group = "one by one"

    def __init__(self) -> None:
        self._ready_s: list[float] = []
        self._import_s: list[float] = []

    def measure(self, folder: Path) -> None:
        """Import the module, start a cluster."""
        printed = subprocess.run(
            [sys.executable, "-c", IMPORT], cwd=APPLICATIONS, capture_output=True, check=True
        ).stdout
        self._import_s.append(float(printed))
        with socket.create_server(("127.0.0.1", 0)) as sink:
            host, port = sink.getsockname()
            with running_cluster(MODULE, WORKER_COUNT, f"{host}:{port}") as cluster:
                self._ready_s.append(cluster.ready_s)

    def result(self) -> Result:
        """Return the time without the import."""
        pairs = zip(self._ready_s, self._import_s, strict=True)
        return Result(
            name=self.name,
            group=self.group,
            unit=f"seconds until {WORKER_COUNT} workers are ready",
            values=[ready_s - import_s for ready_s, import_s in pairs],
            target=1.5,
            more={"import_s": statistics.median(self._import_s)},
        )
