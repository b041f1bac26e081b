"""Partition maps: keys to partitions for ever, partitions to workers for a membership."""

import math
import pickle
from collections import Counter
from string import ascii_lowercase
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.names import WorkerName
from wallaroo.routing.keys import Key, canonical_key
from wallaroo.routing.partition_map import PartitionMap, moves

WORKERS = [WorkerName(f"w{number}") for number in range(1, 9)]

worker_sets = st.sets(st.sampled_from(WORKERS), min_size=1)


def letters_on(workers: list[WorkerName], hashed_partition_count: int = 0) -> PartitionMap:
    return PartitionMap.initial("letters", hashed_partition_count, ascii_lowercase, workers)


def test_declared_keys_spread_evenly_whatever_the_hashed_ones_do() -> None:
    for hashed_partition_count in (0, 1, 7, 1024):
        partition_map = letters_on(WORKERS[:4], hashed_partition_count)
        declared = Counter(partition_map.owner_of(letter) for letter in ascii_lowercase)
        assert sorted(declared.values()) == [6, 6, 7, 7]


def test_hashed_partitions_come_first_and_declared_ones_after_in_their_order() -> None:
    partition_map = letters_on(WORKERS[:2], 10)
    assert [partition_map.partition_of(letter) for letter in "abz"] == [10, 11, 35]
    assert {partition_map.partition_of(f"word-{number}") for number in range(500)} == {*range(10)}


def test_look_alikes_of_a_declared_key_are_not_it() -> None:
    partition_map = PartitionMap.initial("s", 4, [canonical_key(True), 2], WORKERS[:2])
    assert partition_map.partition_of(canonical_key(True)) == 4
    assert partition_map.partition_of(2) == 5
    others: tuple[Key, ...] = (1, "True", canonical_key(False), "2", b"2", (2,))
    assert all(partition_map.partition_of(key) < 4 for key in others)


@given(st.text("ab\0é😀", max_size=9) | st.integers() | st.binary(), worker_sets, worker_sets)
def test_a_key_stays_in_its_partition(
    key: Key, before: set[WorkerName], after: set[WorkerName]
) -> None:
    old = PartitionMap.initial("s", 16, ["a", 1], before)
    new = old.rebalance(after)
    assert new.partition_of(key) == old.partition_of(key)
    assert new.owner_of(key) == new.owners[new.partition_of(key)]
    assert new.owner_of(key) in after


@pytest.mark.parametrize("worker_count", range(1, 8))
def test_a_joiner_takes_its_share_and_nothing_else_moves(worker_count: int) -> None:
    old = letters_on(WORKERS[:worker_count], 100)
    new = old.rebalance(WORKERS[: worker_count + 1])
    moved = moves(old, new)
    assert {taker for _, taker in moved.values()} == {WORKERS[worker_count]}
    for partitions in (range(100), range(100, 126)):
        count_max = math.ceil(len(partitions) / (worker_count + 1))
        assert sum(partition in moved for partition in partitions) <= count_max


@pytest.mark.parametrize("worker_count", range(2, 9))
def test_a_leaver_gives_away_its_own_and_nothing_else_moves(worker_count: int) -> None:
    old = letters_on(WORKERS[:worker_count], 100)
    moved = moves(old, old.rebalance(WORKERS[1:worker_count]))
    own = {number for number, owner in enumerate(old.owners) if owner == WORKERS[0]}
    assert {*moved} == own
    assert {giver for giver, _ in moved.values()} == {WORKERS[0]}


@given(st.lists(worker_sets, min_size=1, max_size=5))
def test_balance_outlives_any_sequence_of_memberships(memberships: list[set[WorkerName]]) -> None:
    partition_map = letters_on(WORKERS, 50)
    for workers in memberships:
        partition_map = partition_map.rebalance(workers)
        for owners in (partition_map.owners[:50], partition_map.owners[50:]):
            counts = [owners.count(worker) for worker in workers]
            assert sum(counts) == len(owners)
            assert max(counts) - min(counts) <= 1


def test_the_single_keys_of_several_states_do_not_meet_on_one_worker() -> None:
    owners = {
        PartitionMap.initial(f"total-{number}", 0, ["only"], WORKERS[:4]).owner_of("only")
        for number in range(40)
    }
    assert owners == {*WORKERS[:4]}


