"""Clusters with checkpoints for tests: an application whose totals can be told, and its senders."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from tests.cluster.harness import (
    WAIT_S,
    Cluster,
    framed,
    free_port,
    is_gone,
    running,
    wait_until,
)
from wallaroo.checkpoint.manifest import JournalPosition, Manifest
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.retention import checkpoint_of
from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import DamagedFileError
from wallaroo.routing.partition_map import PartitionMap
from wallaroo_workers.storage.journal_files import JournalReader, list_journals
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store


class Total(NamedTuple):
    """What numbers of one key come to: no number can be lost or doubled without a trace."""

    record_count: int
    sum: int
    squares: int


# What is sent


def key_of(name: str, number: int, key_count: int) -> str:
    return f"{name}.{number % key_count}"


def totals_of(name: str, count: int, key_count: int) -> dict[str, Total]:
    """The totals when the numbers below ``count`` have come, each once."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for number in range(count):
        total = totals[key_of(name, number, key_count)]
        total[0] += 1
        total[1] += number
        total[2] += number * number
    return {key: Total(*total) for key, total in totals.items()}


def payloads_of(name: str, numbers: Iterable[int], key_count: int) -> list[bytes]:
    return [f"{key_of(name, number, key_count)} {number}".encode() for number in numbers]


def write_lines(path: Path, name: str, count: int, key_count: int) -> None:
    """Write the numbers below ``count`` as lines for a file source."""
    path.write_bytes(b"\n".join(payloads_of(name, range(count), key_count)) + b"\n")


def output_of(totals: dict[str, Total]) -> Counter[str]:
    """The lines that come out on the way to these totals, each once."""
    return Counter(
        f"{key} {n}" for key, total in totals.items() for n in range(1, total.record_count + 1)
    )


def size_of(output: Counter[str]) -> int:
    """The bytes of such lines."""
    return sum(len(line) + 1 for line in output)


def lines_in(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines())


def check_same(found: dict[str, Total], expected: dict[str, Total]) -> None:
    """Compare totals; a difference is shown by a few keys, not by thousands."""
    keys = [key for key in found | expected if found.get(key) != expected.get(key)]
    told = [(key, found.get(key), expected.get(key)) for key in keys[:5]]
    assert not keys, f"{len(keys)} keys differ, (key, found, expected): {told}"


def check_output(path: Path, expected: Counter[str]) -> None:
    """The file has exactly these lines, in any order."""
    found = lines_in(path)
    missing, doubled = expected - found, found - expected
    told = f"missing {sorted(missing)[:5]}, too many {sorted(doubled)[:5]}"
    assert found == expected, f"{missing.total()} missing, {doubled.total()} too many: {told}"


# What is in the store


