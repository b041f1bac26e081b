"""Totals of the cluster: exact and never going back, across crashes, recoveries and new members."""

from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import Totals, sums


def counts(came: int, failed: int = 0) -> Counts:
    return {"p/source": [came, came - failed, 0, failed]}


def total(totals: Totals) -> list[int]:
    return sums(totals.by_worker()).get("p/source", [0, 0, 0, 0])


def started(*workers: str, is_durable: bool) -> Totals:
    totals = Totals(is_durable)
    totals.set_members(workers, 1)
    return totals


def test_counts_of_workers_add_up() -> None:
    totals = started("w1", "w2", is_durable=False)
    totals.reported("w1", 1, 1, {"w1": counts(3, failed=1)})
    totals.reported("w2", 1, 1, {"w2": counts(4)})
    assert total(totals) == [7, 6, 0, 1]
    totals.reported("w1", 1, 1, {"w1": counts(5, failed=1)})
    assert totals.by_worker() == {"w1": counts(5, failed=1), "w2": counts(4)}


def test_without_checkpoints_what_an_earlier_process_reported_is_kept() -> None:
    totals = started("w1", "w2", is_durable=False)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1", "w2"], 2)
    assert total(totals) == [30, 30, 0, 0]
    totals.reported("w2", 2, 2, {"w2": counts(0)})
    assert total(totals) == [30, 30, 0, 0]
    totals.reported("w2", 2, 2, {"w2": counts(5)})
    # Words of the process that has ended may still be on their way.
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.reported("w2", 3, 3, {"w2": counts(1)})
    assert totals.by_worker() == {"w1": counts(10), "w2": counts(26)}


def test_with_checkpoints_counts_go_back_unseen_and_end_exact() -> None:
    totals = started("w1", "w2", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(50)})
    totals.reported("w2", 1, 1, {"w2": counts(50)})
    assert total(totals) == [100, 100, 0, 0]
    # w2 is killed; both go back to a checkpoint at 30 and 30, and replay.
    totals.set_members(["w1", "w2"], 2)
    totals.reported("w1", 1, 2, {"w1": counts(30)})
    assert total(totals) == [100, 100, 0, 0]
    totals.reported("w1", 1, 2, {"w1": counts(60)})
    assert total(totals) == [100, 100, 0, 0]
    totals.reported("w2", 2, 2, {"w2": counts(30)})
    assert total(totals) == [100, 100, 0, 0]
    # This time w1 has taken more of them; together it is what it was.
    totals.reported("w2", 2, 2, {"w2": counts(40)})
    assert totals.by_worker() == {"w1": counts(60), "w2": counts(40)}
    totals.reported("w2", 2, 2, {"w2": counts(41)})
    assert total(totals) == [101, 101, 0, 0]


