"""What scripts written for the original do to a cluster: each process by hand, all by its words."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.harness import COMMANDS, Receiver, framed, free_ports, wait_until
from wallaroo.errors import WallarooError
from wallaroo.wire.external import ExternalId, ExternalMessage
from wallaroo_cli.original.client import converse
from wallaroo_cli.tools.addresses import parse_address

FOLDER = Path(__file__).parent
READY_S = 30.0
END_S = 30.0
START_PAUSE_S = 0.05
LOOK_S = 0.1

KeysByState = dict[str, dict[str, str]]
"""The worker of each key, by state and key."""


@dataclass(slots=True)
class Started:
    """One process of the cluster, and how to start it again."""

    name: str
    line: list[str]
    external: str
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)
    read_from: int = 0
    """Where in the output that of the present process begins."""

    def start(self) -> None:
        """Start it, or start it again with the same line; it is to live for 50 ms at least."""
        self.read_from = self.output.stat().st_size if self.output.exists() else 0
        # Where no folder is given, what processes leave is to be found there all the same.
        path = os.pathsep.join([".", *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "XDG_RUNTIME_DIR": str(self.output.parent)}
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                self.line,
                cwd=FOLDER,
                env={**os.environ, **own},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        threading.Event().wait(START_PAUSE_S)
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        """What the present process has written so far, to stdout and stderr."""
        return self.output.read_bytes()[self.read_from :].decode()

    def value_of(self, option: str) -> str:
        """Return what its command line gives for an option."""
        return self.line[self.line.index(option) + 1]

    def wait_line(self, pattern: str, timeout_s: float = READY_S) -> re.Match[str]:
        """Wait for a line on stdout; return the match."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            match = re.search(pattern, self.text(), re.MULTILINE)
            found.extend([match] if match else [])
            return match is not None

        wait_until(f"{self.name} writes {pattern}", is_there, timeout_s)
        return found[0]

    def ask(self, kind: ExternalId, text: str = "") -> ExternalMessage | None:
        """Say something on its external channel; return the answer."""
        return converse(parse_address(self.external, "--external"), ExternalMessage(kind, text))

    def query(self, kind: ExternalId) -> Any:
        """Return what the JSON of an answer says."""
        answer = self.ask(kind)
        assert answer is not None
        assert answer.id == kind + 1, answer
        return json.loads(answer.text)

    def status(self) -> dict[str, Any]:
        """Return its cluster status; empty where it cannot be had, or is not initialised."""
        try:
            answer = self.ask(ExternalId.CLUSTER_STATUS_QUERY)
        except WallarooError:
            return {}
        assert answer is not None
        if answer.id is ExternalId.CLUSTER_STATUS_NOT_INITIALIZED:
            assert answer.text == ""
            return {}
        status: dict[str, Any] = json.loads(answer.text)
        return status

    def kill(self) -> None:
        """Crash it."""
        self.process.kill()
        self.process.wait(END_S)

    def wait_end(self, timeout_s: float = END_S) -> int:
        """Return its exit status."""
        return self.process.wait(timeout_s)