def manifest_numbers(folder: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        names = [path.name for path in (folder / "manifests").iterdir()]
        return sorted(int(name) for name in names if name.isdecimal())
    return []


def newest(folder: Path) -> int:
    """The number of the newest manifest; 0 if there is none."""
    return max(manifest_numbers(folder), default=0)


def wait_checkpoints(folder: Path, count: int = 1) -> None:
    """Wait for so many checkpoints of which no barrier has been sent yet."""
    # One may be under way.
    number = newest(folder) + 1 + count
    wait_until(f"checkpoint {number}", lambda: newest(folder) >= number)


def is_saving(folder: Path) -> bool:
    """Whether parts of a checkpoint are there that does not stand yet."""
    last = newest(folder)
    with contextlib.suppress(FileNotFoundError):
        for path in (folder / "parts").glob("*/*"):
            number = checkpoint_of(str(path.relative_to(folder)))
            if number is not None and number > last:
                return True
    return False


def newest_manifest(folder: Path) -> Manifest:
    manifest = asyncio.run(ManifestLog(open_store(str(folder))).latest())
    assert manifest is not None
    return manifest


def kept_manifests(folder: Path) -> list[Manifest]:
    log = ManifestLog(open_store(str(folder)))
    return [asyncio.run(log.load(number)) for number in manifest_numbers(folder)]


def totals_in(folder: Path) -> dict[str, Total]:
    """The totals that the newest checkpoint holds, each at one worker alone."""
    totals: dict[str, Total] = {}
    manifest = newest_manifest(folder)
    (owners,) = map(PartitionMap.from_wire, manifest.partition_maps)
    for share in manifest.workers.values():
        own: dict[str, Total] = {}
        for part in share.parts:
            path = folder / part.name
            for chunk in read_part(path.read_bytes(), part, str(path)):
                for key, total in zip(chunk.keys(), chunk.states(), strict=True):
                    is_its_own = owners.owner_of(key) == share.worker
                    assert is_its_own or part.checkpoint < share.gave_at
                    if not is_its_own:
                        continue  # it has moved since
                    own[str(key)] = Total(total["count"], total["sum"], total["squares"])
        assert not own.keys() & totals.keys()
        assert sum(share.key_counts.values()) == len(own)
        totals |= own
    return totals


def check_tidy(*outputs: Path) -> None:
    """No staged output is left."""
    for output in outputs:
        assert [*output.parent.glob(f".{output.name}.*")] == []


# Who sends


def accepted_in(journals: Path, name: str) -> int:
    """How many of a sender's records stand in journals: numbers go up without gaps."""
    accepted = 0
    for journal in list_journals(journals):
        # One may be deleted meanwhile, since nothing in it is needed any more.
        with contextlib.suppress(DamagedFileError):
            for entry in JournalReader(journals, JournalPosition(journal.name, 0, {})):
                for payload in LengthFramer(4, ">I", 1 << 20).receive_data(entry.frames):
                    if payload.startswith(f"{name}.".encode()):
                        accepted = max(accepted, int(payload.split()[1]) + 1)
    return accepted


class Sender:
    """Sends numbers in order until it is stopped; dials anew when it is cut off.

    TCP does not tell a sender what the other side has read when it dies. This one looks into the
    journals, which say just that, and goes on behind it.
    """

    def __init__(self, port: int, journals: Path, name: str = "sent", key_count: int = 50) -> None:
        self.name = name
        self.key_count = key_count
        self.sent = 0
        """Of these numbers all are accepted, once it has stopped."""
        self.accepted = 0
        self.dialed = 0
        self.connection: socket.socket | None = None
        self._port = port
        self._journals = journals
        self._stopping = threading.Event()
        self._is_done = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self, timeout_s: float = WAIT_S) -> dict[str, Total]:
        """Stop once all that was sent is accepted; return the totals that it should give."""
        self._stopping.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"accepted {self.accepted} of {self.sent}"
        assert self._error is None, self._error
        return totals_of(self.name, self.sent, self.key_count)

    def wait_sent(self, count: int) -> None:
        """Wait until so many more are sent."""
        goal = self.sent + count
        wait_until(f"{goal} records are sent", lambda: self.sent >= goal)

    def worker(self, cluster: Cluster) -> str:
        """The worker that this sends to just now."""
        wait_until("it is connected", lambda: self.connection is not None)
        assert self.connection is not None
        pid = cluster.pid_of_connection(self.connection)
        return worker_of(cluster, pid)

    def in_journals(self) -> int:
        """How many of its records are in journals."""
        return accepted_in(self._journals, self.name)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() or self.accepted < self.sent:
                with contextlib.suppress(OSError):
                    self._send()
                self.connection = None
                self.accepted = max(self.accepted, self.in_journals())
                self._stopping.wait(0.01)
        except BaseException as error:
            self._error = error
            raise

    def connect(self) -> socket.socket:
        """Dial the source."""
        return socket.create_connection(("127.0.0.1", self._port), WAIT_S)

    def _send(self) -> None:
        with self.connect() as connection:
            self.connection = connection
            self.dialed += 1
            number = self.accepted
            while number < self.sent or not self._stopping.is_set():
                following = number + 100
                payloads = payloads_of(self.name, range(number, following), self.key_count)
                connection.sendall(framed(*payloads))
                number = following
                self.sent = max(self.sent, number)
                self._stopping.wait(0.01)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)


