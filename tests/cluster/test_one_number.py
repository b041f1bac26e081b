"""Status, stop, log, page and ``/metrics`` show the same numbers, whatever has happened."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.cluster.counted import TEXTS, WORDS, counts_by_worker, framed, get, scrape
from tests.cluster.harness import (
    Cluster,
    Receiver,
    free_ports,
    running,
    wait_processed,
    wait_until,
)
from wallaroo_cli.cluster import main

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

TIMES = 50
RECORDS, FAILURES = TIMES * (len(TEXTS) + len(WORDS)), TIMES * 2
"""What one ``send`` adds."""
FINAL = ("record_count", "failure_count")

Numbers = tuple[int, int]
"""Records and failures."""


class Viewed:
    """One run of the command, and all that shows how many records there were."""

    def __init__(self, cluster: Cluster, ports: list[int]) -> None:
        self._cluster, self._ports = cluster, ports
        cluster.wait_ready()
        self._url = str(cluster.wait_event("dashboard.listening")["url"])

    def ask(self, *arguments: str) -> Any:
        with contextlib.chdir(self._cluster.folder):
            ended = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        assert ended.exit_code == 0, ended.stderr
        return json.loads(ended.stdout)

    def send(self) -> None:
        for port, payloads in zip(self._ports, (TEXTS, WORDS), strict=True):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(framed(payloads * TIMES))
                wait_processed(connection)

    def wait_acknowledged(self) -> None:
        """Wait until nothing is left that a worker would send again to a successor of another."""

        def is_acknowledged() -> bool:
            # Workers are asked now: the last report of one may be from before the records.
            return all(worker["backlog_bytes"] == 0 for worker in self.ask("status")["workers"])

        wait_until("all is acknowledged", is_acknowledged)

    def kill(self, worker: str) -> None:
        """Kill a worker; until another process has taken its place no view goes back."""
        before, epoch = self.status(), self._cluster.ready()["epoch"]
        os.kill(self._cluster.pid(worker), signal.SIGKILL)

        def is_back() -> bool:
            assert self.status() >= before
            assert self.page() >= before
            return bool(self._cluster.ready()["epoch"] > epoch)

        wait_until("the worker is back", is_back)

    def status(self) -> Numbers:
        totals = self.ask("status")["totals"]
        return totals["records"], totals["failures"]

    def page(self) -> Numbers:
        totals = get(f"{self._url}api/snapshot")["totals"]
        return totals["in"], totals["failed"]

    def metrics(self) -> Numbers:
        places = [
            (place, four)
            for counts in counts_by_worker(scrape(self._url)).values()
            for place, four in counts.items()
        ]
        records = sum(four[0] for place, four in places if place.endswith("/source"))
        return records, sum(four[3] for _, four in places)

    def check(self, times: int) -> None:
        """See that all views show what was sent."""
        numbers = (times * RECORDS, times * FAILURES)
        wait_until("status shows it", lambda: self.status() == numbers)
        wait_until("so does the page", lambda: self.page() == numbers)
        wait_until("so do the metrics", lambda: self.metrics() == numbers)
        assert self.status() == numbers

    def stop(self, times: int) -> None:
        """Stop in order; see that the answer and the last line of the log say the same."""
        numbers = (times * RECORDS, times * FAILURES)
        answer = self.ask("stop")
        assert tuple(answer[name] for name in FINAL) == numbers
        assert self._cluster.wait_end() == 0
        for line in (self._cluster.events("cluster.drained")[-1], self._cluster.log[-1]):
            assert tuple(line[name] for name in FINAL) == numbers
        assert self._cluster.log[-1]["event"] == "cluster.stopped"


@contextlib.contextmanager
def viewed(folder: Path, *options: str) -> Iterator[Viewed]:
    receiver, ports = Receiver(), free_ports(2)
    where = ["--in", ",".join(f"127.0.0.1:{port}" for port in ports), "--out", receiver.address]
    page = ["--dashboard", "127.0.0.1:0"]
    with running(folder, "counted_words", *where, *page, *options) as cluster:
        yield Viewed(cluster, ports)
    receiver.close()


def test_one_number_over_losses_resizes_and_runs(tmp_path: Path) -> None:
    store = ["--resilience-dir", str(tmp_path / "state")]
    with viewed(tmp_path, "--workers", "2", *store) as run:
        run.check(0)
        run.send()
        run.check(1)
        run.kill("w1")
        run.check(1)
        run.send()
        run.ask("grow", "--workers", "1")
        run.kill("w3")
        run.send()
        run.ask("shrink", "--names", "w2")
        run.check(3)
        run.send()
        run.kill("w1")
        run.ask("drain")
        run.check(4)
        run.stop(4)
    with viewed(tmp_path, *store) as run:
        run.check(4)
        run.kill("w3")
        run.check(4)
        run.send()
        run.stop(5)


def test_without_checkpoints_what_a_lost_worker_has_told_stays(tmp_path: Path) -> None:
    with viewed(tmp_path, "--workers", "2") as run:
        run.send()
        run.check(1)
        for worker in ("w1", "w2", "w1"):
            run.wait_acknowledged()
            run.kill(worker)
            run.check(1)
        run.send()
        run.ask("grow", "--workers", "1")
        run.ask("shrink", "--names", "w1")
        run.wait_acknowledged()
        run.kill("w2")
        run.check(2)
        run.wait_acknowledged()
        run.kill("w3")
        run.check(2)
        run.send()
        run.stop(3)


def test_without_metrics_records_and_failures_are_counted_still(tmp_path: Path) -> None:
    store = ["--resilience-dir", str(tmp_path / "state")]
    with viewed(tmp_path, "--workers", "2", "--no-metrics", *store) as run:
        run.send()
        run.check(1)
        run.kill("w1")
        run.check(1)
        run.send()
        run.stop(2)
