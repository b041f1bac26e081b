"""Clusters of real processes that are resized while records flow."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.durable import (
    Sender,
    Total,
    check_same,
    newest_manifest,
    payloads_of,
    totals_in,
    wait_checkpoints,
)
from tests.cluster.harness import (
    WAIT_S,
    Cluster,
    Receiver,
    ending,
    framed,
    free_port,
    is_gone,
    lines_of,
    wait_until,
)

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
KEYS = 500
RECORDS = 60_000
"""Of each connection."""

PAUSE_MAX_S = 2.0
"""Far more than a pause takes, and far less than a worker's start: the machine may be busy."""


NUMBERS = ("--result", "number")
"""Options to put out key and number, so that one sees the order."""


class ResizableCluster(Cluster):
    """A cluster whose members can be changed."""

    command = (sys.executable, str(ROOT / "tests" / "cluster" / "resizable.py"))
    stdin = subprocess.PIPE

    def ask(self, joining: list[str], leaving: list[str]) -> None:
        """Ask for a resize."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([joining, leaving]).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def resize(self, joining: list[str], leaving: list[str]) -> dict[str, Any]:
        """Resize the cluster; return the facts."""
        self.ask(joining, leaving)
        facts = self.answer()
        assert isinstance(facts, dict), facts
        assert facts["workers"] == [worker["name"] for worker in self.ready()["workers"]]
        return facts

    def children(self) -> set[int]:
        """The process ids of all workers, those that are no members yet included."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def joining(self, known: set[int]) -> int:
        """The process id of a worker that was started since there were these."""
        wait_until("a worker is started", lambda: bool(self.children() - known))
        return (self.children() - known).pop()


class PlainSender:
    """Sends all its numbers in order over one connection, as fast as they are taken."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self._port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), WAIT_S) as connection:
            for begin in range(0, RECORDS, 500):
                numbers = range(begin, begin + 500)
                connection.sendall(framed(*payloads_of(self.name, numbers, KEYS)))

    def finish(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


def options(receiver: Receiver, workers: int, *others: str) -> list[str]:
    where = ["--in", "127.0.0.1:0", "--out", receiver.address]
    return [*where, "--workers", str(workers), *others]


@contextlib.contextmanager
def cluster_of(folder: Path, *chosen: str, module: str = "counts") -> Iterator[ResizableCluster]:
    with ending(ResizableCluster(folder, module, *chosen)) as cluster:
        cluster.wait_ready()
        yield cluster


def check_order(receiver_output: list[bytes]) -> None:
    """Each key's numbers, which one connection brought, came out in their order on each link."""
    for output in receiver_output:
        last: dict[bytes, int] = defaultdict(lambda: -1)
        for line in output.splitlines():
            key, number = line.split()
            assert last[key] < int(number), f"{key!r}: {number!r} behind {last[key]}"
            last[key] = int(number)


def test_without_checkpoints_nothing_is_lost_or_doubled_and_order_is_kept(tmp_path: Path) -> None:
    receiver = Receiver()
    # No faster, so that there is load until the last change.
    with cluster_of(tmp_path, *options(receiver, 2, "--records-per-ms", "12", *NUMBERS)) as cluster:
        senders = [PlainSender(cluster.source_port(), f"s{number}") for number in range(4)]
        pauses = []
        wait_until("records flow", lambda: receiver.line_count() > 10_000)
        for joining, leaving in (["w3", "w4"], []), ([], ["w3"]), (["w5", "w6"], ["w4"]):
            facts = cluster.resize(joining, leaving)
            assert facts["moved_keys"] > 0
            pauses.append(facts["pause_s"])
        assert receiver.line_count() < 4 * RECORDS, "it was to be under load"
        for sender in senders:
            sender.finish()
        assert cluster.stop() == 0
        assert [line for line in cluster.log if line["level"] in ("warning", "error")] == []
    output = receiver.finish()
    expected = [
        payload for sender in senders for payload in payloads_of(sender.name, range(RECORDS), KEYS)
    ]
    assert lines_of(output) == Counter(expected)
    check_order(output)
    assert max(pauses) < PAUSE_MAX_S


