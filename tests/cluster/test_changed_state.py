"""Real clusters whose state does not unpickle, or not any more: said with the key, nothing lost."""

import json
import os
import signal
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cluster.durable import newest, wait_checkpoints
from tests.cluster.harness import Cluster, framed, running, send_bytes

pytestmark = pytest.mark.cluster


class Words:
    """An application that counts words, with its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "state"
        self.state_has: list[str] = []
        """Options that give the class of the state methods of its own."""

    def running(self, *options: str) -> AbstractContextManager[Cluster]:
        common = ["--in", "127.0.0.1:0", "--workers", "2", "--checkpoint-interval", "0.1"]
        own = ["--resilience-dir", "state", *self.state_has]
        return running(self.folder, "totals", *common, *own, *options)

    def lines(self) -> Counter[str]:
        path = self.folder / "words.txt"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def send(self, cluster: Cluster, *words: str) -> None:
        send_bytes(cluster.source_port(), framed(*(word.encode() for word in words)))

    def send_and_stop(self, *words: str) -> set[str]:
        """Return the lines that these words make in a run of their own."""
        before = self.lines()
        with self.running() as cluster:
            cluster.wait_ready()
            self.send(cluster, *words)
            assert cluster.stop() == 0
        return {*(self.lines() - before)}


@pytest.fixture
def words(tmp_path: Path) -> Words:
    return Words(tmp_path)


def test_a_state_that_does_not_unpickle_fails_checkpoints_and_is_lost_to_no_crash(
    words: Words,
) -> None:
    with words.running() as cluster:
        cluster.wait_ready()
        words.send(cluster, "a", "b", "refused")
        line = cluster.wait_event("checkpoint.failed")
        assert (
            "state 'totals' cannot be saved: the object of key 'refused' can be pickled, but "
            in (line["reason"])
        )
        assert "RefusedError" in line["reason"]
        os.kill(cluster.pid("w1"), signal.SIGKILL)
        cluster.wait_event("application.ready_again")
        # Input behind the last checkpoint is replayed, and fails the next one again.
        cluster.wait_event("checkpoint.failed", 2 + len(cluster.events("checkpoint.failed")))
        assert cluster.stop() == 1
    words.state_has = ["--state-has", "own-reduce"]
    assert words.send_and_stop("a", "refused") >= {"a 2", "refused 2"}


def test_a_key_that_cannot_be_read_stops_the_start_unless_it_may_be_skipped(words: Words) -> None:
    words.send_and_stop("one", "two", "two", "three", "three", "three")
    number = newest(words.store)
    words.state_has = ["--state-has", "own-setstate"]
    with words.running() as cluster:
        assert cluster.wait_end() == 1
        error, hint = cluster.errors
    assert "key 'two' of state 'totals' cannot be restored from checkpoint " in error
    assert "ValueError: two is not allowed any more" in error
    assert "--skip-unreadable-keys" in hint
    with words.running("--skip-unreadable-keys") as cluster:
        cluster.wait_ready()
        skipped = cluster.wait_event("keys.skipped")
        words.send(cluster, "two", "three")
        wait_checkpoints(words.store)
        assert cluster.stop() == 0
    assert (words.lines()["two 1"], words.lines()["three 4"]) == (2, 1)
    (line,) = Path(skipped["path"]).read_text().splitlines()
    listed = json.loads(line)
    assert (listed["state"], listed["key"], listed["key_type"]) == ("totals", "two", "str")
    assert listed["checkpoint"] > number
    # The next start does not meet that object again; a class that reads two would not find it.
    assert words.send_and_stop("three") == {"three 5"}
