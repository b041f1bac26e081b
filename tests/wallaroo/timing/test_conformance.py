"""Cases in which stream processors differ, with what is right here, against model and panes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallaroo.timing.windowed import (
    EARLY,
    FINAL,
    JOIN,
    LATE,
    LISTED,
    UPDATE,
    Windowed,
    fire,
    tumbling,
)
from wallaroo.testing.model import TimedRecord, fixed_windows
from wallaroo.timing.grids import grid_of
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.pane_store import PaneStore, TooManyPanesError
from wallaroo.timing.window_spec import (
    CalendarUnit,
    CalendarWindows,
    FixedWindows,
    GlobalWindows,
    LatePolicy,
)
from wallaroo.timing.window_store import WindowStore

HOUR = 3_600_000_000_000


def model_of(times: list[int], windows: FixedWindows) -> list[tuple[int, int, str]]:
    records = [TimedRecord("k", time, "x") for time in times]
    contents = fixed_windows(records, windows.size_ns, windows.every_ns, windows.offset_ns)
    return sorted((each.start, each.end, "".join(found)) for each, found in contents.items())


@pytest.mark.parametrize(
    ("times", "windows", "expected"),
    [
        ([10], tumbling(10), [(10, 20)]),
        ([9, 10], tumbling(10), [(0, 10), (10, 20)]),
        ([-1, -10, -11], tumbling(10), [(-20, -10), (-10, 0)]),
        ([-1, 2], tumbling(7, 3), [(-4, 3)]),
        ([3, 2], tumbling(7, 3), [(-4, 3), (3, 10)]),
        ([5], FixedWindows(10, 5), [(0, 10), (5, 15)]),
        ([-3], FixedWindows(10, 4), [(-12, -2), (-8, 2), (-4, 6)]),
        ([1_000_000, 3], tumbling(10), [(0, 10), (1_000_000, 1_000_010)]),
    ],
)
def test_a_record_is_in_these_windows_and_the_model_says_the_same(
    times: list[int], windows: FixedWindows, expected: list[tuple[int, int]]
) -> None:
    run = Windowed(windows)
    for time in times:
        run.add(time)
    run.advance(END)
    found = sorted((start, end, value) for _, value, start, end, _ in run.results)
    assert [(start, end) for start, end, _ in found] == expected
    assert found == model_of(times, windows)


def test_a_window_fires_as_soon_as_the_clock_is_at_its_end() -> None:
    run = Windowed(tumbling(10)).add(3).advance(9)
    assert run.take() == []
    assert run.advance(10).take() == [("k", "x", 0, 10, FINAL)]


def test_the_planted_bug_of_a_window_that_fires_only_behind_its_end_is_found_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def has_passed(self: WindowStore, end: int, later_ns: int = 0) -> bool:
        return self.clock > end + self._rules.delay_ns + later_ns

    monkeypatch.setattr(WindowStore, "_has_passed", has_passed)
    with pytest.raises(AssertionError):
        test_a_window_fires_as_soon_as_the_clock_is_at_its_end()


def test_a_record_at_the_watermark_is_not_late() -> None:
    run = Windowed(tumbling(10)).advance(10).add(10).advance(20)
    assert run.take() == [("k", "x", 10, 20, FINAL)]
    assert run.store.late_count == 0


def test_a_record_behind_the_clock_whose_window_is_open_is_not_late() -> None:
    assert Windowed(tumbling(10)).advance(8).add(1).store.late_count == 0


def test_a_delay_lets_a_window_wait() -> None:
    run = Windowed(tumbling(10), delay_ns=5).add(3).advance(14)
    assert run.add(9, "y").take() == []
    assert run.advance(15).take() == [("k", "xy", 0, 10, FINAL)]
    assert run.store.fired == 10


def test_windows_fire_in_the_order_of_their_ends() -> None:
    run = Windowed(FixedWindows(10, 5)).add(12, "c").add(1, "a").add(7, "b").advance(END)
    assert [(start, end) for _, _, start, end, _ in run.take()] == [
        (-5, 5),
        (0, 10),
        (5, 15),
        (10, 20),
    ]


def test_results_are_complete_only_up_to_what_has_fired() -> None:
    run = Windowed(tumbling(10)).add(3, key="a").add(4, key="b").add(13)
    run.store.advance(20)
    assert run.store.fired == BEFORE_ALL
    assert run.store.fire_some(1) is not None
    assert run.store.fired == BEFORE_ALL
    fire(run.store)
    assert run.store.fired == 20


def test_a_window_without_a_record_does_not_fire() -> None:
    run = Windowed(tumbling(10)).add(3).advance(1_000_000)
    assert len(run.take()) == 1


def test_older_records_after_one_far_ahead_have_their_windows() -> None:
    run = Windowed(tumbling(10)).add(900).add(3).add(15).advance(890)
    assert [(start, end) for _, _, start, end, _ in run.take()] == [(0, 10), (10, 20)]


def test_a_record_that_is_late_for_one_sliding_window_counts_in_the_others() -> None:
    run = Windowed(FixedWindows(10, 5)).add(7, "a").advance(10)
    assert run.take() == [("k", "a", 0, 10, FINAL)]
    run.add(8, "b")
    assert run.store.late_count == 0
    assert run.advance(15).take() == [("k", "ab", 5, 15, FINAL)]


def test_a_window_that_is_due_does_not_get_records_while_it_waits_to_fire() -> None:
    run = Windowed(FixedWindows(10, 5)).add(7, "a")
    run.store.advance(10)
    run.add(8, "b")
    assert [each[:2] for each in fire(run.store)] == [("k", "a")]
    assert run.advance(15).take() == [("k", "ab", 5, 15, FINAL)]


def late(policy: LatePolicy, **firing: Any) -> Windowed:
    """Return a run with window [0, 10) fired, after another record for it."""
    run = Windowed(tumbling(10), late=policy, **firing).add(3, "a").advance(12)
    assert run.take() == [("k", "a", 0, 10, FINAL)]
    return run.add(4, "b")


def test_a_late_record_is_dropped_and_counted() -> None:
    run = late(LatePolicy.DROP)
    assert run.store.late_count == 1
    assert run.advance(END).take() == []


def test_a_late_record_goes_to_the_side() -> None:
    run = late(LatePolicy.SIDE)
    assert run.store.take_side() == [("k", "b", 4)]
    assert run.store.take_side() == []
    assert run.store.late_count == 1


def test_a_late_record_gives_a_result_of_its_own() -> None:
    assert late(LatePolicy.FIRE_PER_MESSAGE).take() == [("k", "b", 0, 10, LATE)]


def test_a_late_record_goes_into_the_oldest_window_that_has_not_fired() -> None:
    run = late(LatePolicy.PLACE_IN_OLDEST_WINDOW)
    assert run.advance(20).take() == [("k", "b", 10, 20, FINAL)]


def test_a_late_record_goes_into_the_oldest_sliding_window_alone() -> None:
    run = Windowed(FixedWindows(10, 5), late=LatePolicy.PLACE_IN_OLDEST_WINDOW)
    run.advance(12).add(1, "b").advance(END)
    assert run.take() == [("k", "b", 5, 15, FINAL)]


def test_a_late_record_gives_an_update_while_that_is_allowed() -> None:
    run = late(LatePolicy.UPDATE, allow_late_ns=5)
    assert run.take() == [("k", "ab", 0, 10, UPDATE)]
    run.advance(14).add(5, "c")
    assert run.take() == [("k", "abc", 0, 10, UPDATE)]
    run.advance(15).add(6, "d")
    assert run.take() == []
    assert run.store.late_count == 1
    assert run.store.panes() == []


def test_the_first_result_of_a_window_is_final_even_if_its_record_is_late() -> None:
    run = Windowed(tumbling(10), late=LatePolicy.UPDATE, allow_late_ns=5).advance(12)
    assert run.add(3, "a").take() == [("k", "a", 0, 10, FINAL)]
    assert run.add(3, "b").take() == [("k", "ab", 0, 10, UPDATE)]
    assert run.advance(20).take() == []


def test_each_sliding_window_that_a_late_record_is_in_gives_an_update() -> None:
    run = Windowed(FixedWindows(10, 5), late=LatePolicy.UPDATE, allow_late_ns=20)
    run.add(7, "a").advance(12)
    assert run.take() == [("k", "a", 0, 10, FINAL)]
    assert run.add(8, "b").take() == [("k", "ab", 0, 10, UPDATE)]
    assert run.advance(15).take() == [("k", "ab", 5, 15, FINAL)]


def test_an_update_comes_after_the_final_result_if_that_has_to_wait() -> None:
    run = Windowed(tumbling(10), late=LatePolicy.UPDATE, allow_late_ns=5)
    run.add(3, "a", "j").add(3, "a", "k")
    run.store.advance(10)
    assert run.store.fire_some(1) is not None  # j is done
    run.add(4, "b", "j").add(4, "b", "k").add(4, "b", "l")
    assert run.take() == [("j", "ab", 0, 10, UPDATE)]
    assert fire(run.store) == [
        ("k", "a", 0, 10, FINAL),
        ("k", "ab", 0, 10, UPDATE),
        ("l", "b", 0, 10, FINAL),
    ]


def test_late_records_of_a_window_that_has_to_wait_give_one_result_for_each_key() -> None:
    run = Windowed(tumbling(10), late=LatePolicy.UPDATE, allow_late_ns=5)
    run.add(3, "a", "j")
    run.store.advance(10)
    for value in "bc":
        run.add(4, value, "j").add(4, value, "k")
    assert fire(run.store) == [
        ("j", "a", 0, 10, FINAL),
        ("j", "abc", 0, 10, UPDATE),
        ("k", "bc", 0, 10, FINAL),
    ]


def test_a_count_of_records_gives_early_results() -> None:
    run = Windowed(tumbling(10), early_count=2)
    for value in "abcde":
        run.add(1, value)
    assert run.take() == [("k", "ab", 0, 10, EARLY), ("k", "abcd", 0, 10, EARLY)]
    assert run.advance(10).take() == [("k", "abcde", 0, 10, FINAL)]


def test_early_results_come_by_the_clock_for_what_has_changed() -> None:
    run = Windowed(tumbling(100), early_every_ns=10).add(1, "a", "j").add(2, "b", "k")
    assert run.advance(10).take() == [("j", "a", 0, 100, EARLY), ("k", "b", 0, 100, EARLY)]
    run.add(3, "c", "j")
    assert run.advance(19).take() == []
    assert run.advance(20).take() == [("j", "ac", 0, 100, EARLY)]
    assert run.advance(99).take() == []
    assert len(run.advance(100).take()) == 2


@pytest.mark.parametrize("aggregation", [JOIN, LISTED], ids=["merges", "does not merge"])
def test_until_ends_a_window_at_once_and_the_key_starts_again(aggregation: Any) -> None:
    run = Windowed(tumbling(10), aggregation, until=lambda key, found: len(found) == 3)
    for value in "abcd":
        run.add(1, value)
    ((_, first, *_),) = run.take()
    assert "".join(first) == "abc"
    ((_, second, *_),) = run.advance(10).take()
    assert "".join(second) == "d"


def test_a_global_window_gives_a_result_for_each_record_and_none_at_the_end() -> None:
    run = Windowed(GlobalWindows()).add(5, "a").add(-7, "b")
    assert run.take() == [
        ("k", "a", BEFORE_ALL, END, EARLY),
        ("k", "ab", BEFORE_ALL, END, EARLY),
    ]
    assert run.advance(END).take() == []


def test_a_global_window_with_a_trigger_gives_its_last_result_at_the_end() -> None:
    run = Windowed(GlobalWindows(), early_count=2).add(5, "a").add(-7, "b").add(6, "c")
    assert run.take() == [("k", "ab", BEFORE_ALL, END, EARLY)]
    assert run.advance(END).take() == [("k", "abc", BEFORE_ALL, END, FINAL)]


def test_a_key_shows_its_open_windows() -> None:
    run = Windowed(FixedWindows(10, 5)).add(7, "a").add(12, "b")
    found, count = run.store.get("k", 9)
    assert [(window.start, window.end, value) for window, value in found] == [
        (0, 10, "a"), (5, 15, "ab"), (10, 20, "b"),
    ]  # fmt: skip
    assert count == 3
    assert run.store.get("k", 2) == (found[:2], 3)
    assert run.store.get("other", 9) == ([], 0)
    assert run.store.open_count == 3


def test_times_far_apart_cannot_fill_the_memory() -> None:
    store = PaneStore(Windowed(tumbling(10)).spec, panes_max=3)
    for number in range(3):
        store.add("k", "x", number * 10)
    with pytest.raises(TooManyPanesError, match="ahead_max"):
        store.add("k", "x", 999)
    store.add("k", "x", 15)


def test_a_merge_that_raises_is_reported_and_its_key_has_no_result() -> None:
    def refuse(one: str, other: str) -> str:
        if "b" in other:
            raise ValueError("no b")
        return one + other

    run = Windowed(tumbling(10), replace(JOIN, merge=refuse))
    run.add(1, "a", "j").add(1, "a", "k")
    for pane in run.store.panes():
        pane.set_aside()
    run.add(1, "b", "j").add(1, "c", "k").add(1, "b", "l")
    run.store.advance(10)
    fired = []
    while (each := run.store.fire_some(5)) is not None:
        fired.append(each)
    assert {key for each in fired for key in each.keys} == {"k", "l"}
    ((key, error),) = [failed for each in fired for failed in each.failures]
    assert (key, str(error)) == ("j", "no b")


def test_an_aggregation_that_returns_nothing_is_an_error_of_the_record() -> None:
    broken = replace(JOIN, update=lambda record, so_far: None)
    run = Windowed(tumbling(10), broken)
    with pytest.raises(TypeError, match="returned None"):
        run.add(1)
    assert run.advance(10).take() == []


def at(zone_time: str) -> int:
    return int(datetime.fromisoformat(zone_time).astimezone(UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("unit", "zone", "time", "start", "hours"),
    [
        ("day", "Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", 23),
        ("day", "Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T00:00+02:00", 25),
        ("day", "UTC", "2026-03-29T23:59+00:00", "2026-03-29T00:00+00:00", 24),
        ("day", "UTC", "1969-12-31T01:00+00:00", "1969-12-31T00:00+00:00", 24),
        ("week", "UTC", "2026-11-29T12:00+00:00", "2026-11-23T00:00+00:00", 7 * 24),
        ("month", "UTC", "2024-02-29T12:00+00:00", "2024-02-01T00:00+00:00", 29 * 24),
        ("month", "Europe/Berlin", "2026-10-31T12:00+01:00", "2026-10-01T00:00+02:00", 745),
        ("hour", "Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T02:00+02:00", 1),
        ("hour", "Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T02:00+01:00", 1),
        ("hour", "Asia/Kolkata", "2026-10-25T02:10+05:30", "2026-10-25T02:00+05:30", 1),
        ("day", "America/Havana", "2026-03-08T12:00-04:00", "2026-03-08T01:00-04:00", 23),
    ],
)
def test_a_calendar_window_has_as_many_hours_as_the_zone_says(
    unit: str, zone: str, time: str, start: str, hours: int
) -> None:
    grid = grid_of(CalendarWindows(CalendarUnit(unit), zone))
    found_start, found_end = grid.pane(at(time))
    assert found_start == at(start)
    assert (found_end - found_start) / HOUR == hours


@given(
    st.integers(-(1 << 61), 1 << 61),
    st.sampled_from(CalendarUnit),
    st.sampled_from(
        ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia", "UTC"]
    ),
)
def test_calendar_windows_follow_each_other_without_gaps(
    time: int, unit: CalendarUnit, zone: str
) -> None:
    grid = grid_of(CalendarWindows(unit, zone))
    start, end = grid.pane(time)
    assert start <= time < end
    assert grid.pane(start) == grid.pane(end - 1) == (start, end)
    assert grid.pane(end)[0] == end
    assert grid.pane(start - 1)[1] == start
    assert grid.ends(start) == (end, end)


@given(st.integers(-60, 60), st.integers(1, 20), st.integers(1, 20), st.integers(-5, 5))
def test_sliding_windows_are_made_of_whole_panes(
    time: int, size: int, every: int, offset: int
) -> None:
    every = min(size, every)
    grid = grid_of(FixedWindows(size, every, offset))
    start, end = grid.pane(time)
    assert start <= time < end
    windows = grid.windows(start)
    model = fixed_windows([TimedRecord("k", time, "x")], size, every, offset)
    assert [(each.start, each.end) for each in windows] == sorted(
        (each.start, each.end) for each in model
    )
    assert (windows[0].end, windows[-1].end) == grid.ends(start)
    assert all(start in grid.panes(each) for each in windows)
    oldest = grid.oldest_open(time)
    following = grid.windows(oldest)[-1]
    assert following.start == oldest
    assert following.end - every <= time < following.end


def test_records_of_a_day_are_one_window_of_23_hours() -> None:
    run = Windowed(CalendarWindows(CalendarUnit.DAY, "Europe/Berlin"))
    run.add(at("2026-03-29T00:00+01:00"), "a").add(at("2026-03-29T23:59+02:00"), "b")
    run.add(at("2026-03-30T00:00+02:00"), "c").advance(END)
    assert [each[1] for each in run.take()] == ["ab", "c"]