def test_a_state_of_declared_keys_refuses_any_other() -> None:
    partition_map = PartitionMap.initial("total", 0, ["only"], WORKERS)
    for key, shown in (("other", "'other'"), (canonical_key((True, 1)), r"\(True, 1\)")):
        with pytest.raises(ValueError, match=f"'total' has no partition for the key {shown}: it"):
            partition_map.partition_of(key)


def test_counts_are_of_partitions_owned() -> None:
    assert letters_on(WORKERS[:1], 4).counts() == {"w1": 30}
    assert sum(letters_on(WORKERS, 4).counts().values()) == 30


def test_maps_cross_the_wire_and_pickle_unchanged() -> None:
    keys = [canonical_key(key) for key in ("a", 1, True, b"\xff", ("x", (False, 2**70)))]
    partition_map = PartitionMap.initial("s", 9, keys, WORKERS[:3])
    packed = msgpack.packb(partition_map.to_wire())
    for copy in (
        PartitionMap.from_wire(msgpack.unpackb(packed)),
        pickle.loads(pickle.dumps(partition_map)),
    ):
        assert copy == partition_map
        assert [copy.partition_of(key) for key in keys] == [9, 10, 11, 12, 13]


@pytest.mark.parametrize(
    "wire",
    [
        None,
        7,
        [],
        ["s", 1, [], ["w1"], [1]],
        ["s", 1, [], ["w1"], [-1]],
        ["s", 1, [], ["w1"], ["w1"]],
        ["s", 2, [], ["w1"], [0]],
        ["s", "2", [], ["w1"], [0]],
        ["s", 0, [b"?"], ["w1"], [0]],
        ["s", 0, [b"sa", b"sa"], ["w1"], [0, 0]],
        ["s", 0, [7], ["w1"], [0]],
        [7, 1, [], ["w1"], [0]],
        ["s", 1, [], [b"w1"], [0]],
    ],
)
def test_a_value_that_is_not_a_map_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="not a partition map"):
        PartitionMap.from_wire(wire)


def test_a_map_must_fit_together() -> None:
    owner = WORKERS[0]
    with pytest.raises(ValueError, match="cannot have -1 hashed"):
        PartitionMap("s", -1, ("a", "b"), (owner,))
    with pytest.raises(ValueError, match="declares a key twice"):
        PartitionMap("s", 0, ("a", "a"), (owner, owner))
    with pytest.raises(ValueError, match="2 hashed partitions and 1 declared keys, but 1 owners"):
        PartitionMap("s", 2, ("a",), (owner,))
    with pytest.raises(ValueError, match="0 hashed partitions and 0 declared"):
        PartitionMap.initial("s", 0, [], WORKERS)


def test_moves_are_between_maps_of_the_same_partitions_only() -> None:
    with pytest.raises(ValueError, match="not partitioned alike"):
        moves(letters_on(WORKERS, 1), letters_on(WORKERS, 2))


@given(worker_sets, worker_sets, worker_sets)
def test_states_of_one_space_have_the_same_owners_whoever_joins_and_leaves(
    first: set[WorkerName], second: set[WorkerName], third: set[WorkerName]
) -> None:
    own = PartitionMap.initial("one", 64, ["a"], first)
    other = PartitionMap.initial("two", 64, ["a"], first, "one")
    for workers in (second, third):
        assert other.owners == own.owners
        own, other = own.rebalance(workers), other.rebalance(workers)
    assert other.owners == own.owners
    assert own.space == other.space == "one"
    assert own.of_state("two") == other
    assert other.of_state("one") == own


def test_the_space_of_a_map_travels_only_if_it_has_another_name() -> None:
    own = PartitionMap.initial("one", 4, [], WORKERS[:2])
    other = own.of_state("two")
    assert len(own.to_wire()) == 5
    assert other.to_wire()[5:] == ["one"]
    for each in (own, other):
        assert PartitionMap.from_wire(msgpack.unpackb(msgpack.packb(each.to_wire()))) == each


@pytest.mark.parametrize("more", [[1], ["one", "two"]])
def test_what_is_not_a_space_is_refused(more: list[Any]) -> None:
    wire = [*PartitionMap.initial("one", 4, [], WORKERS[:2]).to_wire(), *more]
    with pytest.raises(ValueError, match="not a partition map"):
        PartitionMap.from_wire(wire)
