"""What moves between workers: found while records flow, given in chunks, laid aside."""

import time
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.wallaroo.worker.by_hand import new_plan
from wallaroo.checkpoint.parts import PART_HEADER, encode_chunk
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.errors import DamagedFileError, ProtocolError, StateObjectError
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.routing import partition_map
from wallaroo.routing.hashing import hash_key
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.wire.data_frames import MovedAll, MovedStates, MovingFrame
from wallaroo.worker.state_transfer import StateTransfer

A, B, C = WorkerName("a"), WorkerName("b"), WorkerName("c")


class Link:
    """Keeps what is sent to one worker; its sender is ``worker``."""

    backlog_bytes = 0
    incarnation = Epoch(1)

    def __init__(self, worker: WorkerName) -> None:
        self.worker = worker
        self.frames: list[MovingFrame] = []

    def send_states(self, resize: int, state: int, body: bytes) -> None:
        self.frames.append(MovedStates(0, resize, state, body))

    def send_moved_all(self, resize: int, key_count: int, clocks: Any) -> None:
        self.frames.append(MovedAll(0, resize, key_count, clocks))

    def processed(self, frame: object) -> None: ...


class Mesh:
    def __init__(self, me: WorkerName, others: tuple[WorkerName, ...]) -> None:
        self.outgoing = {other: Link(me) for other in others}


async def at_once(_: float) -> None: ...


