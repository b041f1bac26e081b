"""Clusters under the fuzzer: they count before, meanwhile and afterwards, and nothing else.

Three of them, which have different ports: as ``wallaroo-run`` starts it, the same with TLS, and
as processes that are started by hand on the original's command line.
"""

import contextlib
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.harness import (
    Cluster,
    Receiver,
    hand_over_path,
    is_gone,
    listening_ports,
    running,
    send_bytes,
    wait_until,
)
from tests.cluster.test_loss import KEYS, ROUND, Output
from tests.fuzz.external_inputs import ExternalInputs
from tests.fuzz.fuzzer import Port, Report, fuzz, hello_once_said, open_files, resident_mb
from tests.fuzz.hand_over_inputs import HandOverInputs
from tests.fuzz.inputs import MemberInputs
from tests.fuzz.said import Inputs
from tests.fuzz.tls_inputs import TlsInputs, client_context
from tests.fuzz.web_inputs import WebInputs
from tests.hosts.sites import SECRET, make_certificates, tls_options, write_secret
from tests.operator.script import Script, script
from wallaroo.wire.handshake import Purpose
from wallaroo_cli.original.files import Files

WARM_UP = 1_000
"""Inputs before memory is measured: caches and arenas are filled by then."""
GROWTH_MB_MAX = 8.0
FILES_LATE_MAX = 3
"""That a process opens once it needs them, such as the one for dead letters."""
REFUSALS = ("control", "link", "source", "external", "dashboard", "handover")
KINDS_TOLD_MAX = 5
LINES_EACH_S_MAX = 6
"""Log lines of one kind of event, for each process: five refusals and how many more there were."""
SLACK_S = 5.0


class Target(ABC):
    """A running cluster whose ports are tried."""

    ports: list[Port]

    @abstractmethod
    def pids(self) -> list[int]:
        """Return its processes."""

    @abstractmethod
    def count_round(self) -> None:
        """Have more records counted, exactly."""

    @abstractmethod
    def log(self) -> list[dict[str, Any]]:
        """Return all log lines so far."""

    @abstractmethod
    def check(self) -> None:
        """It is as it was, but for what it has counted."""


class OwnTarget(Target):
    """``wallaroo-run`` and the workers that it has started; with TLS inside, or without."""

    def __init__(self, cluster: Cluster, receiver: Receiver) -> None:
        self._cluster = cluster
        self._receiver = receiver
        self._rounds = 0
        self.control = int(cluster.ready()["control"].rpartition(":")[2])

    def listen(
        self,
        inside: Inputs,
        plain: Inputs,
        page: Callable[[int], Inputs],
        hand_over: Callable[[str], Inputs],
    ) -> None:
        """Say what is tried: inside the cluster, at the source, at the page, at Unix sockets."""
        source = self._cluster.source_port()
        found = [("control", self.control, inside), ("source", source, plain)]
        for worker in self._cluster.ready()["workers"]:
            links = listening_ports(int(worker["pid"])) - {source}
            found += [(f"data of {worker['name']}", port, inside) for port in links]
        known = {port for _, port, _ in found}
        (last,) = listening_ports(self._cluster.process.pid) - known
        found.append(("page", last, page(last)))
        self.ports = [Port(name, ("127.0.0.1", port), inputs) for name, port, inputs in found]
        for worker in self._cluster.ready()["workers"]:
            path = hand_over_path(int(worker["pid"]))
            self.ports.append(Port(f"hand-over of {worker['name']}", path, hand_over(path)))

    def pids(self) -> list[int]:
        return self._cluster.pids()

    def count_round(self) -> None:
        self._rounds += 1
        send_bytes(self._cluster.source_port(), ROUND)

        def is_counted() -> bool:
            totals = Output(self._receiver).totals
            return all(totals[key] == list(range(1, self._rounds + 1)) for key in KEYS)

        wait_until(f"round {self._rounds} is counted", is_counted)

    def log(self) -> list[dict[str, Any]]:
        return list(self._cluster.log)

    def check(self) -> None:
        assert self._cluster.ready()["epoch"] == 1
        assert "Traceback" not in "\n".join(self._cluster.errors)


class OriginalTarget(Target):
    """Processes that are started one by one, each with an external channel."""

    def __init__(self, cluster: Script) -> None:
        self._cluster = cluster

    def listen(self, inside: Inputs, external: Inputs, hand_over: Callable[[str], Inputs]) -> None:
        """Say what is tried; their source is that of every cluster."""
        self.ports = []
        for started in self._cluster.workers:
            own = int(started.external.rpartition(":")[2])
            self.ports.append(Port(f"external of {started.name}", ("127.0.0.1", own), external))
            ports = listening_ports(started.process.pid) - {own}
            for pid in _children(started.process.pid):
                ports |= listening_ports(pid)
            self.ports += [
                Port(f"inside {started.name}", ("127.0.0.1", port), inside)
                for port in sorted(ports - {self._cluster.source_port})
            ]
            (worker,) = _children(started.process.pid)
            path = hand_over_path(worker)
            self.ports.append(Port(f"hand-over of {started.name}", path, hand_over(path)))

    def pids(self) -> list[int]:
        own = [started.process.pid for started in self._cluster.workers]
        return [*own, *(child for pid in own for child in _children(pid))]

    def count_round(self) -> None:
        self._cluster.send(100)
        self._cluster.wait_all_out()

    def log(self) -> list[dict[str, Any]]:
        text = "".join(started.text() for started in self._cluster.workers)
        lines = re.findall(r'^\{.*"event".*\}$', text, re.MULTILINE)
        return sorted(map(json.loads, lines), key=lambda line: line["timestamp"])

    def check(self) -> None:
        for started in self._cluster.workers:
            assert "Traceback" not in started.text()
            status = started.status()
            assert status["processing_messages"] is True
            assert status["worker_names"] == [each.name for each in self._cluster.workers]


