"""Requests that delete the state of a key: where, when, and what is promised of them."""

import asyncio
from collections.abc import Callable

import pytest

from tests.wallaroo.coordinator.story import A, B
from tests.workers.asked_cluster import KEYS, AskedCluster
from tests.workers.counting_clusters import durable_cluster, running_cluster
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import CheckpointDue, StopRequested
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo.routing.partition_map import PartitionMap


@pytest.fixture
def cluster() -> AskedCluster:
    return running_cluster()


@pytest.fixture
def durable() -> AskedCluster:
    return durable_cluster()


async def settled(is_so: Callable[[], bool]) -> None:
    """Let the cluster go on until ``is_so``, and then as long as it goes on by itself."""
    turns = 0
    while turns < 20:
        await asyncio.sleep(0)
        turns = turns + 1 if is_so() else 0


async def test_a_key_is_deleted_by_its_owner(cluster: AskedCluster) -> None:
    answer = await cluster.ask("delete", state="counts", key=KEYS[0])
    owner = WorkerName(answer["worker"])
    assert answer == {
        "state": "counts",
        "key": KEYS[0],
        "key_type": "str",
        "worker": owner,
        "deleted": True,
        "checkpoint": None,
    }
    assert KEYS[0] not in cluster.states[owner]["counts"]
    for method in ("get", "delete"):
        with pytest.raises(ClusterError, match="state 'counts' has no key 'key 0'"):
            await cluster.ask(method, state="counts", key=KEYS[0])


async def test_no_key_is_deleted_while_keys_move(cluster: AskedCluster) -> None:
    cluster.is_resizing = True
    with pytest.raises(ClusterError, match="keys are moving"):
        await cluster.ask("delete", state="counts", key=KEYS[0])
    assert cluster.queries == []


async def test_a_deletion_is_answered_once_a_checkpoint_holds_it(durable: AskedCluster) -> None:
    durable.fill("counts")
    await durable.ask("checkpoint")
    answer = await durable.ask("delete", state="counts", key=KEYS[0])
    assert answer["checkpoint"] == 1
    assert durable.view.rounds.committed == 2


async def test_a_deletion_waits_until_replayed_records_are_processed(
    durable: AskedCluster,
) -> None:
    durable.fill("counts")
    durable.played[A].replays(is_done=False)
    deleting = asyncio.create_task(durable.ask("delete", state="counts", key=KEYS[0]))
    await settled(lambda: durable.view.rounds.committed == 1)
    assert durable.queries == []
    durable.played[A].replays(is_done=True)
    durable.on_event(CheckpointDue())
    assert (await deleting)["deleted"]
    assert durable.view.rounds.committed == 3
    durable.lose(A)
    durable.go_to(Phase.RUNNING)
    assert (await durable.ask("delete", state="counts", key=KEYS[1]))["deleted"]
    assert durable.view.rounds.committed == 5, "after a recovery there may be another replay"


async def test_the_owner_is_looked_for_once_a_deletion_is_possible(
    durable: AskedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.fill("counts")
    (map_,) = [each for each in durable.view.maps if each.state == "counts"]
    key = next(each for each in KEYS if map_.owner_of(each) == A)
    durable.played[A].replays(is_done=False)
    deleting = asyncio.create_task(durable.ask("delete", state="counts", key=key))
    await settled(lambda: durable.view.rounds.committed == 1)
    # A resize gives all keys to one worker meanwhile.
    names = [each.state for each in durable.view.maps]
    monkeypatch.setattr(durable.view, "maps", [PartitionMap.initial(n, 4, [], [B]) for n in names])
    durable.states[B]["counts"].objects[key] = 1
    durable.played[A].replays(is_done=True)
    durable.on_event(CheckpointDue())
    assert (await deleting)["worker"] == B
    assert [worker for worker, _ in durable.queries] == [B]


async def test_a_stop_during_a_replay_refuses_a_deletion(durable: AskedCluster) -> None:
    durable.fill("counts")
    durable.played[A].replays(is_done=False)
    deleting = asyncio.create_task(durable.ask("delete", state="counts", key=KEYS[0]))
    await settled(lambda: durable.view.rounds.committed == 1)
    durable.on_event(StopRequested())
    with pytest.raises(ClusterError, match="the cluster stops"):
        await deleting
    assert durable.queries == []


async def test_a_deletion_that_cannot_be_saved_says_so(durable: AskedCluster) -> None:
    durable.fill("counts")
    await durable.ask("checkpoint")
    durable.store_is_away = True
    with pytest.raises(ClusterError, match="is deleted, but no checkpoint holds that") as raised:
        await durable.ask("delete", state="counts", key=KEYS[0])
    assert "the key is back" in raised.value.hint


async def test_a_recovery_before_the_checkpoint_may_have_brought_the_key_back(
    durable: AskedCluster,
) -> None:
    durable.fill("counts")
    await durable.ask("checkpoint")
    durable.due()
    deleting = asyncio.create_task(durable.ask("delete", state="counts", key=KEYS[0]))
    for _ in range(9):  # until it waits for a checkpoint after the one that is being taken
        await asyncio.sleep(0)
    assert durable.queries
    durable.lose(A)
    durable.go_to(Phase.RUNNING)
    with pytest.raises(ClusterError, match="the key may be back"):
        await deleting