class Script:
    """One cluster under the original's command line."""

    def __init__(self, folder: Path, chain: str, *flags: str, has_folder: bool = True) -> None:
        self.folder = folder
        self.files = folder / ("resilience" if has_folder else "wallaroo")
        self.files.mkdir(mode=0o700, exist_ok=True)
        self.receiver = Receiver()
        self.workers: list[Started] = []
        self.left: list[Started] = []
        self._number = 0
        self._sent = 0
        self._sender: socket.socket | None = None
        self.source_port, self._metrics_port = free_ports(2)
        self._begin = [
            str(COMMANDS / "wallaroo-run"), "--application-module", "chains", "--chain", chain,
            *flags,
            "--in", f"127.0.0.1:{self.source_port}", "--out", self.receiver.address,
            "--metrics", f"127.0.0.1:{self._metrics_port}",
            *(["--resilience-dir", str(self.files)] if has_folder else []),
        ]  # fmt: skip
        self._end = ["--ponythreads=1", "--ponypinasio", "--ponynoblock"]
        self.control = ""

    # Starting

    def start(self, count: int, *, missing: int = 0) -> None:
        """Start the initializer and the others, 50 ms apart, and wait until all is ready.

        If some are ``missing`` the cluster waits for them.
        """
        control, data, external = (f"127.0.0.1:{port}" for port in free_ports(3))
        self.control = control
        line = [
            *self._begin, "--name", "initializer", "--worker-count", str(count),
            "--control", control, "--data", data, "--external", external,
            "--cluster-initializer", *self._end,
        ]  # fmt: skip
        self._add("initializer", line, external).start()
        for _ in range(count - 1 - missing):
            self._new_worker("--control", control).start()
        if not missing:
            self.wait_ready()

    def _new_worker(self, *way: str) -> Started:
        self._number += 1
        name = f"worker{self._number}"
        control, data, external = (f"127.0.0.1:{port}" for port in free_ports(3))
        line = [
            *self._begin, "--name", name, "--my-control", control, "--my-data", data,
            "--external", external, *way, *self._end,
        ]  # fmt: skip
        return self._add(name, line, external)

    def _add(self, name: str, line: list[str], external: str) -> Started:
        started = Started(name, line, external, self.folder / f"{name}.out")
        self.workers.append(started)
        return started

    def wait_ready(self) -> None:
        """Wait until every worker says that messages are processed, and all are counted."""
        deadline = time.monotonic() + READY_S
        for worker in self.workers:
            self._wait(worker, lambda status: status.get("processing_messages") is True, deadline)
        names = {worker.name for worker in self.workers}
        self._wait(
            self.workers[0],
            lambda status: (
                status.get("worker_count") == len(names) and set(status["worker_names"]) == names
            ),
            deadline,
        )

    def _wait(self, worker: Started, holds: Any, deadline: float) -> None:
        while not holds(worker.status()):
            assert worker.process.poll() is None, worker.text()
            assert time.monotonic() < deadline, [each.text() for each in self.workers]
            threading.Event().wait(LOOK_S)

    # Data

    def send(self, count: int) -> None:
        """Send so many more numbers over the one connection, which is made without trying twice."""
        if self._sender is None:
            self._sender = socket.create_connection(("127.0.0.1", self.source_port), 5)
        numbers = range(self._sent, self._sent + count)
        self._sent += count
        self._sender.sendall(framed(*(str(number).encode() for number in numbers)))

    def send_word(self, word: str) -> None:
        """Send a word that is not a number, over a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.source_port), 5) as sender:
            sender.sendall(framed(word.encode()))

    def close_sender(self) -> None:
        """End the sender's connection; the next send makes a new one."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def wait_all_out(self) -> None:
        """Wait until each number that was sent has come out."""
        expected = set(range(self._sent))
        wait_until("all is out", lambda: self._numbers_out() >= expected, READY_S)

    def _numbers_out(self) -> set[int]:
        return {int(line.split(b";")[0]) for line in self.receiver.lines()}

    @property
    def lines_out(self) -> list[str]:
        return [line.decode() for line in self.receiver.lines().elements()]

    # Crash, grow, shrink

    def worker(self, name: str) -> Started:
        """The process of this name."""
        return next(worker for worker in self.workers if worker.name == name)

    def keys(self) -> KeysByState:
        """Where every key is, as all workers tell; no key may be on two."""
        found: KeysByState = {}
        for worker in self.workers:
            for state, keys in worker.query(ExternalId.STATE_ENTITY_QUERY).items():
                for key in keys:
                    assert key not in found.setdefault(state, {}), (key, worker.name, found)
                    found[state][key] = worker.name
        return found

    def grow(self, count: int, by: str = "") -> None:
        """Let so many more join, and look whether their share of the keys has come to them.

        They join at the address ``by``, or at the initializer's.
        """
        before = self.keys()
        joining = [self.new_joiner(count, by) for _ in range(count)]
        assert not {each.name for each in joining} & _workers_in(before)
        for each in joining:
            each.start()
        self._confirm(before, set())
        for each in joining:
            each.wait_line(re.escape("***Successfully joined cluster!***"))

    def new_joiner(self, count: int, by: str = "") -> Started:
        """Return one that is to join with others, ``count`` in all; it is not started yet."""
        return self._new_worker("--join", by or self.control, "--worker-count", str(count))

    def shrink(self, count: int) -> None:
        """Let the last workers leave, and check that the others have their keys."""
        before = self.keys()
        leaving, self.workers = self.workers[-count:], self.workers[:-count]
        self.left += leaving
        names = [each.name for each in leaving]
        request = json.dumps({"query": False, "node_names": names, "node_count": count})
        answer = self.workers[0].ask(ExternalId.SHRINK_REQUEST, request)
        assert answer == ExternalMessage(
            ExternalId.SHRINK_RESPONSE, f"Shrinking by {count} workers!"
        )
        self._confirm(before, set(names))
        for each in leaving:
            assert each.wait_end() == 0, each.text()

    def _confirm(self, before: KeysByState, leaving: set[str]) -> None:
        self.wait_ready()
        deadline = time.monotonic() + READY_S
        while (problem := self._problem(before, leaving)) is not None:
            assert time.monotonic() < deadline, problem
            threading.Event().wait(LOOK_S)

    def _problem(self, before: KeysByState, leaving: set[str]) -> str | None:
        try:
            after = self.keys()
        except WallarooError as error:
            return error.what
        if leaving & _workers_in(after):
            return f"{leaving} still hold keys: {after}"
        for state, places in before.items():
            if not places.keys() <= after.get(state, {}).keys():
                return f"keys of {state} are gone: {places.keys() - after.get(state, {}).keys()}"
            is_split = len(places) > len(self.workers)
            if is_split and places == {key: after[state][key] for key in places}:
                return f"nothing of {state} has moved"
        return None

    # Ending

    def stop(self) -> None:
        """Terminate every process; all end with status 0 and leave no file behind."""
        self.close_sender()
        for worker in self.workers:
            worker.process.send_signal(signal.SIGTERM)
        self.wait_stopped()

    def wait_stopped(self) -> None:
        deadline = time.monotonic() + END_S
        for worker in self.workers:
            status = worker.wait_end(max(0.1, deadline - time.monotonic()))
            assert status == 0, worker.text()
        assert list(self.files.iterdir()) == []

    def close(self) -> None:
        """Leave nothing running, whatever has happened."""
        self.close_sender()
        for worker in [*self.workers, *self.left]:
            with contextlib.suppress(AttributeError):
                worker.process.kill()
                worker.process.wait(END_S)
        self.receiver.close()


