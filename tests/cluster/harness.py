"""Real clusters for tests: the installed commands, in processes of their own, on loopback."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wallaroo_workers.sources.fd_handover import SOCKET_NAME

COMMANDS = Path(sys.executable).parent
EXAMPLES = Path(__file__).parents[2] / "examples"
APPLICATIONS = Path(__file__).parent / "applications"
"""Searched for the module of a cluster after the folder in which it runs."""
WAIT_S = 60.0
PORTS = range(20_000, 32_000)
LOG_LINES_SHOWN = 60


def wait_until(what: str, is_true: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    """Look at a condition of other processes until it holds; fail with ``what`` if it never does.

    Between two looks it yields the processor: the other side has no way to wake this process.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_true():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        pause.wait(0.01)


class Receiver:
    """A sink on a free port that keeps every byte, by connection; can stop reading, and come back.

    Reads in a thread of its own. ``kernel_bytes_max`` bounds what the kernel takes in while it does
    not read, which otherwise is several megabytes.
    """

    def __init__(self, port: int = 0, *, kernel_bytes_max: int | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        if kernel_bytes_max is not None:
            # Accepted connections inherit it.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_bytes_max)
        self.port = int(self._listener.getsockname()[1])
        self.may_read = threading.Event()
        self.may_read.set()
        self._lock = threading.Lock()
        self._chunks: list[list[bytes]] = []
        self._sockets: list[socket.socket] = []
        self._readers: list[threading.Thread] = []
        self._last_peer: Any = None
        self._has_last = threading.Event()
        self._is_closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                accepted, peer = self._listener.accept()
            except OSError:
                return
            if peer == self._last_peer:
                accepted.close()
                self._has_last.set()
                continue
            chunks: list[bytes] = []
            reader = threading.Thread(target=self._read, args=(accepted, chunks), daemon=True)
            with self._lock:
                self._chunks.append(chunks)
                self._sockets.append(accepted)
                self._readers.append(reader)
            reader.start()

    def _read(self, accepted: socket.socket, chunks: list[bytes]) -> None:
        with contextlib.suppress(OSError), accepted:
            while True:
                self.may_read.wait()
                chunk = accepted.recv(1 << 18)
                if not chunk:
                    return
                chunks.append(chunk)

    @property
    def connections(self) -> list[bytes]:
        """The bytes received so far, by connection."""
        with self._lock:
            return [b"".join(chunks) for chunks in self._chunks]

    def lines(self) -> Counter[bytes]:
        """All whole lines so far, with how often each arrived; without their newlines."""
        return Counter(line for data in self.connections for line in data.splitlines())

    def line_count(self) -> int:
        with self._lock:
            return sum(chunk.count(b"\n") for chunks in self._chunks for chunk in chunks)

    def finish(self, timeout_s: float = WAIT_S) -> list[bytes]:
        """Accept no more connections; return the bytes of each once all have ended.

        The end of a cluster says that our kernel has everything, not that we have read it.
        """
        with socket.socket() as last:
            # Connections are accepted in their order: behind this one there is none of a worker.
            last.bind(("127.0.0.1", 0))
            self._last_peer = last.getsockname()
            last.connect(("127.0.0.1", self.port))
            assert self._has_last.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
            assert not reader.is_alive(), "a connection has not ended"
        received = self.connections
        self.close()
        return received

    def close(self) -> None:
        """Go away, as a receiver that is stopped does."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for accepted in self._sockets:
                with contextlib.suppress(OSError):
                    accepted.shutdown(socket.SHUT_RDWR)

    def wait_gone(self) -> None:
        """Wait until nothing of a closed receiver is left that would still take bytes."""
        for reader in self._readers:
            reader.join(WAIT_S)
            assert not reader.is_alive()


class Cluster:
    """``wallaroo-run`` in a folder; its log lines as JSON objects."""

    command: Sequence[str] = (str(COMMANDS / "wallaroo-run"),)
    stdin: int | None = None

    def __init__(
        self, folder: Path, module: str, *options: str, before: Sequence[str] = ()
    ) -> None:
        """``before`` is what the command runs under, such as ``ip netns exec NAME``."""
        self.folder = folder
        self.ready_path = Path(tempfile.mkdtemp(prefix="wallaroo-test-")) / "ready.json"
        command = [
            *before,
            *self.command,
            *application_options(module),
            "--ready-file",
            str(self.ready_path),
            # Clusters of other tests have the page's port, and most tests look at no page.
            *(() if "--dashboard" in options else ("--no-dashboard",)),
            *options,
        ]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=self.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.log: list[dict[str, Any]] = []
        self.errors: list[str] = []
        """Lines on stderr that are no log lines: what the command says to people."""
        assert self.process.stderr is not None
        self._reader = threading.Thread(
            target=self._read_log, args=(self.process.stderr,), daemon=True
        )
        self._reader.start()

    def _read_log(self, stream: Any) -> None:
        for line in stream:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.errors.append(line.decode(errors="replace").rstrip("\n"))

    # Waiting

    def wait_ready(self, epoch: int = 1, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Return what the ready file says, once it is there for at least this epoch."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"ended early: {self.errors} {self.log}"
            return self.ready_path.exists() and self.ready()["epoch"] >= epoch

        wait_until("the application is ready", is_ready, timeout_s)
        return self.ready()

    def ready(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads(self.ready_path.read_text())
        except FileNotFoundError:
            return {"epoch": 0}
        return facts

    def source_port(self, index: int = 0) -> int:
        """The port at which a source listens."""
        return int(self.ready()["sources"][index]["address"].rpartition(":")[2])

    def pid(self, worker: str) -> int:
        """The process id of a worker."""
        return next(int(w["pid"]) for w in self.ready()["workers"] if w["name"] == worker)

    def pids(self) -> list[int]:
        """The process ids of the initializer and of all workers."""
        return [self.process.pid, *(int(worker["pid"]) for worker in self.ready()["workers"])]

    def pid_of_connection(self, connection: socket.socket) -> int:
        """The process id of the worker that accepted this connection to a source."""
        found: list[int] = []

        def is_accepted() -> bool:
            socket_name = f"socket:[{_inode_at_other_end(connection)}]"
            found[:] = [pid for pid in self.pids() if socket_name in open_names(pid)]
            return bool(found)

        wait_until("a worker accepts the connection", is_accepted)
        return found[0]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Log lines of this kind so far."""
        return [line for line in list(self.log) if line.get("event") == event]

    def wait_event(self, event: str, count: int = 1, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Return the ``count``-th log line of this kind."""
        wait_until(f"log line {event}", lambda: len(self.events(event)) >= count, timeout_s)
        return self.events(event)[count - 1]

    # Ending

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_end(self, timeout_s: float = WAIT_S) -> int:
        """Return the exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return status

    def stop(self, timeout_s: float = WAIT_S) -> int:
        """Stop in order; return the exit status."""
        self.signal(signal.SIGINT)
        return self.wait_end(timeout_s)


@contextlib.contextmanager
def running(
    folder: Path, module: str, *options: str, before: Sequence[str] = ()
) -> Iterator[Cluster]:
    """Run a cluster and end it afterwards, whatever happens."""
    with ending(Cluster(folder, module, *options, before=before)) as cluster:
        yield cluster


AnyCluster = TypeVar("AnyCluster", bound=Cluster)


@contextlib.contextmanager
def ending(cluster: AnyCluster) -> Iterator[AnyCluster]:
    """End this cluster afterwards, whatever happens; the failure of a test shows its log."""
    try:
        yield cluster
    except BaseException as error:
        lines = [*cluster.errors, *map(json.dumps, cluster.log)]
        error.add_note("\n".join(["The end of the cluster's log:", *lines[-LOG_LINES_SHOWN:]]))
        raise
    finally:
        if cluster.process.poll() is None:
            cluster.process.kill()
        cluster.process.wait()
        cluster._reader.join(WAIT_S)
        if cluster.process.stdin is not None:
            cluster.process.stdin.close()
        assert cluster.process.stdout is not None
        assert cluster.process.stderr is not None
        cluster.process.stdout.close()
        cluster.process.stderr.close()
        shutil.rmtree(cluster.ready_path.parent)


def _inode_at_other_end(connection: socket.socket) -> str:
    """The inode of the socket at the other end of a connection over IPv4 on this machine."""
    local, remote = connection.getsockname()[1], connection.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, its_local, its_remote, _, _, _, _, _, _, inode, *_ = line.split()
        ports = [int(address.rpartition(":")[2], 16) for address in (its_local, its_remote)]
        if ports == [remote, local]:
            return inode
    return ""


def hand_over_lines() -> list[tuple[str, str]]:
    """Inode and path of each Unix socket to take connections of senders at, and of each line there.

    A line that nobody has accepted yet has inode 0.
    """
    found = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [(line[6], _whole(line[7])) for line in found if line[-1].endswith(f"/{SOCKET_NAME}")]


def _whole(path: str) -> str:
    """The path of a socket in the temporary folder, also of one that was bound by a short one."""
    if not path.startswith("/proc/self/fd/"):
        return path
    return os.path.join(tempfile.gettempdir(), *path.split("/")[5:])


def hand_over_path(pid: int) -> str:
    """Where a worker takes connections of senders that leave another one."""
    files = open_names(pid)
    (path,) = {path for inode, path in hand_over_lines() if f"socket:[{inode}]" in files}
    return path


def open_names(pid: int) -> set[str]:
    """What the file descriptors of a process stand for."""
    names = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.add(str(link.readlink()))
    return names


def memory_peak_mb(pid: int) -> float:
    """The most memory that a process has had resident so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) / 1024


def lines_of(connections: list[bytes]) -> Counter[bytes]:
    """All lines of all connections, with how often each arrived; each connection ends with one."""
    assert all(data.endswith(b"\n") for data in connections if data), "a line is cut off"
    return Counter(line for data in connections for line in data.splitlines())


def send_file(port: int, path: Path, *options: str) -> None:
    """Send a file with the bundled sender; return when it has been sent whole."""
    command = [str(COMMANDS / "wallaroo-sender"), "--host", f"127.0.0.1:{port}"]
    subprocess.run([*command, "--file", str(path), *options], check=True, timeout=WAIT_S)


def wait_processed(connection: socket.socket) -> None:
    """Say that nothing follows, and wait until the worker at the other end has taken all of it.

    A worker reads on only behind what it has processed, and closes the connection when it reads
    the end. What it passed on to other workers by then is on its way to them.
    """
    connection.settimeout(WAIT_S)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b"", "sources have nothing to say"


class FullSpeedSender:
    """Sends a block of frames again and again, as fast as the other end takes it, in a thread."""

    def __init__(self, port: int, block: bytes) -> None:
        self.byte_count = 0
        """Bytes handed over so far."""
        self.block_count = 0
        """Blocks handed over whole."""
        self._block = block
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(ConnectionError), self._connection as connection:
            while not self._is_stopping.is_set():
                view = memoryview(self._block)
                while view:
                    sent = connection.send(view)
                    self.byte_count += sent
                    view = view[sent:]
                self.block_count += 1

    def ask_to_stop(self) -> None:
        """Have it end behind the present block."""
        self._is_stopping.set()

    def stop(self) -> None:
        """Have it end behind the present block, and wait until it has."""
        self.ask_to_stop()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "nobody takes the rest of the block"


def framed(*payloads: bytes) -> bytes:
    """Payloads behind u32 big-endian lengths."""
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)


def send_bytes(port: int, data: bytes) -> None:
    """Send bytes over a connection of their own, then close it."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(data)


def application_options(module: str) -> list[str]:
    """Return the options that run a module of the folder of the run, or of ``applications``."""
    return ["--application-module", module, "--application-path", str(APPLICATIONS)]


def copy_application(folder: Path, module: str) -> None:
    """Copy a module of ``applications`` into a folder, with what it shares with others."""
    for name in (module, "shared_codecs"):
        shutil.copy(APPLICATIONS / f"{name}.py", folder)


def run_to_end(
    folder: Path, *options: str, timeout_s: float = WAIT_S
) -> subprocess.CompletedProcess[str]:
    """Run ``wallaroo-run`` in a folder where it is to end by itself."""
    return subprocess.run(
        [str(COMMANDS / "wallaroo-run"), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits for its parent to notice has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def listening_ports(pid: int) -> set[int]:
    """The ports at which a process listens, over IPv4."""
    sockets = open_names(pid)
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, _, _, _, _, _, inode, *_ = line.split()
        if state == "0A" and f"socket:[{inode}]" in sockets:
            ports.add(int(address.rpartition(":")[2], 16))
    return ports


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, all different.

    The system gives none of these to connections, and each process that runs tests beside others
    has its own, so they stay free until somebody listens, and between two runs that do.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    process_count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = PORTS[number::process_count]
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(mine)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            ports += [port] if port not in ports else []
    return ports


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def connect_and_reset(port: int) -> None:
    """Connect and break the connection at once, as a port scan does."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