# A command that is run again and again


class Deployment:
    """One application with its store, and what it takes to run the same command once more.

    File sources ``a`` and ``b`` have ``line_count`` lines each; a TCP source listens at ``port``
    if ``is_sent_to``. All outputs are files.
    """

    def __init__(
        self,
        folder: Path,
        *,
        line_count: int = 0,
        is_sent_to: bool = False,
        key_count: int = 50,
        records_per_ms: int = 0,
        store: Path | None = None,
    ) -> None:
        self.folder = folder
        self.store = store or folder / "checkpoints"
        self.journals = self.store / "journals"
        self.port = free_port() if is_sent_to else 0
        self.sent = folder / "sent.txt"
        self.lines = {name: folder / f"{name}-counts.txt" for name in ("a", "b") if line_count}
        self.key_count = key_count
        self.options = ["--resilience-dir", str(self.store)]
        self.options += ["--records-per-ms", str(records_per_ms)]
        self.line_totals: dict[str, Total] = {}
        for name, output in self.lines.items():
            path = folder / f"{name}.txt"
            write_lines(path, name, line_count, key_count)
            self.line_totals |= totals_of(name, line_count, key_count)
            # Relative paths begin where the command is run.
            self.options += ["--lines", path.name, output.name]
        if is_sent_to:
            self.options += ["--in", f"127.0.0.1:{self.port}", "--sent", self.sent.name]

    def use_journals(self, folder: Path) -> None:
        """Have journals in a place of their own."""
        self.journals = folder
        self.options += ["--journal-dir", str(folder)]

    def running(
        self, *options: str, workers: int = 3, interval_s: float = 0.2
    ) -> contextlib.AbstractContextManager[Cluster]:
        """A run; several follow each other."""
        also = ["--workers", str(workers), "--checkpoint-interval", str(interval_s)]
        return running(self.folder, "counts", *self.options, *also, *options)

    def sender(self, name: str = "sent") -> Sender:
        """A sender that has begun."""
        return Sender(self.port, self.journals, name, self.key_count).start()

    def wait_lines(self) -> None:
        """Wait until the output of all lines of the files is committed."""
        sizes = {path: size_of(output) for path, output in self._line_outputs.items()}
        wait_until(
            "all lines are counted",
            lambda: all(path.stat().st_size == size for path, size in sizes.items()),
        )

    @property
    def _line_outputs(self) -> dict[Path, Counter[str]]:
        def own(name: str) -> dict[str, Total]:
            totals = self.line_totals.items()
            return {key: total for key, total in totals if key.startswith(f"{name}.")}

        return {path: output_of(own(name)) for name, path in self.lines.items()}

    def check(self, sent: dict[str, Total] | None = None) -> None:
        """Everything is there exactly once: the lines of the files, and what was sent."""
        sent = sent or {}
        check_same(totals_in(self.store), self.line_totals | sent)
        for path, output in self._line_outputs.items():
            check_output(path, output)
        outputs = list(self.lines.values())
        if self.port:
            check_output(self.sent, output_of(sent))
            outputs.append(self.sent)
        check_tidy(*outputs)


# What goes wrong


def worker_of(cluster: Cluster, pid: int) -> str:
    names = {int(worker["pid"]): str(worker["name"]) for worker in cluster.ready()["workers"]}
    return names[pid]


def children(pid: int) -> set[int]:
    """The processes that a process has started and that have not ended."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in pids if not is_gone(int(child))}


def kill(cluster: Cluster, *workers: str) -> None:
    """End processes as the system does when memory runs out."""
    for pid in [cluster.pid(worker) for worker in workers]:
        os.kill(pid, signal.SIGKILL)


def kill_initializer(cluster: Cluster) -> None:
    """Kill the command; its workers have to end by themselves."""
    workers = children(cluster.process.pid)
    cluster.signal(signal.SIGKILL)
    cluster.wait_end()
    wait_until("all workers have ended", lambda: all(map(is_gone, workers)))


def flip_bit(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << random.Random(offset).randrange(8)
    path.write_bytes(data)
