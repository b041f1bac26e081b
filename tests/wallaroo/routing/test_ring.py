"""Placement on the ring: balance is exact, and nothing moves without need."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.names import WorkerName
from wallaroo.routing.ring import Ring, assign, rebalance

WORKERS = [WorkerName(f"w{number}") for number in range(1, 9)]

worker_sets = st.sets(st.sampled_from(WORKERS), min_size=1)
label_lists = st.integers(0, 60).map(lambda count: [f"p{number}" for number in range(count)])


def is_balanced(owners: list[WorkerName], workers: set[WorkerName]) -> bool:
    share, larger = divmod(len(owners), len(workers))
    counts = sorted(Counter(owners).get(worker, 0) for worker in workers)
    return counts == [share] * (len(workers) - larger) + [share + 1] * larger


@given(label_lists, worker_sets)
def test_every_worker_gets_its_share_and_some_one_more(
    labels: list[str], workers: set[WorkerName]
) -> None:
    assert is_balanced(assign(labels, workers), workers)


@given(label_lists, st.permutations(WORKERS))
def test_the_order_of_workers_does_not_matter(labels: list[str], order: list[WorkerName]) -> None:
    assert assign(labels, order) == assign(labels, WORKERS)


@given(label_lists, st.lists(worker_sets, min_size=2, max_size=6))
def test_only_leavers_and_the_overloaded_give_and_nobody_takes_from_balanced_peers(
    labels: list[str], memberships: list[set[WorkerName]]
) -> None:
    old = assign(labels, memberships[0])
    for before, after in pairwise(memberships):
        new = rebalance(labels, old, after)
        assert is_balanced(new, after)
        moved = [(giver, taker) for giver, taker in zip(old, new, strict=True) if giver != taker]
        for giver, taker in moved:
            assert giver not in after or taker not in before
        counts = Counter(owner for owner in old if owner in after)
        gone = sum(owner not in after for owner in old)
        share, larger = divmod(len(labels), len(after))
        tallest = sorted((counts[worker] for worker in after), reverse=True)
        room = [share + 1] * larger + [share] * (len(after) - larger)
        surplus = sum(max(0, count - limit) for count, limit in zip(tallest, room, strict=True))
        assert len(moved) == gone + surplus
        old = new


@given(st.lists(st.sampled_from([*WORKERS, None]), max_size=60), worker_sets)
def test_any_owners_however_uneven_are_balanced(
    owners: list[WorkerName | None], workers: set[WorkerName]
) -> None:
    labels = [f"p{number}" for number in range(len(owners))]
    new = rebalance(labels, owners, workers)
    assert is_balanced(new, workers)
    assert rebalance(labels, new, workers) == new


def test_single_partitions_spread_over_workers_by_their_labels() -> None:
    counts = Counter(assign([f"state-{number}"], WORKERS[:4])[0] for number in range(400))
    assert min(counts[worker] for worker in WORKERS[:4]) > 50


def test_single_partitions_of_a_leaver_spread_over_those_that_stay() -> None:
    labels = [f"state-{number}" for number in range(400)]
    takers = Counter(rebalance([label], WORKERS[:1], WORKERS[1:4])[0] for label in labels)
    assert min(takers[worker] for worker in WORKERS[1:4]) > 60


def test_a_label_that_no_other_competes_with_stays_where_the_circle_puts_it() -> None:
    fives, fours = Ring(WORKERS[:5]), Ring(WORKERS[:4])
    for number in range(200):
        first, *others = [*dict.fromkeys(fives.clockwise_from(f"p{number}"))]
        remaining = [worker for worker in (first, *others) if worker != WORKERS[4]]
        assert [*dict.fromkeys(fours.clockwise_from(f"p{number}"))] == remaining


def test_workers_must_be_there_and_differ() -> None:
    for workers in ([], [WORKERS[0], WORKERS[0]]):
        with pytest.raises(ValueError, match="one or more different names"):
            assign(["p"], workers)


def test_placement_is_the_same_for_ever() -> None:
    owners = assign([f"p{number}" for number in range(12)], WORKERS[:3])
    assert " ".join(owners) == "w3 w3 w3 w2 w1 w2 w1 w3 w1 w1 w2 w2"
