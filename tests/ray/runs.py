"""Runs of ``wallaroo-run --on ray`` for tests, and Rays of several nodes."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.harness import COMMANDS, copy_application, free_ports, is_gone, wait_until

WAIT_S = 120.0
"""Ray starts four Python processes a node, and this machine may be busy."""
LINES_SHOWN = 60
BEFORE_LINE = re.compile(r"^(?:\x1b\[\d+m)?\([^)]*\)(?:\x1b\[0m)? ")
"""What Ray writes in front of a line of an actor's log."""
ENVIRONMENT = {
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
    "RAY_DEDUP_LOGS": "0",
}


class RayRun:
    """One command ``wallaroo-run --on ray…`` and what it shows."""

    def __init__(
        self,
        folder: Path,
        on: str,
        *options: str,
        address: str = "",
        before: Sequence[str] = (),
    ) -> None:
        """``address`` is that of Ray; empty for what ``on`` means.

        Commands run under ``before``, such as ``ip netns exec NAME``.
        """
        self._before = before
        copy_application(folder, "counts")
        self._named = f"{on}/counts" if "//" in on else "ray:counts"
        self._environment = os.environ | ENVIRONMENT | ({"RAY_ADDRESS": address} if address else {})
        self.folder = folder
        self.process = subprocess.Popen(
            [*before, str(COMMANDS / "wallaroo-run"), "counts.py", "--on", on, *options],
            cwd=folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.log: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            text = BEFORE_LINE.sub("", line.rstrip("\n"))
            self.lines.append(text)
            with contextlib.suppress(ValueError):
                self.log.append(json.loads(text))

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in [*self.log] if line.get("event") == event]

    def wait_event(self, event: str, count: int = 1) -> dict[str, Any]:
        """Return the ``count``-th log line of this kind."""

        def is_there() -> bool:
            found = len(self.events(event)) >= count
            assert found or self.process.poll() is None, "the command has ended"
            return found

        wait_until(f"log line {event}", is_there, WAIT_S)
        return self.events(event)[count - 1]

    def ask(self, *arguments: str) -> str:
        """Return what ``wallaroo-cluster`` answers."""
        done = subprocess.run(
            [*self._before, str(COMMANDS / "wallaroo-cluster"), *arguments, "--on", self._named],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("status", "--json"))
        return found

    def stop(self) -> int:
        """Stop in order; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end()

    def wait_end(self) -> int:
        status = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self._reader.join(WAIT_S)
        self.process.stderr.close()


@contextlib.contextmanager
def running(
    folder: Path, on: str, *options: str, address: str = "", before: Sequence[str] = ()
) -> Iterator[RayRun]:
    """Run it, and end it afterwards, whatever happens; a failure shows its last lines."""
    run = RayRun(folder, on, *options, address=address, before=before)
    try:
        yield run
    except BaseException as error:
        error.add_note("\n".join(["The end of the log:", *run.lines[-LINES_SHOWN:]]))
        raise
    finally:
        run.close()


def command_lines(*words: str) -> dict[int, str]:
    """Return the processes of this machine that have all these words in their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal():
                line = (entry / "cmdline").read_text().replace("\0", " ")
                if all(word in line for word in words) and not is_gone(int(entry.name)):
                    found[int(entry.name)] = line
    return found


def running_processes() -> list[int]:
    """Return the ids of all processes of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if there is none any more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def end(pids: Sequence[int]) -> None:
    """Kill these processes."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Nodes:
    """A Ray of several nodes on this machine, each with its own raylet and processes."""

    def __init__(self, *, has_jobs: bool = False) -> None:
        from ray.cluster_utils import Cluster

        os.environ.update(ENVIRONMENT)
        client_port, self.dashboard_port = free_ports(2)
        with warnings.catch_warnings():
            # Ray leaves the log files of its client's server open.
            warnings.simplefilter("ignore", ResourceWarning)
            self._cluster = Cluster(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 0,
                    "include_dashboard": has_jobs,
                    "dashboard_port": self.dashboard_port,
                    "ray_client_server_port": client_port,
                },
            )
        self.address: str = self._cluster.address
        self.client = f"ray://{self.address.rpartition(':')[0]}:{client_port}"
        self.nodes: list[Any] = []

    def add(self, count: int = 1) -> list[Any]:
        """Add nodes with one CPU each."""
        added = [self._cluster.add_node(num_cpus=1) for _ in range(count)]
        self.nodes += added
        return added

    def of_process(self, pid: int) -> Any:
        """Return the node on which a process of a host runs."""
        raylets = {node.all_processes["raylet"][0].process.pid: node for node in self.nodes}
        while pid not in raylets:
            pid = parent_of(pid)
        return raylets[pid]

    def freeze(self, node: Any) -> list[int]:
        """Stop all processes of a node without ending them: nobody is told, as if power failed.

        Return their ids, for ``end``.
        """
        frozen: list[int] = []
        found = {node.all_processes["raylet"][0].process.pid}
        while found:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            frozen += found
            found = {pid for pid in running_processes() if parent_of(pid) in found}
        return frozen

    def lose(self, node: Any) -> None:
        """Kill all processes of a node."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def drain(self, node: Any, deadline_s: int) -> None:
        """Tell Ray that a node will end."""
        arguments: Sequence[str] = [
            *(str(COMMANDS / "ray"), "drain-node", "--address", self.address),
            *("--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION"),
            *("--reason-message", "a test", "--deadline-remaining-seconds", str(deadline_s)),
        ]
        environment: Mapping[str, str] = os.environ | ENVIRONMENT
        subprocess.run(arguments, env=environment, check=True, capture_output=True, timeout=WAIT_S)

    def close(self) -> None:
        self._cluster.shutdown()