def _workers_in(keys: KeysByState) -> set[str]:
    return {worker for places in keys.values() for worker in places.values()}


@contextlib.contextmanager
def script(folder: Path, chain: str, *flags: str, has_folder: bool = True) -> Iterator[Script]:
    """Run a cluster and end it afterwards; what its processes wrote is shown if a test fails."""
    running = Script(folder, chain, *flags, has_folder=has_folder)
    try:
        yield running
    except BaseException:
        for each in [*running.workers, *running.left]:
            if each.output.exists():
                print(f"--- {each.name}\n{each.output.read_text(errors='replace')}")  # noqa: T201
        raise
    finally:
        running.close()


def check_marks(lines: Iterable[str], chain: list[str], count: int, *, is_exact: bool) -> None:
    """Look whether ``count`` numbers ran through ``chain`` and each state counted all of them.

    ``is_exact``: each came out once. Else some may have come again, and counts are looked at for
    their largest: a state that counted a number twice, or not at all, shows there.
    """
    rows = [line.split(";") for line in lines]
    numbers = [int(row[0]) for row in rows]
    assert set(numbers) == set(range(count))
    if is_exact:
        assert len(numbers) == count
    for place, kind in enumerate(chain, start=1):
        assert all(len(row) == len(chain) + 1 for row in rows)
        marks = [row[place] for row in rows]
        if kind in ("to", "to_parallel"):
            assert set(marks) == {"to" if kind == "to" else "parallel"}
            continue
        counts: dict[str, list[int]] = {}
        for mark in marks:
            key, _, number = mark.partition("=")
            counts.setdefault(key, []).append(int(number))
        for key, found in counts.items():
            total = count if key == "whole" else len(range(int(key), count, 10))
            assert max(found) == total, (kind, key, max(found), total)
            if is_exact:
                assert sorted(found) == list(range(1, total + 1))