def hand_over_inputs(seed: int, secret: bytes, others: Inputs) -> Callable[[str], Inputs]:
    """Return what draws inputs for the Unix socket at a path."""

    def inputs(path: str) -> Inputs:
        said = hello_once_said(path, Purpose.HAND_OVER, secret)
        return HandOverInputs(seed, said, others)

    return inputs


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split() if not is_gone(int(child))]


@contextlib.contextmanager
def own_target(folder: Path, seed: int, *, has_tls: bool = False) -> Iterator[OwnTarget]:
    """Run a cluster of two workers on this host."""
    own = folder / "certs"
    tls: Sequence[str] = tls_options(make_certificates(own, "here"), "here") if has_tls else ()
    receiver = Receiver()
    options = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "2", *tls]
    options += ["--secret-file", str(write_secret(folder)), "--dashboard", "127.0.0.1:0"]
    # What else comes to its source than our own sender sends is dropped.
    options += ["--dead-letters", str(folder / "letters"), "--keys-only"]
    with running(folder, "tally", *options) as cluster:
        cluster.wait_ready()
        target = OwnTarget(cluster, receiver)
        context = client_context(own, "here") if has_tls else None
        address = ("127.0.0.1", target.control)
        hello = hello_once_said(address, Purpose.CONTROL, SECRET.encode(), context)
        plain = MemberInputs(seed, folder / "mark", hello)
        inside = TlsInputs(seed, folder, own, plain) if has_tls else plain

        def of_page(port: int) -> Inputs:
            web = WebInputs(seed, port, plain)
            return TlsInputs(seed, folder, own, web) if has_tls else web

        target.listen(inside, plain, of_page, hand_over_inputs(seed, SECRET.encode(), plain))
        yield target
        assert cluster.stop() == 0
    receiver.close()


@contextlib.contextmanager
def original_target(folder: Path, seed: int) -> Iterator[OriginalTarget]:
    """Run an initializer and a worker on the original's command line."""
    with script(folder, "to,to_state_partition") as cluster:
        cluster.start(2)
        target = OriginalTarget(cluster)
        card = Files(str(cluster.files), "chains", "initializer", cluster.control).read_card()
        assert card is not None
        host, _, port = cluster.control.rpartition(":")
        secret = bytes.fromhex(card.secret)
        hello = hello_once_said((host, int(port)), Purpose.CONTROL, secret)
        inside = MemberInputs(seed, folder / "mark", hello)
        own = hand_over_inputs(seed, secret, inside)
        target.listen(inside, ExternalInputs(seed, inside), own)
        yield target
        cluster.stop()


@dataclass(frozen=True)
class Kind:
    """A kind of cluster, and its share of all inputs."""

    start: Callable[[Path, int], contextlib.AbstractContextManager[Target]]
    share: float


KINDS = {
    "own": Kind(own_target, 0.4),
    "tls": Kind(lambda folder, seed: own_target(folder, seed, has_tls=True), 0.3),
    "original": Kind(original_target, 0.3),
}


def fuzzed(folder: Path, kind: str, count: int, seed: int) -> tuple[Report, dict[str, float]]:
    """Run a cluster, send ``count`` inputs to its ports; return what was sent and memory's growth.

    Raises ``AssertionError`` if anything but refusals is the result.
    """
    with KINDS[kind].start(folder, seed) as target:
        target.count_round()
        files_before = open_files(target.pids())
        report = fuzz(target.ports, min(WARM_UP, count // 2))
        target.count_round()
        before = resident_mb(target.pids())
        log_before, began_s = len(target.log()), time.monotonic()
        report += fuzz(target.ports, count - sum(report.by_port.values()))
        after = resident_mb(target.pids())
        target.count_round()
        took_s = time.monotonic() - began_s
        assert not (folder / "mark").exists(), "a pickle of the fuzzer was loaded"
        check_log(target.log()[log_before:], len(target.pids()), took_s)
        target.check()
        assert after.keys() == before.keys(), "a process was started again"

        def is_closed() -> bool:
            files = open_files(target.pids())
            return all(files[pid] <= files_before[pid] + FILES_LATE_MAX for pid in files)

        wait_until("all connections of the fuzzer are closed", is_closed)
        growth = {str(pid): round(after[pid] - before[pid], 1) for pid in before}
    return report, growth


def check_log(lines: list[dict[str, Any]], processes: int, took_s: float) -> None:
    """It tells of refusals only, and those who were refused could not fill it."""
    events = {line["event"] for line in lines}
    allowed = {f"{where}.rejected" for where in REFUSALS} | {"source.frame_truncated"}
    allowed |= {f"{event}_more" for event in allowed} | {"record.failed", "records.failed"}
    assert events <= allowed, [line for line in lines if line["event"] not in allowed][:5]
    lines_max = KINDS_TOLD_MAX * LINES_EACH_S_MAX * processes * (took_s + SLACK_S)
    assert len(lines) <= lines_max, f"{len(lines)} lines in {took_s:.1f} s"
