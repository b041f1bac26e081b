"""One measured run: stamped records at a rate through a cluster, or through the bare echo.

Send and receive times are read from one clock, the system's monotonic one: the first just before
the sender's write, the second just after the receiver's read. Records of the warm-up do not count.
"""

import gc
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.processes import cpu_s, running_cluster, start_module

SECONDS = 5.0
WARM_UP_S = 1.0
SILENCE_S = 30.0
STAMP = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class System:
    """What passes records on."""

    name: str
    worker_count: int
    """0 means the echo."""


ECHO = System("bare echo", 0)
SYSTEMS = (ECHO, System("1 worker", 1), System("2 workers", 2))


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds of one run."""

    record_count: int
    reached_rate: float
    """Records a second that the sender reached."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_s_per_million: float


@dataclass(frozen=True, slots=True)
class Running:
    """A system that is ready for records."""

    source: str
    pids: list[int]

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return sum(map(cpu_s, self.pids))


def measure(system: System, rate: int) -> Latency:
    """Start the system, send for some seconds, stop it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with _running(system, f"{host}:{port}") as running:
            cpu_before_s = running.cpu_s()
            sender = start_module(
                "tests.bench.latency.sender", *running.source.split(":"), str(rate), str(SECONDS)
            )
            try:
                waits_ns, reached_rate = _receive(
                    listener, int(rate * SECONDS), max(system.worker_count, 1)
                )
            finally:
                sender.kill()
                sender.communicate()
            used_s = running.cpu_s() - cpu_before_s
    p50_ms, p99_ms, p999_ms = (_at(waits_ns, part) for part in (0.5, 0.99, 0.999))
    return Latency(
        record_count=len(waits_ns),
        reached_rate=reached_rate,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        p999_ms=p999_ms,
        cpu_s_per_million=used_s * 1e6 / int(rate * SECONDS),
    )


@contextmanager
def _running(system: System, sink: str) -> Iterator[Running]:
    if system.worker_count:
        with running_cluster("stamps", system.worker_count, sink) as cluster:
            yield Running(cluster.source, [cluster.process.pid, *cluster.worker_pids])
        return
    process = start_module("tests.bench.latency.echo", *sink.split(":"))
    try:
        assert process.stdout is not None
        yield Running(f"127.0.0.1:{int(process.stdout.readline())}", [process.pid])
    finally:
        process.kill()
        process.communicate()


def _receive(
    listener: socket.socket, record_count: int, connection_count: int
) -> tuple[list[int], float]:
    """Return the wait of each record, sorted, without those of the warm-up, and the rate."""
    connections = [listener.accept()[0] for _ in range(connection_count)]
    gc.disable()  # its pauses would be measured, too
    try:
        arrived = _read_all(connections, STAMP.size * record_count)
    finally:
        gc.enable()
        for connection in connections:
            connection.close()
    sent = [sent_ns for _, data in arrived for (sent_ns,) in STAMP.iter_unpack(data)]
    begin_ns = min(sent)
    counted_from_ns = begin_ns + int(WARM_UP_S * 1e9)
    waits_ns = sorted(
        at_ns - sent_ns
        for at_ns, data in arrived
        for (sent_ns,) in STAMP.iter_unpack(data)
        if sent_ns >= counted_from_ns
    )
    return waits_ns, record_count * 1e9 / (max(sent) - begin_ns)


def _read_all(connections: list[socket.socket], byte_count: int) -> list[tuple[int, bytes]]:
    """Return what arrived and when; whole stamps only, the rest goes before the next read."""
    rests = dict.fromkeys(connections, b"")
    arrived: list[tuple[int, bytes]] = []
    while byte_count > 0:
        readable = select.select(connections, [], [], SILENCE_S)[0]
        assert readable, f"{byte_count} bytes are missing"
        for connection in readable:
            read = connection.recv(1 << 18)
            at_ns = time.monotonic_ns()
            assert read, f"a sink ended; {byte_count} bytes are missing"
            data = rests[connection] + read
            whole = len(data) - len(data) % STAMP.size
            rests[connection] = data[whole:]
            arrived.append((at_ns, data[:whole]))
            byte_count -= len(read)
    return arrived


def _at(waits_ns: list[int], part: float) -> float:
    """Return the wait that this part of the records does not exceed, in milliseconds."""
    return waits_ns[min(int(len(waits_ns) * part), len(waits_ns) - 1)] / 1e6
