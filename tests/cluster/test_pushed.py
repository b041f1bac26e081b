"""A source that is pushed: what is acknowledged is not lost, and what is journaled counts once."""

from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.broker import pushing
from tests.cluster.durable import kill, kill_initializer, lines_in
from tests.cluster.harness import ending, running, wait_until
from tests.cluster.test_resize import ResizableCluster
from wallaroo.routing.hashing import hash_text

pytestmark = pytest.mark.cluster

NO_CHECKPOINTS = ("--checkpoint-interval", "1000")
"""So everything in the journal has to be replayed."""


def named(first: int, end: int) -> list[bytes]:
    return [b"message %d" % number for number in range(first, end)]


def counted(messages: list[bytes], times: int = 1) -> Counter[str]:
    """The lines of messages that arrived so often."""
    return Counter(f"{each.decode()} {n}" for each in messages for n in range(1, times + 1))


@pytest.mark.parametrize("runs", ["everywhere", "once"])
def test_a_kill_between_journal_and_acknowledgement_loses_nothing(
    tmp_path: Path, runs: str
) -> None:
    safe, unheard, late = named(0, 300), named(300, 340), named(340, 400)
    store = ("--resilience-dir", str(tmp_path / "store"))
    with (
        pushing() as broker,
        running(
            tmp_path, "inbox", str(broker.port), runs, "--workers", "2", *store, *NO_CHECKPOINTS
        ) as cluster,
    ):
        cluster.wait_ready()
        broker.push(safe)
        broker.wait_acknowledged(safe)
        broker.hears_acks = False
        broker.push(unheard)
        broker.wait_lost(unheard)
        broker.hears_acks = True
        kill(cluster, "w1", "w2")
        cluster.wait_ready(epoch=2)
        broker.push(late)
        broker.wait_acknowledged([*unheard, *late])
        assert cluster.stop() == 0
        assert broker.connection_count == (4 if runs == "everywhere" else 2)
    # What was in the journal without its acknowledgement came again, as it has to.
    assert lines_in(tmp_path / "out") == counted([*safe, *late]) + counted(unheard, times=2)


def test_a_killed_run_replays_what_was_acknowledged(tmp_path: Path) -> None:
    early, late = named(0, 200), named(200, 250)
    with pushing() as broker:
        options = ("inbox", str(broker.port), "everywhere", "--workers", "2")
        store = ("--resilience-dir", str(tmp_path / "store"), *NO_CHECKPOINTS)
        with running(tmp_path, *options, *store) as cluster:
            cluster.wait_ready()
            broker.push(early)
            broker.wait_acknowledged(early)
            kill_initializer(cluster)
        with running(tmp_path, *options, *store) as cluster:
            cluster.wait_ready()
            broker.push(late)
            broker.wait_acknowledged(late)
            assert cluster.stop() == 0
    assert lines_in(tmp_path / "out") == counted([*early, *late])


def test_without_a_store_messages_are_acknowledged_after_their_results(tmp_path: Path) -> None:
    messages = named(0, 300)
    with (
        pushing() as broker,
        running(tmp_path, "inbox", str(broker.port), "everywhere", "--workers", "2") as cluster,
    ):
        cluster.wait_ready()
        broker.push(messages)
        broker.wait_acknowledged(messages)
        assert cluster.stop() == 0
    assert lines_in(tmp_path / "out") == counted(messages)


def test_a_broker_that_comes_back_is_connected_to_again(tmp_path: Path) -> None:
    with pushing() as broker:
        port = broker.port
    with running(tmp_path, "inbox", str(port), "once") as cluster:
        waiting = cluster.wait_event("source.waiting")
        assert waiting["pipeline"] == "inbox"
        assert waiting["method"].startswith("Inbox.open")
        assert waiting["next"] == "it is opened again"
        assert cluster.stop() == 0


def test_a_run_ends_by_itself_once_the_source_has_ended_on_all_workers(tmp_path: Path) -> None:
    messages = named(0, 100)
    with (
        pushing() as broker,
        running(tmp_path, "inbox", str(broker.port), "everywhere", "--workers", "2") as cluster,
    ):
        cluster.wait_ready()
        wait_until("both workers are connected", lambda: broker.connection_count == 2)
        broker.push(messages)
        broker.wait_acknowledged(messages)
        broker.push_over(0, b"end")
        cluster.wait_event("source.finished")
        assert cluster.process.poll() is None
        broker.push_over(1, b"end")
        assert cluster.wait_end() == 0
    assert lines_in(tmp_path / "out") == counted(messages)


def test_the_worker_of_a_source_that_runs_once_may_leave(tmp_path: Path) -> None:
    early, late = named(0, 200), named(200, 400)
    members = ["w1", "w2", "w3"]
    reader = members[hash_text("source/inbox") % len(members)]
    store = ("--resilience-dir", str(tmp_path / "store"))
    with pushing() as broker:
        options = ("inbox", str(broker.port), "once", "--workers", "3", *store)
        with ending(ResizableCluster(tmp_path, *options)) as cluster:
            cluster.wait_ready()
            broker.push(early)
            broker.wait_acknowledged(early)
            cluster.resize([], [reader])
            broker.push(late)
            broker.wait_acknowledged(late)
            assert cluster.stop() == 0
        assert broker.connection_count == 2
    assert lines_in(tmp_path / "out") == counted([*early, *late])