def run(work: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        work.send(None)


def partitions(workers: tuple[WorkerName, ...]) -> PartitionMap:
    return PartitionMap.initial("counts", 1024, [], workers)


def holding(me: WorkerName, keys: list[str], now: PartitionMap | None) -> Dataflow:
    dataflow = Dataflow(new_plan(), me, DataflowOptions(tracks_changes=True))
    states = dataflow.states["counts"]
    for key in keys:
        if now is None or now.owner_of(key) == me:
            states.put(key, {"n": 1})
    return dataflow


def mover(
    me: WorkerName, dataflow: Dataflow, now: PartitionMap, then: PartitionMap
) -> StateTransfer:
    before = {"counts": now} if me in now.owners else None
    givers = sorted(set(now.owners))
    return StateTransfer(1, me, dataflow, before, {"counts": then}, givers, StatePickler())


def test_each_key_is_at_its_owner_afterwards_and_its_state_with_it() -> None:
    keys = [f"k{number}" for number in range(3000)]
    now = partitions((A, B))
    then = now.rebalance((B, C))
    flows = {me: holding(me, keys if me in now.owners else [], now) for me in (A, B, C)}
    movers = {me: mover(me, flow, now, then) for me, flow in flows.items()}
    meshes = {me: Mesh(me, tuple(other for other in (A, B, C) if other != me)) for me in flows}
    whole_at: list[WorkerName] = []
    for me in (A, B):
        run(movers[me].find(time.perf_counter, at_once))
    late = next(f"late{number}" for number in range(1000) if now.owner_of(f"late{number}") == A)
    flows[A].states["counts"].put(late, {"n": 7})
    for me in (A, B):
        run(movers[me].give((B, C), meshes[me], time.perf_counter, at_once))  # type: ignore[arg-type]
    for me in (A, B):
        for taker, link in meshes[me].outgoing.items():
            are_whole = [movers[taker].received(link, frame) for frame in link.frames]
            whole_at += [taker] * sum(are_whole)
    assert sorted(whole_at) == [B, C]
    assert not flows[C].states["counts"], "it is staged until the end"
    for me in (A, B, C):
        movers[me].finish()
    assert not flows[A].states["counts"]
    for me in (B, C):
        wanted = {key for key in [*keys, late] if then.owner_of(key) == me}
        assert flows[me].states["counts"].keys() == wanted
    assert flows[then.owner_of(late)].states["counts"][late] == {"n": 7}
    # No checkpoint of the new owner holds the received keys yet, so all of them are marked.
    changes = flows[C].states["counts"].changes
    assert changes is not None
    assert changes.marks.keys() == wanted


def test_a_key_that_is_deleted_while_others_are_looked_for_does_not_move() -> None:
    keys = [f"k{number}" for number in range(100)]
    now, then = partitions((A,)), partitions((B,))
    flows = {A: holding(A, keys, None), B: holding(B, [], now)}
    states = flows[A].states["counts"]
    movers = {me: mover(me, flow, now, then) for me, flow in flows.items()}
    run(movers[A].find(time.perf_counter, at_once))
    for key in keys[::3]:
        states.delete(key)
    states.put("k0", {"n": 2})
    mesh = Mesh(A, (B,))
    run(movers[A].give((B,), mesh, time.perf_counter, at_once))  # type: ignore[arg-type]
    for frame in mesh.outgoing[B].frames:
        movers[B].received(Link(A), frame)
    for one in movers.values():
        one.finish()
    assert dict(states) == {}
    left = {key: {"n": 1} for number, key in enumerate(keys) if number % 3} | {"k0": {"n": 2}}
    assert flows[B].states["counts"] == left


def test_partitions_move_without_keys_too() -> None:
    """Parts of their giver may hold keys of them that were deleted."""
    now, then = partitions((A, B)), partitions((B,))
    moving = mover(A, holding(A, [], None), now, then)
    assert moving.gives
    assert moving.taken_partitions() == {"counts": []}
    taking = mover(B, holding(B, [], None), now, then)
    assert not taking.gives
    moved = [at for at, owner in enumerate(now.owners) if owner == A]
    assert taking.taken_partitions() == {"counts": moved}
    assert mover(C, holding(C, [], None), now, partitions((B, C))).taken_partitions() == {}


def test_the_pause_is_no_longer_for_keys_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200,000 keys some 200 move: only these, and one that arrived late, are touched."""
    keys = [f"k{number}" for number in range(200_000)]
    now = PartitionMap("counts", 1024, (), (A,) * 1024)
    then = PartitionMap("counts", 1024, (), (B, *(A,) * 1023))
    dataflow = holding(A, keys, None)
    moving = mover(A, dataflow, now, then)
    run(moving.find(time.perf_counter, at_once))
    dataflow.states["counts"].put("late", {"n": 1})
    hashed: list[object] = []

    def noted(key: Any) -> int:
        hashed.append(key)
        return hash_key(key)

    monkeypatch.setattr(partition_map, "hash_key", noted)
    started = time.thread_time()
    run(moving.give((A, B), Mesh(A, (B,)), time.perf_counter, at_once))  # type: ignore[arg-type]
    moving.finish()
    took_s = time.thread_time() - started
    assert hashed == ["late"]
    assert len(dataflow.states["counts"]) > 199_000
    assert took_s < 0.05, "200,000 keys take about 0.15 s to be looked through"


def test_a_state_that_cannot_be_pickled_is_named() -> None:
    dataflow = holding(A, [], None)
    dataflow.states["counts"].put("one", lambda: None)
    now, then = partitions((A,)), partitions((B,))
    moving = mover(A, dataflow, now, then)
    run(moving.find(time.perf_counter, at_once))
    work = moving.give((B,), Mesh(A, (B,)), time.perf_counter, at_once)  # type: ignore[arg-type]
    with pytest.raises(StateObjectError, match=r"state 'counts' .* key 'one'"):
        work.send(None)


class Moved:
    """Pickles; unpickles while ``may_unpickle``."""

    may_unpickle = True

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return unpickled, ()


def unpickled() -> Moved:
    if not Moved.may_unpickle:
        raise ValueError("not here")
    return Moved()


def given(state: object) -> Coroutine[Any, Any, Any]:
    """Have a worker give ``state`` to another one."""
    dataflow = holding(A, [], None)
    dataflow.states["counts"].put("one", state)
    moving = mover(A, dataflow, partitions((A,)), partitions((B,)))
    run(moving.find(time.perf_counter, at_once))
    return moving.give((B,), Mesh(A, (B,)), time.perf_counter, at_once)  # type: ignore[arg-type]


def test_a_state_that_cannot_be_unpickled_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Moved, "may_unpickle", False)
    what = r"state 'counts' .* key 'one' can be pickled, but not unpickled: ValueError: not here"
    with pytest.raises(StateObjectError, match=what):
        given(Moved()).send(None)


def test_a_state_that_cannot_be_unpickled_where_it_comes_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunk = encode_chunk(["one", "two"], [{}, Moved()], "counts", StatePickler())
    moving = mover(B, holding(B, [], None), partitions((A,)), partitions((B,)))
    monkeypatch.setattr(Moved, "may_unpickle", False)
    what = r"state 'counts': the object of key 'two' cannot be unpickled here: ValueError: not here"
    with pytest.raises(StateObjectError, match=what):
        moving.received(Link(A), MovedStates(0, 1, 0, PART_HEADER + chunk))


def test_what_is_not_what_was_sent_is_an_error() -> None:
    now, then = partitions((A,)), partitions((B,))
    moving = mover(B, holding(B, [], None), now, then)
    with pytest.raises(DamagedFileError):
        moving.received(Link(A), MovedStates(1, 1, 0, PART_HEADER + b"rubbish"))
    with pytest.raises(ProtocolError, match="a moved 0 keys but reports 3"):
        moving.received(Link(A), MovedAll(2, 1, 3))
