"""Real clusters that run merges, splits, shared sinks and states behind one key."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Sender,
    Total,
    check_same,
    kill_initializer,
    newest_manifest,
    payloads_of,
    totals_of,
    wait_checkpoints,
    write_lines,
)
from tests.cluster.harness import ending, free_port, wait_until
from tests.cluster.test_resize import ResizableCluster
from wallaroo.checkpoint.parts import read_part
from wallaroo.routing.partition_map import PartitionMap

pytestmark = pytest.mark.cluster

KEYS = 50
LINES = 3000


class Run:
    """One application with its store, run again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "state"
        self.port = free_port()
        write_lines(folder / "lines.txt", "line", LINES, KEYS)

    def cluster(self, workers: int | None = None) -> ResizableCluster:
        chosen = ["--in", f"127.0.0.1:{self.port}", "--resilience-dir", str(self.store)]
        chosen += ["--checkpoint-interval", "0.2"]
        chosen += [] if workers is None else ["--workers", str(workers)]
        return ResizableCluster(self.folder, "graph", *chosen)

    def sender(self) -> Sender:
        return Sender(self.port, self.store / "journals", "sent", KEYS).start()

    def states(self) -> dict[str, dict[str, Total]]:
        """Return the states in the newest checkpoint; each key is at its owner."""
        manifest = newest_manifest(self.store)
        maps = [PartitionMap.from_wire(wire) for wire in manifest.partition_maps]
        found: dict[str, dict[str, Total]] = {each.state: {} for each in maps}
        for share in manifest.workers.values():
            for part in share.parts:
                owners, path = maps[part.state], self.store / part.name
                for chunk in read_part(path.read_bytes(), part, str(path)):
                    for key, total in zip(chunk.keys(), chunk.states(), strict=True):
                        if owners.owner_of(key) == share.worker:
                            values = Total(total["count"], total["sum"], total["squares"])
                            found[owners.state][str(key)] = values
        return found

    def check(self, sent: int) -> None:
        """Each number counts once in both states, and is in the files as often as it must."""
        states = self.states()
        wanted = totals_of("line", LINES, KEYS) | totals_of("sent", sent, KEYS)
        assert {*states} == {"count", "count again"}
        for totals in states.values():
            check_same(totals, wanted)
        lines = [
            line.decode()
            for name, count in (("line", LINES), ("sent", sent))
            for line in payloads_of(name, range(count), KEYS)
        ]
        even = [line for line in lines if int(line.split()[1]) % 2 == 0]
        assert Counter(self._output("all")) == Counter([*lines, *even])
        assert Counter(self._output("odd")) == Counter(lines) - Counter(even)

    def _output(self, name: str) -> list[str]:
        return (self.folder / f"{name}.txt").read_text().splitlines()


def test_whatever_is_killed_and_whoever_joins_each_record_counts_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with ending(run.cluster(3)) as cluster:
        cluster.wait_ready()
        sender = run.sender()
        sender.wait_sent(2000)
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        sender.wait_sent(2000)
        wait_checkpoints(run.store)
        assert cluster.resize(["w4", "w5"], [])["moved_keys"] > 0
        sender.wait_sent(2000)
        assert cluster.resize([], ["w1", "w3"])["moved_keys"] > 0
        sender.wait_sent(2000)
        kill_initializer(cluster)
    with ending(run.cluster()) as cluster:
        cluster.wait_ready()
        assert {worker["name"] for worker in cluster.ready()["workers"]} == {"w2", "w4", "w5"}
        sender.wait_sent(2000)
        sender.stop()
        wait_checkpoints(run.store, 2)
        assert cluster.stop() == 0
    run.check(sender.sent)
    # States behind one key have the same owners after all these changes.
    first, second = map(PartitionMap.from_wire, newest_manifest(run.store).partition_maps)
    assert first.owners == second.owners


def test_a_checkpoint_of_three_workers_is_restored_by_one(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with ending(run.cluster(3)) as cluster:
        cluster.wait_ready()
        first = run.sender()
        first.wait_sent(2000)
        wait_checkpoints(run.store)
        first.stop()
        assert cluster.stop() == 0
    with ending(run.cluster(1)) as cluster:
        cluster.wait_ready()
        wait_until("the rest of the lines is read", lambda: len(run._output("odd")) >= LINES // 2)
        wait_checkpoints(run.store, 2)
        assert cluster.stop() == 0
    run.check(first.sent)