def test_one_place_may_have_caught_up_before_another() -> None:
    totals = started("w1", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": {"a": [9, 9, 0, 0], "b": [9, 9, 0, 0]}})
    assert set(totals.by_worker()) == {"w1"}
    totals.set_members(["w1"], 2)
    totals.reported("w1", 2, 2, {"w1": {"a": [10, 10, 0, 0], "b": [4, 4, 0, 0]}})
    assert totals.by_worker() == {"w1": {"a": [10, 10, 0, 0], "b": [9, 9, 0, 0]}}


def test_one_that_joins_counts_from_nothing() -> None:
    totals = started("w1", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.set_members(["w1", "w2"], 2)
    totals.reported("w1", 1, 2, {"w1": counts(10)})
    totals.reported("w2", 2, 2, {"w2": counts(0)})
    assert total(totals) == [10, 10, 0, 0]
    totals.reported("w2", 2, 2, {"w2": counts(3)})
    assert total(totals) == [13, 13, 0, 0]


def test_without_checkpoints_the_last_words_of_one_that_left_count_on() -> None:
    totals = started("w1", "w2", is_durable=False)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1"], 2)
    totals.reported("w1", 1, 2, {"w1": counts(11)})
    assert totals.by_worker() == {"w1": counts(11), "w2": counts(20)}


def test_what_one_that_left_had_counted_goes_back_with_the_others() -> None:
    totals = started("w1", "w2", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1"], 2)
    totals.reported("w1", 2, 2, {"w1": counts(10), "w2": counts(20)})
    totals.reported("w2", 1, 2, {"w2": counts(20)})
    assert total(totals) == [30, 30, 0, 0]
    # w1 is lost, and goes back to a checkpoint from before w2 left; it replays w2's journal, too.
    totals.set_members(["w1"], 3)
    totals.reported("w1", 3, 3, {"w1": counts(12), "w2": counts(9)})
    assert total(totals) == [30, 30, 0, 0]
    totals.reported("w1", 3, 3, {"w1": counts(21), "w2": counts(9)})
    assert totals.by_worker() == {"w1": counts(21), "w2": counts(9)}


def test_one_that_left_is_not_counted_twice_where_another_carries_its_counts() -> None:
    totals = started("w1", "w2", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1"], 2)
    totals.reported("w1", 2, 2, {"w1": counts(10), "w2": counts(20)})
    assert totals.by_worker() == {"w1": counts(10), "w2": counts(20)}


def test_without_checkpoints_a_restarted_worker_that_leaves_keeps_both_lives() -> None:
    totals = started("w1", "w2", is_durable=False)
    totals.reported("w1", 1, 1, {"w1": counts(1)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.reported("w2", 2, 2, {"w2": counts(5)})
    totals.set_members(["w1"], 3)
    assert totals.by_worker() == {"w1": counts(1), "w2": counts(25)}


def test_what_a_sink_has_taken_does_not_go_back_while_it_is_replayed() -> None:
    totals = started("w1", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": {"p/sink": [10, 10, 0, 0]}})
    assert totals.by_worker() == {"w1": {"p/sink": [10, 10, 0, 0]}}
    totals.set_members(["w1"], 2)
    # All of it arrived again, and the sink has acknowledged a part of it.
    totals.reported("w1", 2, 2, {"w1": {"p/sink": [11, 6, 0, 0]}})
    assert totals.by_worker() == {"w1": {"p/sink": [10, 10, 0, 0]}}
    totals.reported("w1", 2, 2, {"w1": {"p/sink": [12, 11, 0, 0]}})
    assert totals.by_worker() == {"w1": {"p/sink": [12, 11, 0, 0]}}


def test_without_checkpoints_a_worker_that_comes_back_counts_on() -> None:
    totals = started("w1", "w2", is_durable=False)
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1"], 2)
    totals.set_members(["w1", "w2"], 3)
    totals.reported("w2", 3, 3, {"w2": counts(4)})
    totals.reported("w2", 1, 2, {"w2": counts(21)})
    assert totals.by_worker() == {"w2": counts(25)}


def test_a_worker_that_comes_back_adds_to_what_its_successor_carries() -> None:
    totals = started("w1", "w2", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(10)})
    totals.reported("w2", 1, 1, {"w2": counts(20)})
    totals.set_members(["w1"], 2)
    totals.reported("w1", 1, 2, {"w1": counts(10), "w2": counts(20)})
    assert total(totals) == [30, 30, 0, 0]
    totals.set_members(["w1", "w2"], 3)
    totals.reported("w1", 1, 3, {"w1": counts(10), "w2": counts(20)})
    assert total(totals) == [30, 30, 0, 0]
    totals.reported("w2", 3, 3, {"w2": counts(4)})
    assert totals.by_worker() == {"w1": counts(10), "w2": counts(24)}


def test_a_run_that_carries_on_shows_what_was_kept_from_its_first_moment() -> None:
    totals = Totals(is_durable=True)
    totals.begin({"w1": counts(30, failed=2), "w9": counts(5)})
    assert total(totals) == [35, 33, 0, 2]
    totals.set_members(["w1"], 7)
    # Joined, and not yet back at the checkpoint.
    totals.reported("w1", 7, 7, {"w1": counts(0)})
    assert total(totals) == [35, 33, 0, 2]
    totals.reported("w1", 7, 7, {"w1": counts(31, failed=2), "w9": counts(5)})
    assert total(totals) == [36, 34, 0, 2]


def test_replayed_failures_count_once() -> None:
    totals = started("w1", is_durable=True)
    totals.reported("w1", 1, 1, {"w1": counts(50, failed=20)})
    assert total(totals) == [50, 30, 0, 20]
    totals.set_members(["w1"], 2)
    for came, failed in ((10, 4), (30, 12), (50, 20)):
        totals.reported("w1", 2, 2, {"w1": counts(came, failed)})
        assert total(totals) == [50, 30, 0, 20]
    totals.reported("w1", 2, 2, {"w1": counts(51, 21)})
    assert total(totals) == [51, 30, 0, 21]
