"""Sessions: those of the sorted records, whatever the order of arrival."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.wallaroo.timing.tracked import TrackedObjects
from tests.wallaroo.timing.windowed import EARLY, FINAL, LATE, UPDATE, Result, spec_of
from wallaroo.testing.model import TimedRecord, session_windows
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.sessions import SessionStore
from wallaroo.timing.window_spec import LatePolicy, SessionWindows


class Sessions:
    def __init__(self, gap: int, longest: int | None = None, **firing: Any) -> None:
        self.spec = spec_of(SessionWindows(gap, longest), **firing)
        self.state = TrackedObjects()
        self.store = SessionStore(self.spec, self.state)
        self.results: list[Result] = []

    def add(self, time: int, record: str = "x", key: Any = "k") -> "Sessions":
        self.store.add(key, record, time)
        while self._note(self.store.fire_ready()):
            pass
        return self

    def advance(self, clock: int) -> "Sessions":
        self.store.advance(clock)
        while self.store.is_due:
            self.fire(3)
        return self

    def fire(self, key_count: int) -> None:
        self._note(self.store.fire_some(key_count))
        assert self.store.fired <= self.store.clock

    def restart(self) -> None:
        """Go on with a new store that has what was saved."""
        clock, fired = self.store.clock, self.store.fired
        self.state = TrackedObjects(self.state.saved())
        self.store = SessionStore(self.spec, self.state)
        self.store.restore_clock(clock, fired)
        self.store.advance(clock)

    def take(self) -> list[Result]:
        results, self.results = self.results, []
        return results

    def _note(self, fired: Any) -> bool:
        if fired is None:
            return False
        for key, accumulator in zip(fired.keys, fired.accumulators, strict=True):
            window = fired.window
            self.results.append((key, accumulator, window.start, window.end, fired.kind))
        return True


def test_two_records_a_gap_apart_are_two_sessions() -> None:
    run = Sessions(5).add(0).add(5).advance(END)
    assert [each[2:4] for each in run.take()] == [(0, 5), (5, 10)]
    assert len(Sessions(5).add(0).add(4).advance(END).take()) == 1


def test_a_record_between_two_sessions_makes_them_one_with_one_result() -> None:
    run = Sessions(5).add(0, "a").add(8, "c").add(4, "b").advance(END)
    assert run.take() == [("k", "acb", 0, 13, FINAL)]


def test_a_session_fires_when_the_clock_is_at_its_end_and_is_forgotten() -> None:
    run = Sessions(5).add(3, "a").add(6, "b").advance(10)
    assert run.take() == []
    assert run.store.get("k")[0][1] == "ab"
    assert run.advance(11).take() == [("k", "ab", 3, 11, FINAL)]
    assert run.state.objects == {}


def test_a_record_is_late_only_if_its_own_span_is_over() -> None:
    run = Sessions(5).advance(20).add(15, "a")
    assert run.store.late_count == 1
    run.add(16, "b").advance(21)
    assert run.take() == [("k", "b", 16, 21, FINAL)]


def test_a_late_record_goes_to_the_side_or_gives_a_result_of_its_own() -> None:
    side = Sessions(5, late=LatePolicy.SIDE).advance(20).add(3, "a")
    assert side.store.take_side() == [("k", "a", 3)]
    alone = Sessions(5, late=LatePolicy.FIRE_PER_MESSAGE).advance(20).add(3, "a")
    assert alone.take() == [("k", "a", 3, 8, LATE)]


def test_a_record_between_two_sessions_that_have_fired_supersedes_both() -> None:
    run = Sessions(5, late=LatePolicy.UPDATE, allow_late_ns=100).add(0, "a").add(8, "c").advance(20)
    assert [each[1] for each in run.take()] == ["a", "c"]
    assert run.add(4, "b").take() == [("k", "acb", 0, 13, UPDATE)]
    assert run.advance(112).add(9, "d").take() == [("k", "acbd", 0, 14, UPDATE)]
    run.advance(114)
    assert run.state.objects == {}
    run.add(9, "e")
    assert run.store.late_count == 1


def test_a_late_record_may_start_a_session_of_which_it_is_the_final_result() -> None:
    run = Sessions(5, late=LatePolicy.UPDATE, allow_late_ns=100).advance(20).add(3, "a")
    assert run.take() == [("k", "a", 3, 8, FINAL)]


def test_a_fired_session_that_a_record_makes_longer_gives_an_update_at_its_new_end() -> None:
    run = Sessions(5, late=LatePolicy.UPDATE, allow_late_ns=100).add(0, "a").advance(6)
    run.take()
    assert run.add(4, "b").take() == []
    assert run.advance(9).take() == [("k", "ab", 0, 9, UPDATE)]


def test_a_longest_session_is_cut() -> None:
    run = Sessions(5, longest=10)
    for time, record in [(0, "a"), (4, "b"), (8, "c"), (10, "d")]:
        run.add(time, record)
    assert run.advance(END).take() == [("k", "abc", 0, 10, FINAL), ("k", "d", 10, 15, FINAL)]


def test_a_closed_session_gets_no_record_while_it_waits_to_fire() -> None:
    run = Sessions(5).add(0, "a")
    run.store.advance(5)
    run.add(4, "b")
    while run.store.is_due:
        run.fire(1)
    assert run.take() == [("k", "a", 0, 5, FINAL)]
    assert run.advance(9).take() == [("k", "b", 4, 9, FINAL)]


def test_results_are_complete_only_once_they_are_given() -> None:
    run = Sessions(5).add(0, key="a").add(1, key="b")
    run.store.advance(100)
    run.fire(1)
    assert run.store.fired == BEFORE_ALL
    run.fire(1)
    assert run.store.fired == 5
    run.fire(1)
    run.fire(1)
    assert run.store.fired == 100
    assert not run.store.is_due


def test_early_results_come_by_count_and_by_the_clock() -> None:
    counted = Sessions(50, early_count=2).add(0, "a").add(1, "b").add(2, "c")
    assert counted.take() == [("k", "ab", 0, 51, EARLY)]
    clocked = Sessions(50, early_every_ns=10).add(0, "a").advance(10)
    assert clocked.take() == [("k", "a", 0, 50, EARLY)]
    assert clocked.advance(30).take() == []


def test_until_ends_a_session_at_once() -> None:
    run = Sessions(50, until=lambda key, found: "b" in found).add(0, "a").add(1, "b").add(2, "c")
    assert run.take() == [("k", "ab", 0, 51, FINAL)]
    assert run.advance(END).take() == [("k", "c", 2, 52, FINAL)]


def test_a_key_has_no_more_sessions_than_the_memory_allows() -> None:
    store = SessionStore(spec_of(SessionWindows(5)), TrackedObjects(), sessions_max=2)
    store.add("k", "x", 0)
    store.add("k", "x", 10)
    with pytest.raises(ValueError, match="2 sessions already"):
        store.add("k", "x", 20)
    store.add("k", "x", 12)


@pytest.mark.parametrize("late", [LatePolicy.DROP, LatePolicy.UPDATE])
def test_any_order_of_arrival_gives_the_sessions_of_the_sorted_records(late: LatePolicy) -> None:
    for seed in range(80):
        _compare(random.Random(seed), late)


def _compare(chance: random.Random, late: LatePolicy) -> None:
    gap, bound = chance.choice([3, 8]), 10
    run = Sessions(gap, late=late, allow_late_ns=7 if late is LatePolicy.UPDATE else 0)
    records, top = [], 0
    for number in range(60):
        top += chance.randrange(4)
        record = TimedRecord(chance.choice("ab"), top - chance.randrange(bound), chr(65 + number))
        records.append(record)
        run.add(record.time, record.value, record.key)
        if chance.random() < 0.4:
            run.store.advance(max(run.store.clock, top - bound))
        if chance.random() < 0.4:
            run.fire(1)
        if chance.random() < 0.1:
            run.restart()
    run.advance(END)
    assert run.store.late_count == 0
    assert run.state.objects == {}
    assert run.state.saved() == {}
    found = Counter(
        (key, start, end, "".join(sorted(value)), kind)
        for key, value, start, end, kind in run.results
    )
    expected = Counter(
        (key, start, end, "".join(sorted(values)), FINAL)
        for (key, start, end), values in session_windows(records, gap).items()
    )
    assert found == expected


def test_the_model_cuts_sessions_that_are_too_long() -> None:
    records = [TimedRecord("k", time, time) for time in (8, 0, 4, 10)]
    found = session_windows(records, 5, longest=10)
    assert [(each.start, each.end, values) for each, values in found.items()] == [
        (0, 10, [0, 4, 8]),
        (10, 15, [10]),
    ]
