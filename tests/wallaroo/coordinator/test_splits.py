"""Which worker reads which split: balance, fewest moves, and what is new."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import pytest

from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.split_positions import (
    INITIAL,
    NEW,
    SplitKind,
    SplitPosition,
    merged,
    to_share,
)
from wallaroo.coordinator import splits as module
from wallaroo.coordinator.splits import SplitLedger, SplitShare, deal
from wallaroo.names import WorkerName

A, B, C = WorkerName("a"), WorkerName("b"), WorkerName("c")
AT = SplitPosition(SplitKind.AT, [40, 2])
ONCE = {0: False}
AGAIN = {0: True}

Owners = dict[str, WorkerName]


def fewest_moves(
    splits: Collection[str], workers: Collection[WorkerName], owners: Mapping[str, WorkerName]
) -> int:
    """Return the smallest number of splits that must leave a member, found by trying everything."""
    least, larger_count = divmod(len(splits), len(workers))
    balanced = sorted([least + 1] * larger_count + [least] * (len(workers) - larger_count))
    return min(
        sum(owners.get(split) in workers and owners[split] != worker
            for split, worker in zip(splits, dealt, strict=True))
        for dealt in itertools.product(workers, repeat=len(splits))
        if sorted(Counter(dict.fromkeys(workers, 0) | Counter(dealt)).values()) == balanced
    )  # fmt: skip


def names(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def workers(count: int) -> list[WorkerName]:
    return [WorkerName(f"w{number}") for number in range(1, count + 1)]


@pytest.mark.parametrize("seed", range(150))
def test_as_few_splits_move_as_possible(seed: int) -> None:
    chance = random.Random(seed)
    members = workers(chance.randint(1, 3))
    splits = names(chance.randint(0, 6))
    former = [*members, WorkerName("gone")]
    owners = {split: chance.choice(former) for split in splits if chance.random() < 0.8}
    dealt = deal(splits, members, owners)
    moved = sum(owners.get(split) in members and dealt[split] != owners[split] for split in splits)
    assert moved == fewest_moves(splits, members, owners)


@pytest.mark.parametrize("seed", range(300))
def test_every_split_has_an_owner_and_members_have_equal_shares(seed: int) -> None:
    chance = random.Random(seed)
    splits = names(chance.randint(1, 60))
    before = workers(chance.randint(1, 8))
    owners = deal(splits, before, {})
    members = [each for each in before if chance.random() < 0.7] or [A]
    members += workers(12)[9 : 9 + chance.randint(0, 3)]
    splits += names(chance.randint(0, 9), "later")
    dealt = deal(splits, members, owners)
    assert dealt.keys() == set(splits)
    counts = Counter(dict.fromkeys(members, 0)) + Counter(dealt.values())
    assert set(dealt.values()) <= set(members)
    assert max(counts.values()) - min(counts[each] for each in members) <= 1
    shuffled = chance.sample(splits, len(splits)), chance.sample(members, len(members))
    assert deal(*shuffled, dict(chance.sample([*owners.items()], len(owners)))) == dealt


def test_nothing_moves_while_the_members_stay() -> None:
    owners = deal(names(7), [A, B, C], {})
    assert deal(names(7), [A, B, C], owners) == owners


def test_sources_with_one_split_do_not_all_use_the_same_worker() -> None:
    readers = {deal(["only"], workers(4), {}, salt=str(index))["only"] for index in range(20)}
    assert len(readers) > 1


def test_a_thousand_splits_are_dealt_to_sixteen_workers_within_a_tenth_of_a_second() -> None:
    took_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        deal(names(1000), workers(16), {})
        took_s.append(time.perf_counter() - start_s)
    assert min(took_s) < 0.1


# The ledger


def in_share(worker: WorkerName, positions: Mapping[str, SplitPosition]) -> WorkerCheckpoint:
    return WorkerCheckpoint(worker, [], [], {0: to_share(positions)}, [], {})


def given(shares: Iterable[SplitShare]) -> dict[tuple[WorkerName, str], SplitPosition]:
    """Return which worker is to read which split, and from where."""
    found: dict[tuple[WorkerName, str], SplitPosition] = {}
    for share in shares:
        positions = share.positions or [None] * len(share.splits)
        for split, position in zip(share.splits, positions, strict=True):
            assert (share.worker, split) not in found
            found[share.worker, split] = SplitPosition(share.kind, position)
    return found


def kinds(shares: Iterable[SplitShare]) -> dict[str, SplitKind]:
    return {split: position.kind for (_, split), position in given(shares).items()}


def ledger(finds_more: Mapping[int, bool] = AGAIN, *, is_durable: bool = True) -> SplitLedger:
    return SplitLedger(finds_more, is_durable=is_durable)


def test_splits_of_the_first_discovery_ask_their_source_where_to_start() -> None:
    assert kinds(ledger().discovered(0, ["x", "y"], [A, B])) == {
        "x": SplitKind.INITIAL,
        "y": SplitKind.INITIAL,
    }


def test_a_split_that_is_found_later_starts_at_its_beginning() -> None:
    found = ledger()
    found.discovered(0, ["x"], [A, B])
    assert kinds(found.discovered(0, ["x", "y"], [A, B])) == {"y": SplitKind.NEW}


def test_a_split_is_later_than_a_first_discovery_that_found_nothing() -> None:
    found = ledger()
    assert [(each.worker, each.splits) for each in found.discovered(0, [], [A, B])] == [
        (A, []),
        (B, []),
    ]
    assert kinds(found.discovered(0, ["x"], [A, B])) == {"x": SplitKind.NEW}


def test_a_split_that_two_discoveries_find_is_read_once() -> None:
    found = ledger()
    found.discovered(0, ["x"], [A, B])
    assert len(given(found.discovered(0, ["y", "y"], [A, B]))) == 1
    assert found.discovered(0, ["x", "y"], [A, B]) == []


def test_a_split_that_its_source_names_no_more_keeps_its_reader() -> None:
    found = ledger()
    found.discovered(0, ["x", "y"], [A, B])
    before = dict(found.owners[0])
    found.discovered(0, ["z"], [A, B])
    assert {split: found.owners[0][split] for split in before} == before


def test_splits_of_a_checkpoint_stay_with_their_workers_if_these_are_members() -> None:
    found = ledger()
    found.restore([in_share(A, {"x": AT}), in_share(B, {"y": NEW})])
    found.for_members([A, B])
    assert found.owners[0] == {"x": A, "y": B}


def test_splits_of_a_checkpoint_are_dealt_to_the_members_that_there_are() -> None:
    found = ledger()
    found.restore([in_share(A, {"x": AT, "y": AT}), in_share(B, {"z": AT})])
    found.for_members([C])
    assert found.owners[0] == {"x": C, "y": C, "z": C}


def test_what_a_checkpoint_knows_is_not_the_first_discovery() -> None:
    found = ledger()
    found.restore([in_share(A, {})])
    found.for_members([A])
    assert kinds(found.discovered(0, ["x"], [A])) == {"x": SplitKind.NEW}


def test_a_checkpoint_of_a_source_that_is_not_read_by_split_says_nothing() -> None:
    found = ledger({1: True})
    found.restore([in_share(A, {"x": AT})])
    assert found.owners == {1: {}}


def test_a_worker_that_starts_gets_all_its_splits_and_others_nothing() -> None:
    found = ledger()
    found.discovered(0, ["x", "y"], [A, B])
    mine = {split for split, owner in found.owners[0].items() if owner == A}
    assert {split for _, split in given(found.assigned([A]))} == mine


def test_a_split_that_no_checkpoint_has_starts_as_it_did_before_the_loss() -> None:
    found = ledger()
    found.discovered(0, ["x"], [A])
    found.discovered(0, ["x", "y"], [A])
    found.begin_epoch(goes_back=True)
    assert kinds(found.assigned([A])) == {"x": SplitKind.INITIAL, "y": SplitKind.NEW}


def test_without_checkpoints_the_successor_asks_the_source_again() -> None:
    found = ledger(is_durable=False)
    found.discovered(0, ["x"], [A])
    found.discovered(0, ["x", "y"], [A])
    assert kinds(found.assigned([A])) == {"x": SplitKind.INITIAL, "y": SplitKind.INITIAL}


def test_without_checkpoints_what_has_ended_is_not_read_again() -> None:
    found = ledger(is_durable=False)
    found.discovered(0, ["x", "y"], [A])
    found.ended(0, {"x": "it is damaged"})
    found.begin_epoch()
    assert given(found.assigned([A])) == {
        (A, "x"): SplitPosition(SplitKind.ENDED, "it is damaged"),
        (A, "y"): INITIAL,
    }


def test_a_source_whose_splits_are_not_known_is_left_out() -> None:
    assert [*ledger().assigned([A])] == []


def test_many_splits_of_a_worker_come_in_shares_that_fit_into_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SPLITS_A_SHARE_MAX", 3)
    found = ledger()
    shares = found.discovered(0, names(7), [A])
    assert [len(each.splits) for each in shares] == [3, 3, 1]
    assert kinds(found.assigned([A])).keys() == set(names(7))


# A resize


def test_planning_other_members_changes_nothing_yet() -> None:
    found = ledger()
    found.discovered(0, names(4), [A, B])
    before = dict(found.owners[0])
    planned = found.planned([A, B, C])
    assert found.owners[0] == before
    planned.check([A, B, C])


def test_givers_learn_which_splits_move() -> None:
    found = ledger()
    found.discovered(0, names(4), [A, B])
    planned = found.planned([B, C])
    ((pipeline, giver, moving),) = found.moves_to(planned)
    assert (pipeline, giver) == (0, A)
    assert {*moving} == {split for split, owner in found.owners[0].items() if owner == A}
    assert {planned.owners[0][split] for split in moving} == {C}


def test_takers_go_on_where_givers_were() -> None:
    found = ledger()
    found.discovered(0, ["x", "y"], [A, B])
    (moving,) = (split for split, owner in found.owners[0].items() if owner == A)
    planned = found.planned([B, C])
    held = merged([{0: to_share({moving: AT})}, {0: to_share({})}])
    assert given(planned.moved(held, [C])) == {(C, moving): AT}


def test_a_worker_that_joins_learns_that_the_splits_are_known_though_it_gets_none() -> None:
    found = ledger()
    found.discovered(0, [], [A])
    (share,) = found.planned([A, B]).moved({}, [B])
    assert (share.worker, share.pipeline, share.splits) == (B, 0, [])


# Ends


def test_a_source_has_ended_when_all_its_splits_have() -> None:
    found = ledger(ONCE)
    found.discovered(0, ["x", "y"], [A])
    found.ended(0, {"x": ""})
    assert found.ended_pipelines == []
    found.ended(0, {"y": ""})
    assert found.ended_pipelines == [0]


def test_a_source_that_may_find_more_never_ends() -> None:
    found = ledger(AGAIN)
    found.discovered(0, ["x"], [A])
    found.ended(0, {"x": ""})
    assert found.ended_pipelines == []


def test_a_source_has_not_ended_before_it_was_asked_in_this_epoch() -> None:
    found = ledger(ONCE)
    found.restore([in_share(A, {"x": SplitPosition(SplitKind.ENDED, "")})])
    found.for_members([A])
    found.ended(0, {"x": ""})
    assert found.ended_pipelines == []
    assert found.discovered(0, ["x"], [A]) == []
    assert found.ended_pipelines == [0]


def test_after_a_recovery_splits_have_to_end_again() -> None:
    found = ledger(ONCE)
    found.discovered(0, ["x"], [A])
    found.ended(0, {"x": ""})
    found.begin_epoch(goes_back=True)
    found.discovered(0, ["x"], [A])
    assert found.ended_pipelines == []


@pytest.mark.parametrize("seed", range(50))
def test_at_any_time_each_split_has_one_reader(seed: int) -> None:
    """Readers follow what the ledger says: who is to add what, and who gives what away."""
    chance = random.Random(seed)
    members, found, reads = workers(2), ledger(), dict[str, WorkerName]()
    number = 2
    for _ in range(30):
        match chance.choice(["discovered", "resized", "lost"]):
            case "discovered":
                known = names(chance.randint(0, 12))
                for worker, split in given(found.discovered(0, known, members)):
                    assert split not in reads
                    reads[split] = worker
            case "lost":
                worker = chance.choice(members)
                again = {split for _, split in given(found.assigned([worker]))}
                assert again == {split for split, owner in reads.items() if owner == worker}
            case _:
                number += 1
                joining = [WorkerName(f"w{number}")]
                members = [*members[chance.randint(0, 1) :], *joining]
                planned = found.planned(members)
                held = {0: to_share({s: AT for _, _, all in found.moves_to(planned) for s in all})}
                for (worker, split), position in given(planned.moved(held, joining)).items():
                    assert position == AT
                    assert reads[split] != worker
                    reads[split] = worker
                found = planned
        found.check(members)
        assert reads == found.owners[0]