def test_a_cluster_grows_and_shrinks_under_load_again_and_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    receiver = Receiver()
    chosen = options(receiver, 2, "--resilience-dir", str(state))
    with cluster_of(tmp_path, *chosen) as cluster:
        senders = [
            Sender(cluster.source_port(), state / "journals", f"s{number}", KEYS).start()
            for number in range(4)
        ]
        for joining, leaving in (["w3", "w4"], []), ([], ["w1", "w2"]), (["w5"], ["w3"]):
            for sender in senders:
                sender.wait_sent(5000)
            facts = cluster.resize(joining, leaving)
            assert (facts["added"], facts["left"]) == (joining, leaving)
            assert facts["moved_keys"] > 0
        # What left is not replayed, though its journals are the newest that some checkpoints name.
        os.kill(cluster.pid("w5"), signal.SIGKILL)
        expected: dict[str, Total] = {}
        for sender in senders:
            expected |= sender.stop()
        wait_until("it is ready again", lambda: cluster.ready()["epoch"] > facts["epoch"])
        wait_checkpoints(state, 4)
        assert cluster.stop() == 0
    check_same(totals_in(state), expected)
    assert newest_manifest(state).members == ["w4", "w5"]
    left = [path.name for path in (state / "journals").iterdir()]
    assert [name for name in left if name.startswith(("w1", "w2", "w3"))] == []
    receiver.close()


@pytest.mark.parametrize("victim", ["joiner", "giver", "leaver", "initializer"])
def test_if_a_process_is_killed_in_the_middle_the_members_are_the_old_or_the_new(
    tmp_path: Path, victim: str
) -> None:
    state = tmp_path / "state"
    receiver = Receiver()
    chosen = options(receiver, 2, "--resilience-dir", str(state))
    chosen[1] = f"127.0.0.1:{free_port()}"
    port = int(chosen[1].rpartition(":")[2])
    senders = [Sender(port, state / "journals", f"s{number}", KEYS) for number in range(3)]
    old, new = ["w1", "w2"], ["w1", "w3"]
    with cluster_of(tmp_path, *chosen) as cluster:
        for sender in senders:
            sender.start().wait_sent(2000)
        known = cluster.children()
        cluster.ask(["w3"], ["w2"])
        joiner = cluster.joining(known)
        if victim != "joiner":
            cluster.wait_event("worker.joined", 3)
        pids = {
            "joiner": joiner,
            "giver": cluster.pid("w1"),
            "leaver": cluster.pid("w2"),
            "initializer": cluster.process.pid,
        }
        os.kill(pids[victim], signal.SIGKILL)
        if victim == "initializer":
            cluster.wait_end()
            wait_until("no worker survives", lambda: all(map(is_gone, {joiner, *known})))
        else:
            is_done = isinstance(cluster.answer(), dict)
            expected_members = new if is_done else old
            wait_until("it is ready", lambda: cluster.ready().get("workers") is not None)
            assert [worker["name"] for worker in cluster.ready()["workers"]] == expected_members
            finish(cluster, senders, state)
    if victim == "initializer":
        # Without a number of workers the run has those of the last checkpoint.
        at = chosen.index("--workers")
        del chosen[at : at + 2]
        with cluster_of(tmp_path, *chosen) as cluster:
            members = [worker["name"] for worker in cluster.ready()["workers"]]
            assert members in (old, new)
            finish(cluster, senders, state)
    receiver.close()


def finish(cluster: Cluster, senders: list[Sender], state: Path) -> None:
    """Have all that was sent processed, and compare the totals."""
    expected: dict[str, Total] = {}
    for sender in senders:
        expected |= sender.stop()
    wait_checkpoints(state)
    assert cluster.stop() == 0
    check_same(totals_in(state), expected)


def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    receiver = Receiver()
    with cluster_of(tmp_path, *options(receiver, 1)) as cluster:
        cluster.ask([], ["w1"])
        assert cluster.answer() == "too few workers: of 1 one at least has to stay"
        cluster.ask(["w2"], [])
        cluster.ask(["w3"], [])
        assert "in progress" in cluster.answer()
        assert cluster.answer()["workers"] == ["w1", "w2"]
        (tmp_path / "counts.py").write_text("import nothing_of_this_name\n")
        cluster.ask(["w3"], [])
        reason = cluster.answer()
        assert "nothing_of_this_name" in reason
        assert "nothing changed" in reason
        assert cluster.stop() == 0
    receiver.close()
