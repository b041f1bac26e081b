"""Latency from source to sink: percentiles at several rates, beside a bare echo of the same bytes.

``make bench-latency``. Send and receive times are read from one clock, the system's monotonic one.
"""

import argparse
import json
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.cluster_run import end_process, start_command, wait_ready

RATES = (10_000, 50_000)
SECONDS = 8.0
WARM_UP_S = 2.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds of one run."""

    what: str
    rate: int
    record_count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, the median is shown")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for rate in RATES:
        for workers in (0, 1, 2):
            runs = [measure(workers, rate) for _ in range(arguments.rounds)]
            rows.append(sorted(runs, key=lambda run: run.p99_ms)[len(runs) // 2])
    if arguments.json:
        json.dump([asdict(row) for row in rows], sys.stdout, indent=2)
        return
    table = Table(title="milliseconds from source to sink")
    for heading in ("", "records / s", "p50", "p99", "p99.9"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        values = (row.p50_ms, row.p99_ms, row.p999_ms)
        table.add_row(row.what, f"{row.rate:,}", *(f"{value:.2f}" for value in values))
    Console().print(table)


def measure(workers: int, rate: int) -> Latency:
    """One run; no worker means the bare echo."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        out = f"127.0.0.1:{listener.getsockname()[1]}"
        if workers:
            ready = folder / "ready.json"
            process = start_command(
                ["wallaroo-run", "--application-module", "stamps", "--in", "127.0.0.1:0", "--out",
                 out, "--workers", str(workers), "--ready-file", str(ready)])  # fmt: skip
            stack.callback(end_process, process)
            address = wait_ready(ready, process)["sources"][0]["address"]
        else:
            process = _python("tests.bench.echo", *out.split(":"))
            stack.callback(process.kill)
            assert process.stdout is not None
            address = f"127.0.0.1:{int(process.stdout.readline())}"
        sender = _python("tests.bench.latency_sender", *address.split(":"), str(rate), str(SECONDS))
        stack.callback(sender.kill)
        waits_ns = _receive(listener, int(rate * SECONDS), max(workers, 1))
    what = f"{workers} worker{'s' if workers > 1 else ''}" if workers else "bare echo"
    return Latency(what, rate, len(waits_ns), *(_at(waits_ns, part) for part in (0.5, 0.99, 0.999)))


def _python(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.PIPE
    )


def _receive(listener: socket.socket, record_count: int, connection_count: int) -> list[int]:
    """Return the wait of each record, sorted, without those of the warm-up."""
    connections = [listener.accept()[0] for _ in range(connection_count)]
    rests = dict.fromkeys(connections, b"")
    arrived: list[tuple[int, bytes]] = []
    byte_count = 0
    while byte_count < 8 * record_count:
        for connection in select.select(connections, [], [], 30.0)[0]:
            data = connection.recv(1 << 18)
            arrived.append((time.monotonic_ns(), rests[connection] + data))
            whole = len(arrived[-1][1]) - len(arrived[-1][1]) % 8
            rests[connection] = arrived[-1][1][whole:]
            arrived[-1] = (arrived[-1][0], arrived[-1][1][:whole])
            byte_count += len(data)
    begin_ns = min(struct.unpack_from(">Q", data)[0] for _, data in arrived if data)
    counted_from_ns = begin_ns + int(WARM_UP_S * 1e9)
    return sorted(
        at_ns - sent_ns
        for at_ns, data in arrived
        for (sent_ns,) in struct.iter_unpack(">Q", data)
        if sent_ns >= counted_from_ns
    )


def _at(waits_ns: list[int], part: float) -> float:
    return waits_ns[min(int(len(waits_ns) * part), len(waits_ns) - 1)] / 1e6


if __name__ == "__main__":
    main()
