"""Clusters of real processes that get other members while records flow."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.durable import (
    Sender,
    Total,
    check_same,
    totals_in,
    wait_checkpoints,
    write_application,
)
from tests.cluster.harness import Cluster, Receiver, ending

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


class ResizableCluster(Cluster):
    """A cluster whose members can be changed."""

    command = (sys.executable, str(ROOT / "tests" / "cluster" / "resizable.py"))
    stdin = subprocess.PIPE

    def ask(self, joining: list[str], leaving: list[str]) -> None:
        """Ask for other members."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([joining, leaving]).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def resize(self, joining: list[str], leaving: list[str]) -> dict[str, Any]:
        """Have other members; return the facts."""
        self.ask(joining, leaving)
        facts = self.answer()
        assert isinstance(facts, dict), facts
        return facts


def test_a_cluster_grows_and_shrinks_under_load(tmp_path: Path) -> None:
    write_application(tmp_path)
    state = tmp_path / "state"
    receiver = Receiver()
    options = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "2"]
    options += ["--resilience-dir", str(state)]
    with ending(ResizableCluster(tmp_path, "counts", *options)) as cluster:
        cluster.wait_ready()
        senders = [
            Sender(cluster.source_port(), state / "journals", f"s{number}").start()
            for number in range(4)
        ]
        for sender in senders:
            sender.wait_sent(1000)
        print(cluster.resize(["w3", "w4"], []))
        print(cluster.resize([], ["w1", "w2"]))
        wait_checkpoints(state)
        expected: dict[str, Total] = {}
        for sender in senders:
            expected |= sender.stop()
        assert cluster.stop() == 0
    check_same(totals_in(state), expected)
    receiver.close()
