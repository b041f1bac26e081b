"""Counts stay exact while the members of a cluster change, records flow, and workers die."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.counted import (
    TEXTS,
    WORDS,
    act,
    counts_by_worker,
    expected,
    framed,
    get,
    run_file,
    scrape,
    summed,
)
from tests.cluster.harness import WAIT_S, Cluster, Receiver, free_ports, running, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PACE_S = 0.004


class Flow:
    """Sends a block of frames again and again, no faster than one each few milliseconds."""

    def __init__(self, port: int, payloads: list[bytes]) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.block_count = 0
        """Blocks that were handed over whole."""
        self._block = framed(payloads)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(PACE_S):
            self.connection.sendall(self._block)
            self.block_count += 1

    def wait_more(self, blocks: int) -> None:
        """Wait until so many more blocks have been sent."""
        enough = self.block_count + blocks
        wait_until("blocks are taken", lambda: self.block_count >= enough)

    def stop(self) -> int:
        """Send no more; return how many blocks that were."""
        self._is_over.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "nobody takes the rest of a block"
        return self.block_count


class Counted:
    """A cluster under load, and what its counts have to be."""

    def __init__(self, cluster: Cluster, ports: list[int], folder: Path, sink: str) -> None:
        self._cluster, self._ports, self._sink = cluster, ports, sink
        cluster.wait_ready()
        self.url = str(cluster.wait_event("dashboard.listening")["url"])
        self._secret = run_file(folder)["secret"]
        self._texts = self._words = 0
        self._flows: list[Flow] = []

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Send records meanwhile, to the workers that have these connections."""
        self._flows = [Flow(self._ports[0], TEXTS * 3), Flow(self._ports[1], WORDS * 2)]
        self.wait_more()
        yield
        self.wait_more()
        texts, words = (flow.stop() for flow in self._flows)
        self._texts += 3 * texts
        self._words += 2 * words
        for flow in self._flows:
            flow.connection.close()

    def wait_more(self) -> None:
        for flow in self._flows:
            flow.wait_more(50)

    def without_connection(self, count: int) -> list[str]:
        """Workers that none of the connections goes to."""
        taken = {self._cluster.pid_of_connection(flow.connection) for flow in self._flows}
        workers = self._cluster.ready()["workers"]
        return [each["name"] for each in workers if each["pid"] not in taken][:count]

    def act(self, action: str, **params: Any) -> None:
        act(self.url, action, self._secret, **params)

    def check(self) -> None:
        """See that what ``/metrics`` says comes to what was sent, and stays so."""
        counts = expected(self._texts, self._words, self._sink)
        wait_until("all is counted", lambda: summed(counts_by_worker(scrape(self.url))) == counts)
        for worker, here in counts_by_worker(scrape(self.url)).items():
            for place, (came, *went) in here.items():
                if not place.endswith("/split"):
                    assert came == sum(went), f"{worker}: {place}"
        totals = {
            "in": counts["texts/source"][0] + counts["words/source"][0],
            "out": sum(four[1] for place, four in counts.items() if "sink" in place),
            "filtered": sum(four[2] for four in counts.values()),
            "failed": sum(four[3] for four in counts.values()),
        }
        wait_until("so says the page", lambda: get(f"{self.url}api/snapshot")["totals"] == totals)
        view = get(f"{self.url}api/snapshot")
        assert by_worker_of(view) == counts_by_worker(scrape(self.url))


def by_worker_of(view: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
    """What a snapshot says of each worker and place, as a scrape says it."""
    found: dict[str, dict[str, list[int]]] = {}
    for node in view["graph"]["nodes"]:
        for worker, each in node["by_worker"].items():
            four = [each[kind] for kind in ("in", "out", "filtered", "failed")]
            found.setdefault(worker, {})[node["id"]] = four
    return found


@contextlib.contextmanager
def counted(folder: Path, *options: str) -> Iterator[Counted]:
    receiver = Receiver()
    ports = free_ports(2)
    where = ["--in", ",".join(f"127.0.0.1:{port}" for port in ports), "--out", receiver.address]
    page = ["--dashboard", "127.0.0.1:0"]
    with running(folder, "counted_words", *where, *page, *options) as cluster:
        run = Counted(cluster, ports, folder, receiver.address)
        yield run
        run.check()
        run.act("stop")
        assert cluster.wait_end() == 0
    receiver.close()


@pytest.mark.parametrize("durable", [False, True], ids=["plain", "durable"])
def test_counts_are_exact_after_growing_and_shrinking_under_load(
    tmp_path: Path, durable: bool
) -> None:
    store = ["--resilience-dir", str(tmp_path / "state")] if durable else []
    with counted(tmp_path, "--workers", "2", *store) as run:
        with run.flowing():
            run.act("grow", workers=2)
        run.check()
        with run.flowing():
            leaving = run.without_connection(2)
            run.act("shrink", names=leaving)
        run.check()
        # What those counted who have left is in the sums still.
        with run.flowing():
            pass
        run.check()


def test_counts_are_exact_after_kill_9_under_load(tmp_path: Path) -> None:
    store = ["--resilience-dir", str(tmp_path / "state")]
    with counted(tmp_path, "--workers", "3", *store) as run, run.flowing():
        for _ in range(2):
            view = get(f"{run.url}api/snapshot")
            [victim] = run.without_connection(1)
            [pid] = [each["pid"] for each in view["workers"] if each["name"] == victim]
            os.kill(pid, signal.SIGKILL)
            wait_until(
                "it is running again",
                lambda: (
                    (after := get(f"{run.url}api/snapshot"))["epoch"] > view["epoch"]  # noqa: B023
                    and after["phase"] == "running"
                ),
            )
            run.wait_more()
