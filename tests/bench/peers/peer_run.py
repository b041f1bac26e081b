"""One measured run of a peer: a long run less a short one, which takes off start-up and imports."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cluster_run import Measured
from tests.bench.peers.subtree import REPORT_VARIABLE
from tests.bench.scenarios import VOTES, Sample, Scenario
from tests.bench.speed import Used, bare_loops, mean_speed

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
KAFKA_PYTHON = ROOT / ".venv-kafka-peers" / "bin" / "python"
"""Of an environment of their own: they pin client libraries."""
RUN_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 10.0
LETTERS = Scenario(name="letters", module="letters")
SAMPLE = Sample(VOTES, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One way of doing the work in another stream processor."""

    name: str
    module: str
    """Of ``tests.bench.peers``; started with a number of records and the arguments."""
    arguments: tuple[str, ...] = ()
    package: str
    commands: tuple[str, ...] = ()
    """What else has to be on the machine."""
    beside: str = "Wallaroo, 1 worker"
    """The run of Wallaroo that it is compared with."""
    cpu_count: int = 1
    """To how many CPUs all its processes are bound: several where several have work."""
    record_count: int
    short_count: int = 20_000
    is_from_kafka: bool = False
    """Reads from a topic and writes to another one."""

    @property
    def python(self) -> Path:
        """The Python of its environment."""
        return KAFKA_PYTHON if self.is_from_kafka else PYTHON


WALLAROO_KAFKA = "Wallaroo, topic to topic"
PEERS = [
    Peer(name="Bytewax operators", module="bytewax_letters", arguments=("operators", "1"),
         package="bytewax", record_count=2_000_000),
    Peer(name="Bytewax batches", module="bytewax_letters", arguments=("batches", "1"),
         package="bytewax", record_count=2_000_000),
    Peer(name="Bytewax operators, 2 processes", module="bytewax_letters",
         arguments=("operators", "2"), package="bytewax", beside="Wallaroo, 2 workers",
         cpu_count=2, record_count=300_000),
    Peer(name="Bytewax batches, 2 processes", module="bytewax_letters",
         arguments=("batches", "2"), package="bytewax", beside="Wallaroo, 2 workers",
         cpu_count=2, record_count=300_000),
    Peer(name="Pathway records", module="pathway_letters", arguments=("records",),
         package="pathway", record_count=400_000),
    Peer(name="Pathway blocks", module="pathway_letters", arguments=("blocks",),
         package="pathway", record_count=400_000),
    Peer(name="Ray actor, lists", module="ray_letters", package="ray",
         cpu_count=2, record_count=2_000_000),
    Peer(name="PyFlink records", module="flink_letters", arguments=("records",),
         package="pyflink", commands=("java",), cpu_count=2, record_count=250_000),
    Peer(name="PyFlink blocks", module="flink_letters", arguments=("blocks",),
         package="pyflink", commands=("java",), cpu_count=2, record_count=250_000),
    Peer(name="Quix Streams, topic to topic", module="quix_votes", package="quixstreams",
         beside=WALLAROO_KAFKA, is_from_kafka=True, record_count=200_000),
    Peer(name="Faust, topic to topic", module="faust_votes", package="faust",
         beside=WALLAROO_KAFKA, is_from_kafka=True, record_count=24_000, short_count=4_000),
]  # fmt: skip


class PeerFailed(Exception):
    """A run of a peer ended with an error, without all records, or not in time."""


def why_missing(peer: Peer) -> str | None:
    """Return why the peer can not run here, or None."""
    if not peer.python.exists():
        return f"there is no {peer.python.relative_to(ROOT)}; `make bench-peers` sets it up"
    for command in peer.commands:
        if shutil.which(command) is None:
            return f"there is no command {command}"
    tried = subprocess.run(
        [peer.python, "-c", f"import {peer.package}"], capture_output=True, text=True
    )
    if tried.returncode:
        return tried.stderr.strip().splitlines()[-1]
    return None


def run_peer(peer: Peer) -> Measured:
    """Return what the records beyond those of the short run cost."""
    short, long = (_run(peer, count) for count in (peer.short_count, peer.record_count))
    return Measured(
        long.used - short.used,
        long.elapsed_s - short.elapsed_s,
        long.record_count - short.record_count,
    )


def _run(peer: Peer, count: int) -> Measured:
    """Run the peer from its start until its last sink says that it is done."""
    cpus, python = sorted(os.sched_getaffinity(0))[: peer.cpu_count], peer.python
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        output = folder / "output"
        started_s = time.monotonic()
        with output.open("w") as file:
            process = subprocess.Popen(
                [python, "-m", "tests.bench.peers.subtree", ",".join(map(str, cpus)),
                 python, "-m", f"tests.bench.peers.{peer.module}", str(count), *peer.arguments],
                cwd=ROOT, env=_environment(folder), stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        nothing: dict[int, list[int]] = {cpu: [] for cpu in cpus}
        try:
            with bare_loops(LETTERS, SAMPLE, nothing, below=process.pid) as beside:
                beside.begin()
                _wait(process)
                looks = beside.end()
        finally:
            _stop(process)
        speed = statistics.fmean(map(mean_speed, looks))
        report = folder / "report"
        lines = report.read_text().splitlines() if report.exists() else []
        reports = [json.loads(line) for line in lines]
        arrived = sum(one["record_count"] for one in reports)
        if process.returncode or arrived != count:
            kept = Path(tempfile.gettempdir()) / f"{peer.module}.log"
            shutil.copy(output, kept)
            raise PeerFailed(
                f"ended with status {process.returncode} and {arrived} of {count} records;"
                f" what it printed is in {kept}"
            )
        cpu_s = max(one["cpu_s"] for one in reports)
        elapsed_s = max(one["at_s"] for one in reports) - started_s
        return Measured(Used(cpu_s, cpu_s * speed), elapsed_s, count)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(RUN_TIMEOUT_S)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Leave nothing behind, whatever happened."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT_S)


def _environment(folder: Path) -> dict[str, str]:
    """Return the peer's environment: the same functions, files and home of its own."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples" / "alphabet")]),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "JVM_ARGS": f"-Djava.io.tmpdir={folder}",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        REPORT_VARIABLE: str(folder / "report"),
    }
