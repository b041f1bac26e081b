"""The chart's manifests, run without a cluster: scaling, lost nodes, claims that move, upgrades."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest

from tests.cluster.durable import (
    Sender,
    Total,
    accepted_in,
    check_output,
    check_same,
    output_of,
    size_of,
    totals_of,
    write_lines,
)
from tests.cluster.harness import APPLICATIONS, COMMANDS, WAIT_S, running, wait_until
from tests.cluster.seaweed import S3Server
from tests.homes.fake_nodes import FakeCluster, Pod, fake_cluster, pids_on
from tests.homes.helm import render
from tests.hosts.namespaces import Host, why_not
from tests.hosts.sites import SECRET, make_certificates

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(300),
]

PORT = 7010
KEY_COUNT = 10
STORE = "s3://checkpoints/counts"
FIRST_WRITE = """
import asyncio
from wallaroo_workers.storage.store import open_store
asyncio.run(open_store("s3://checkpoints/first").create("write", b""))
"""
INITIALIZER, WORKERS = "counts-initializer", "counts-worker"
COMMON = (
    "application.module=counts",
    "application.folder=/app",
    f"checkpoints.url={STORE}",
    "checkpoints.interval=0.3",
    "checkpoints.secret=store",
    "cluster.workerTimeoutSeconds=3",
)
FROM_TCP = (
    "sources[0].name=sent",
    f"sources[0].port={PORT}",
    "application.arguments={--sent,/data/sent.txt}",
)
LINES = {"a": "a-counts.txt", "b": "b-counts.txt"}
FROM_FILES = (
    "sources=null",
    "application.arguments={--records-per-ms=1,"
    + ",".join(f"--lines,/data/{name}.txt,/data/{output}" for name, output in LINES.items())
    + "}",
)


class FakeSender(Sender):
    """Sends from a host of the same network: to the newest pod that listens, or to one host."""

    def __init__(self, cluster: FakeCluster, to: Host | None = None, first: int = 0) -> None:
        """Start with the number ``first``; those before it have been accepted."""
        super().__init__(PORT, cluster.folder / "claims", "sent", KEY_COUNT)
        self.sent = self.accepted = first
        self._cluster = cluster
        self._to = to
        self._host = cluster.add_host()
        self.connected_to: Pod | None = None

    def in_journals(self) -> int:
        folders = self._journals.glob("*/journals")
        return max((accepted_in(folder, self.name) for folder in folders), default=0)

    def connect(self) -> socket.socket:
        if self._to is not None:
            return self._host.connect((self._to.address, PORT), WAIT_S)
        for pod in reversed(self._cluster.pods_of(WORKERS)):
            with contextlib.suppress(OSError):
                connection = self._host.connect((pod.host.address, PORT), 2)
                # What was sent before a timeout would still arrive, and once more after it.
                connection.settimeout(WAIT_S)
                self.connected_to = pod
                return connection
        raise ConnectionRefusedError

    def hang_up(self) -> None:
        """Notice that the other side is away, as a sender with a timeout does."""
        assert self.connection is not None
        self.connection.shutdown(socket.SHUT_RDWR)


class World:
    """A network with a store, and the secrets that pods mount."""

    def __init__(self, folder: Path, cluster: FakeCluster, store: S3Server) -> None:
        self.folder = folder
        """What containers see as /data."""
        self.cluster = cluster
        self.store = store

    @property
    def initializer(self) -> Pod:
        return self.cluster.pods[f"{INITIALIZER}-0"]

    def apply(self, *settings: str) -> None:
        self.cluster.apply(render(*COMMON, *settings))

    def wait_ready(self) -> None:
        for pod in self.cluster.pods.values():
            wait_until(f"{pod.name} is ready", pod.is_ready)

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.initializer.inside("wallaroo-cluster", *arguments, "--json"))

    def wait_members(self, count: int) -> None:
        wait_until(
            f"there are {count} workers", lambda: len(self.ask("status")["workers"]) == count
        )

    def wait_totals(self, expected: dict[str, Total]) -> None:
        wait_totals(self.ask, expected)


class Laptop:
    """A machine on which people start the application by hand."""

    def __init__(self, world: World, folder: Path) -> None:
        self.host = world.cluster.add_host()
        self._folder = folder
        self._world = world
        self._before = world.cluster.in_image(self.host)

    def count(self, worker_count: int, first: int) -> int:
        """Run it, send numbers from ``first`` on, and stop; return how many there are then."""
        journals = self._world.cluster.folder / "claims" / "laptop" / "journals"
        options = ["--in", f"0.0.0.0:{PORT}", "--sent", "/data/sent.txt", "--resilience-dir", STORE]
        options += ["--journal-dir", str(journals), "--workers", str(worker_count)]
        with running(self._folder, "counts", *options, before=self._before) as cluster:
            cluster.wait_ready()
            sender = FakeSender(self._world.cluster, self.host, first).start()
            sender.wait_sent(500)
            wait_totals(self._ask, sender.stop())
            assert cluster.stop() == 0
        return sender.sent

    def _ask(self, *arguments: str) -> Any:
        command = [*self._before, str(COMMANDS / "wallaroo-cluster"), *arguments, "--json"]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


def wait_totals(ask: Callable[..., Any], expected: dict[str, Total]) -> None:
    """Wait until a cluster has counted all of it; fail if it then has anything else."""

    def total(key: str) -> Total:
        value = ask("get", "totals", key)["value"]
        return Total(value["count"], value["sum"], value["squares"])

    last = max(expected)
    wait_until("all is counted", lambda: total(last).sum >= expected[last].sum)
    check_same({key: total(key) for key in expected}, expected)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    if reason := why_not():
        pytest.skip(reason)
    certificates = make_certificates(tmp_path / "certificates", "counts")
    own = {
        "secret": SECRET + "\n",
        "tls.crt": (certificates / "counts.pem").read_text(),
        "tls.key": (certificates / "counts-key.pem").read_text(),
        "ca.crt": (certificates / "ca.pem").read_text(),
    }
    rights: dict[str, str] = {}
    secrets = {"wallaroo-cluster": own, "store": rights}
    data, nodes, kept = tmp_path / "data", tmp_path / "nodes", tmp_path / "s3"
    for folder in (data, nodes, kept):
        folder.mkdir()
    with fake_cluster(nodes, secrets, {"/app": APPLICATIONS, "/data": data}) as cluster:
        there = cluster.add_host()
        store = S3Server(kept, there.address, there.before)
        rights |= store.environment
        store.use(monkeypatch)
        store.start()
        # The first write makes the bucket.
        write = [*there.before, sys.executable, "-c", FIRST_WRITE]
        wait_until("there is a bucket", lambda: not subprocess.call(write, stderr=DEVNULL))
        try:
            yield World(data, cluster, store)
        finally:
            store.kill()
            # Shown if the test has failed.
            sys.stdout.write(cluster.logs())


def wait_size(path: Path, size: int) -> None:
    wait_until(f"{path.name} is complete", lambda: path.stat().st_size == size)


def test_workers_with_claims_come_and_go_and_lose_nothing(world: World) -> None:
    world.apply(*FROM_TCP)
    world.wait_ready()
    sender = FakeSender(world.cluster).start()
    sender.wait_sent(1000)
    # A name that has left comes back, with its old claim.
    for count in (4, 3, 4):
        ended = world.cluster.scale(WORKERS, count)
        assert all(status == 0 for status in ended)
        world.wait_members(count)
        world.wait_ready()
        sender.wait_sent(500)
    # The node of the worker that has the sender is lost, and its claim is attached elsewhere.
    lost = sender.connected_to
    assert lost is not None
    lost.lose(is_silent=True)
    world.cluster.replace(lost.name)
    sender.hang_up()
    world.wait_ready()
    world.wait_members(4)
    sender.wait_sent(500)
    world.wait_totals(sender.stop())


def test_a_lost_initializer_takes_over_from_itself(world: World) -> None:
    world.apply(*FROM_TCP)
    world.wait_ready()
    sender = FakeSender(world.cluster).start()
    sender.wait_sent(1000)
    world.initializer.lose(is_silent=False)
    world.cluster.replace(f"{INITIALIZER}-0")
    world.wait_ready()
    sender.wait_sent(500)
    world.wait_totals(sender.stop())


NEW_CODE = "application.arguments={--sent,/data/sent.txt,--step,add up}"


@pytest.mark.parametrize(
    "changes",
    [
        ("image.tag=2",),
        # Old workers do not fit to the new initializer, and new ones not to the old one.
        ("image.tag=2", NEW_CODE, "options={--allow-dropped-state}"),
    ],
    ids=["same outline", "new outline"],
)
def test_an_upgrade_of_workers_with_claims_loses_nothing(
    world: World, changes: tuple[str, ...]
) -> None:
    world.apply(*FROM_TCP)
    world.wait_ready()
    sender = FakeSender(world.cluster).start()
    sender.wait_sent(1000)
    world.apply(*FROM_TCP, *changes)
    world.wait_ready()
    world.wait_members(3)
    sender.wait_sent(500)
    world.wait_totals(sender.stop())


def test_a_host_that_stands_by_replaces_a_worker_without_a_disk(world: World) -> None:
    totals: dict[str, Total] = {}
    line_count = 30_000
    for name in LINES:
        write_lines(world.folder / f"{name}.txt", name, line_count, KEY_COUNT)
        totals |= totals_of(name, line_count, KEY_COUNT)
    outputs = [world.folder / output for output in LINES.values()]
    world.apply(*FROM_FILES)
    world.wait_ready()
    world.wait_members(3)
    wait_until("there is output", lambda: all(path.exists() for path in outputs))
    # Its agent has a worker, so it is not the one that stands by.
    lost = next(pod for pod in world.cluster.pods_of(WORKERS) if len(pids_on(pod.host)) > 1)
    lost.lose(is_silent=True)
    wait_until("it is replaced", lambda: world.ask("status")["epoch"] > 1)
    world.cluster.replace(lost.name)
    world.wait_ready()
    # A new image: new pods join, then old ones leave.
    world.apply(*FROM_FILES, "image.tag=2")
    for name, output in zip(LINES, outputs, strict=True):
        expected = output_of({key: each for key, each in totals.items() if key[0] == name})
        wait_size(output, size_of(expected))
        check_output(output, expected)


def test_a_checkpoint_of_one_machine_starts_on_nodes_and_comes_back(
    world: World, tmp_path: Path
) -> None:
    laptop = Laptop(world, tmp_path)
    sent = laptop.count(1, 0)
    world.apply(*FROM_TCP)
    world.wait_ready()
    sender = FakeSender(world.cluster, first=sent).start()
    sender.wait_sent(1000)
    world.wait_totals(sender.stop())
    assert set(world.cluster.uninstall()) == {0}
    assert laptop.count(2, sender.sent) > sender.sent
