"""Windows in an application: the cases in which stream processors differ, run by ``collect``.

All of them run on one worker and on three.
"""

import operator
from typing import Any

import pytest

import wallaroo
from wallaroo import Pipeline, WindowsBuilder, aggregate, calendar, hours, sliding, tumbling
from wallaroo.errors import WallarooParameterError
from wallaroo.testing import Advance, AdvanceWall, Collected, Record, collect
from wallaroo.timing.instants import BEFORE_ALL, END

Row = tuple[str, str, int, int, str]
"""Key, value, start, end, kind."""


class Move:
    """A record of which key, time and value are given."""

    def __init__(self, at: int, value: str = "x", key: str = "k") -> None:
        self.at, self.value, self.key = at, value, key


@wallaroo.timestamp("ns")
def moved_at(move: Move) -> int:
    return move.at


@wallaroo.decoder
def decode(payload: bytes) -> Move:
    at, value, key = payload.decode().split()
    return Move(int(at), value, key)


@wallaroo.encoder
def encode(result: Any) -> str:
    return f"{result}\n"


def key_of(move: Any) -> str:
    return str(move.key)


@wallaroo.aggregation("joined", initial=str, merge=operator.add)
def joined(move: Move, so_far: str) -> str:
    return so_far + move.value


def row(result: wallaroo.Result) -> Row:
    return result.key, result.value, result.start, result.end, result.kind


def source(name: str = "moves", **times: Any) -> Pipeline[Any]:
    time = wallaroo.event_time(moved_at, **times)
    config = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline", time=time)
    return wallaroo.source(name, config)


def sink(name: str) -> wallaroo.TCPSinkConfig[Any]:
    return wallaroo.TCPSinkConfig("127.0.0.1", 1, encode, name=name)


def application(windows: WindowsBuilder, aggregation: Any = joined, **times: Any) -> Any:
    results = source(**times).key_by(key_of).to(windows.over(aggregation))
    return wallaroo.build_application("app", results.map(row).to_sink(sink("results")))


def rows(collected: Collected) -> list[Row]:
    assert collected.failures == ()
    return collected.outputs["results"]


@pytest.fixture(params=[1, 3], name="workers")
def _workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


class Runs:
    """Runs items through windows on some workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def collected(self, windows: WindowsBuilder, *items: Any, **times: Any) -> Collected:
        return collect(application(windows, **times), {"moves": items}, workers=self.workers)

    def rows(self, windows: WindowsBuilder, *items: Any, **times: Any) -> list[Row]:
        return rows(self.collected(windows, *items, **times))


@pytest.fixture(name="run")
def _run(workers: int) -> Runs:
    return Runs(workers)


def test_a_tumbling_count_gives_its_windows_at_the_end_of_the_input(workers: int) -> None:
    plan = application(tumbling(10), aggregate.count())
    items = [b"1 x a", b"12 x a", b"5 x b", b"3 x a"]
    found: list[Any] = rows(collect(plan, {"moves": items}, workers=workers))
    # The third and the fourth are late: the clock is at 12.
    assert sorted(found) == [("a", 1, 0, 10, "final"), ("a", 1, 10, 20, "final")]
    late = collect(plan, {"moves": items}, workers=workers).late
    assert late == {"count": 2}


def test_records_may_be_out_of_order_by_as_much_as_is_said(run: Runs) -> None:
    items = [Move(1, "a"), Move(16, "c"), Move(9, "b"), Move(17, "d"), Move(9, "late")]
    found = run.collected(tumbling(10), *items, out_of_order=7)
    assert rows(found) == [("k", "ab", 0, 10, "final"), ("k", "cd", 10, 20, "final")]
    assert found.late == {"joined": 1}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([Move(10)], [(10, 20)]),
        ([Move(-11), Move(-10), Move(-1)], [(-20, -10), (-10, 0)]),
    ],
)
def test_a_record_at_the_end_of_a_window_is_in_the_next_one(
    run: Runs, items: list[Move], expected: list[tuple[int, int]]
) -> None:
    assert [each[2:4] for each in run.rows(tumbling(10), *items)] == expected


def test_a_size_that_does_not_divide_evenly_has_the_floor_of_its_offset(run: Runs) -> None:
    assert run.rows(tumbling(7, offset=3), Move(-1), Move(2))[0][2:4] == (-4, 3)


def test_a_window_fires_when_the_watermark_is_at_its_end(run: Runs) -> None:
    found = run.rows(tumbling(10), Move(3, "a"), Move(10, "b"), Move(3, "late"))
    assert found == [("k", "a", 0, 10, "final"), ("k", "b", 10, 20, "final")]


def test_a_record_at_the_watermark_is_not_late(run: Runs) -> None:
    found = run.collected(tumbling(10), Move(10, "a"), Move(10, "b"))
    assert rows(found) == [("k", "ab", 10, 20, "final")]
    assert found.late == {"joined": 0}


def test_the_slide_may_not_divide_the_size(run: Runs) -> None:
    found = run.rows(sliding(10, every=4), Move(5))
    assert [each[2:4] for each in found] == [(-4, 6), (0, 10), (4, 14)]


def test_a_record_that_is_late_for_one_sliding_window_counts_in_the_others(run: Runs) -> None:
    found = run.collected(sliding(10, every=5), Move(7, "a"), Move(10, "b"), Move(8, "c"))
    assert rows(found) == [
        ("k", "a", 0, 10, "final"),
        ("k", "acb", 5, 15, "final"),
        ("k", "b", 10, 20, "final"),
    ]
    assert found.late == {"joined": 0}


def test_older_records_after_one_far_ahead_have_their_windows_within_the_bound(run: Runs) -> None:
    found = run.rows(tumbling(10), Move(900), Move(3), Move(15), out_of_order=1000)
    assert [each[2:4] for each in found] == [(0, 10), (10, 20), (900, 910)]


def test_a_window_whose_output_is_nothing_is_gone_all_the_same(workers: int) -> None:
    silent = wallaroo.aggregation(
        "silent", initial=str, merge=operator.add, output=lambda key, value: None
    )(lambda move, so_far: so_far + move.value)
    items = [Move(1, "a"), Move(10, "b"), Move(2, "late")]
    found = collect(application(tumbling(10), silent), {"moves": items}, workers=workers)
    assert found.failures == () and found.outputs["results"] == []
    assert found.late == {"silent": 1}


def test_an_output_gets_the_window_if_it_takes_three_arguments(workers: int) -> None:
    shown = wallaroo.aggregation(
        "shown",
        initial=int,
        merge=operator.add,
        output=lambda key, value, window: (key, value, window.start, window.end),
    )(lambda move, so_far: so_far + 1)
    results = source().key_by(key_of).to(tumbling(10).over(shown)).to_sink(sink("results"))
    plan = wallaroo.build_application("app", results)
    found = collect(plan, {"moves": [Move(3), Move(4)]}, workers=workers)
    assert found.outputs["results"] == [("k", 2, 0, 10)]


def test_an_aggregation_may_be_a_class(workers: int) -> None:
    class Total(wallaroo.Aggregation[Move, list[str]]):
        def initial_accumulator(self) -> list[str]:
            return []

        def update(self, move: Move, accumulator: list[str], /) -> None:
            accumulator.append(move.value)

        def combine(self, one: list[str], other: list[str], /) -> list[str]:
            return one + other

        def output(self, key: str, accumulator: list[str], /) -> Any:
            return f"{key}={''.join(accumulator)}"

    results = source().key_by(key_of).to(tumbling(10).over(Total)).to_sink(sink("results"))
    plan = wallaroo.build_application("app", results)
    found = collect(plan, {"moves": [Move(3, "a"), Move(4, "b")]}, workers=workers)
    assert found.outputs["results"] == ["k=ab"]


def test_a_delay_lets_windows_wait(run: Runs) -> None:
    found = run.rows(tumbling(10).with_delay(5), Move(3, "a"), Move(14, "c"), Move(4, "b"))
    assert found[0] == ("k", "ab", 0, 10, "final")


LATE = [Move(3, "a"), Move(12, "c"), Move(4, "b")]


def test_late_records_are_dropped_and_counted(run: Runs) -> None:
    found = run.collected(tumbling(10), *LATE)
    assert rows(found) == [("k", "a", 0, 10, "final"), ("k", "c", 10, 20, "final")]
    assert found.late == {"joined": 1}


def test_late_records_go_to_a_pipeline_of_their_own(workers: int) -> None:
    windows = tumbling(10).with_late_data_policy("side").over(joined)
    results = source().key_by(key_of).to(windows)
    plan = wallaroo.build_application(
        "app", results.map(row).to_sink(sink("results")), results.late.to_sink(sink("late"))
    )
    found = collect(plan, {"moves": LATE}, workers=workers)
    assert rows(found) == [("k", "a", 0, 10, "final"), ("k", "c", 10, 20, "final")]
    assert [move.value for move in found.outputs["late"]] == ["b"]
    assert found.late == {"joined": 1}


def test_a_late_record_updates_its_window_while_that_is_allowed(run: Runs) -> None:
    windows = tumbling(10).with_late_data_policy("update").allow_late(5)
    found = run.collected(windows, *LATE, Move(15, "d"), Move(5, "too late"))
    assert rows(found) == [
        ("k", "a", 0, 10, "final"),
        ("k", "ab", 0, 10, "update"),
        ("k", "cd", 10, 20, "final"),
    ]
    assert found.late == {"joined": 1}


def test_a_late_record_may_give_a_result_of_its_own(run: Runs) -> None:
    windows = tumbling(10).with_late_data_policy("fire-per-message")
    assert run.rows(windows, *LATE)[1] == ("k", "b", 0, 10, "late")


def test_a_late_record_may_go_into_the_oldest_window(run: Runs) -> None:
    windows = tumbling(10).with_late_data_policy("place-in-oldest-window")
    assert run.rows(windows, *LATE)[1] == ("k", "cb", 10, 20, "final")


def test_early_results_come_by_count(run: Runs) -> None:
    items = [Move(1, value) for value in "abc"]
    assert run.rows(tumbling(10).early(count=2), *items) == [
        ("k", "ab", 0, 10, "early"),
        ("k", "abc", 0, 10, "final"),
    ]


def test_early_results_come_by_the_clock(run: Runs) -> None:
    items = [Move(1, "a"), Advance(10), Advance(5), Move(30, "b")]
    found = run.rows(tumbling(100).early(every=10), *items)
    assert found[0] == ("k", "a", 0, 100, "early")
    assert [each[4] for each in found] == ["early", "early", "final"]


def test_until_fires_a_window_and_forgets_it(run: Runs) -> None:
    windows = tumbling(10).until(lambda key, found: len(found) == 2)
    assert run.rows(windows, *(Move(1, value) for value in "abc")) == [
        ("k", "ab", 0, 10, "final"),
        ("k", "c", 0, 10, "final"),
    ]


def test_a_global_window_gives_a_result_for_each_record(run: Runs) -> None:
    found = run.rows(wallaroo.global_window(), Move(5, "a"), Move(-7, "b"))
    assert found == [("k", "a", BEFORE_ALL, END, "early"), ("k", "ab", BEFORE_ALL, END, "early")]


def test_a_global_window_with_a_trigger_gives_its_last_result_at_the_end(run: Runs) -> None:
    items = [Move(5, "a"), Move(6, "b"), Move(7, "c")]
    found = run.rows(wallaroo.global_window().early(count=2), *items)
    assert [(value, kind) for _, value, _, _, kind in found] == [("ab", "early"), ("abc", "final")]


def test_records_exactly_a_gap_apart_are_two_sessions(run: Runs) -> None:
    found = run.rows(wallaroo.session(5), Move(0, "a"), Move(5, "b"))
    assert found == [("k", "a", 0, 5, "final"), ("k", "b", 5, 10, "final")]


def test_a_record_joins_two_sessions(run: Runs) -> None:
    items = [Move(0, "a"), Move(8, "c"), Move(4, "b")]
    found = run.rows(wallaroo.session(5), *items, out_of_order=20)
    assert [(start, end) for _, _, start, end, _ in found] == [(0, 13)]


def test_a_late_record_joins_two_sessions_that_have_fired(run: Runs) -> None:
    windows = wallaroo.session(5).with_late_data_policy("update").allow_late(100)
    found = run.rows(windows, Move(0, "a"), Move(8, "c"), Advance(30), Move(4, "b"))
    assert [each[2:] for each in found] == [
        (0, 5, "final"),
        (8, 13, "final"),
        (0, 13, "update"),
    ]


def test_a_session_is_cut_when_it_has_lasted_long_enough(run: Runs) -> None:
    found = run.rows(wallaroo.session(5, longest=8), *(Move(at) for at in (0, 4, 8, 12)))
    assert [each[2:4] for each in found] == [(0, 8), (8, 16)]


def test_count_windows_give_a_result_for_so_many_records(run: Runs) -> None:
    items = [Move(at, value) for at, value in enumerate("abcde")]
    found = run.rows(wallaroo.count_windows(2), *items)
    assert found == [("k", "ab", 0, 1, "final"), ("k", "cd", 2, 3, "final")]


def test_count_windows_may_slide_and_give_what_is_left_at_the_end(run: Runs) -> None:
    items = [Move(at, value) for at, value in enumerate("abcd")]
    windows = wallaroo.count_windows(3).with_slide(2).partial("emit")
    found = run.rows(windows, *items)
    assert [each[1] for each in found] == ["abc", "cd"]


def test_an_ephemeral_window_is_opened_by_a_record_and_forgotten_later(run: Runs) -> None:
    windows = wallaroo.ephemeral_windows(10, 20)
    items = [Move(3, "a"), Move(5, "b"), Advance(9), Move(6, "late"), Advance(19), Move(33, "c")]
    found = run.collected(windows, *items)
    assert rows(found) == [("k", "ab", 3, 13, "final"), ("k", "c", 33, 43, "final")]
    assert found.late == {"joined": 1}


def test_a_day_of_23_hours_is_one_window(run: Runs) -> None:
    start = 1_774_738_800_000_000_000  # 2026-03-29T00:00+01:00
    items = [Move(start, "a"), Move(start + hours(22), "b"), Move(start + hours(23), "c")]
    found = run.rows(calendar("day", "Europe/Berlin"), *items)
    assert [(each[1], (each[3] - each[2]) // hours(1)) for each in found] == [("ab", 23), ("c", 24)]


def test_results_of_a_window_fall_into_the_same_window_of_the_next_state(workers: int) -> None:
    counts = source().key_by(key_of).to(tumbling(10).over(aggregate.count()))
    top = tumbling(10).over(aggregate.top(1, lambda result: result.value))
    results = counts.collect().to(top).map(lambda each: (each.start, each.value[0].key))
    plan = wallaroo.build_application("app", results.to_sink(sink("results")))
    items = [Move(1, key="a"), Move(2, key="b"), Move(3, key="b"), Move(11, key="a")]
    found = collect(plan, {"moves": items}, workers=workers)
    assert found.outputs["results"] == [(0, "b"), (10, "a")]
    assert found.late == {"count": 0, "top": 0}


def test_sources_that_are_read_one_after_the_other_are_not_late(workers: int) -> None:
    merged = source("one").merge(source("other")).key_by(key_of).to(tumbling(10).over(joined))
    plan = wallaroo.build_application("app", merged.map(row).to_sink(sink("results")))
    inputs = {"one": [Move(1, "a"), Move(25, "b")], "other": [Move(2, "c"), Move(31, "d")]}
    found = collect(plan, inputs, workers=workers)
    assert [each[1] for each in rows(found)] == ["ac", "b", "d"]


def test_windows_without_an_event_time_go_by_the_wall_clock(workers: int) -> None:
    config = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline")
    windows = wallaroo.source("moves", config).key_by(key_of).to(tumbling(10).over(joined))
    plan = wallaroo.build_application("app", windows.map(row).to_sink(sink("results")))
    items = [b"7 a k", AdvanceWall(12), b"0 b k", Record(Move(0, "c"), at=25)]
    found = rows(collect(plan, {"moves": items}, workers=workers))
    assert [(value, start) for _, value, start, _, _ in found] == [("a", 0), ("b", 10), ("c", 20)]


def test_a_record_of_the_test_may_have_another_time(run: Runs) -> None:
    found = run.rows(tumbling(10), Record(Move(1, "a"), at=42))
    assert found == [("k", "a", 40, 50, "final")]


def test_a_quiet_source_may_go_on_with_the_wall_clock(run: Runs) -> None:
    quiet = {"idle_after": 100, "when_quiet": "advance"}
    found = run.collected(
        tumbling(10), Move(3, "a"), AdvanceWall(100), AdvanceWall(50), Move(4, "late"), **quiet
    )
    assert rows(found) == [("k", "a", 0, 10, "final")]
    assert found.late == {"joined": 1}


def test_a_record_whose_update_raises_is_a_failure_and_its_window_goes_on(workers: int) -> None:
    def update(move: Move, so_far: str) -> str:
        if move.value == "!":
            raise ValueError("no")
        return so_far + move.value

    strict = wallaroo.aggregation("strict", initial=str, merge=operator.add)(update)
    items = [Move(1, "a"), Move(2, "!"), Move(3, "b")]
    found = collect(application(tumbling(10), strict), {"moves": items}, workers=workers)
    assert found.outputs["results"] == [("k", "ab", 0, 10, "final")]
    (failure,) = found.failures
    assert (failure.step, failure.key, failure.error) == ("strict", "k", "ValueError: no")


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (wallaroo.range_windows(10).with_slide(5).with_delay(3), ["ab", "ab"]),
        (wallaroo.range_windows(10), ["ab"]),
    ],
)
def test_range_windows_are_those_of_wallaroo(
    run: Runs, windows: WindowsBuilder, expected: list[str]
) -> None:
    found = run.rows(windows, Move(6, "a"), Move(7, "b"))
    assert [value for _, value, *_ in found] == expected


def test_mistakes_in_items_that_have_to_do_with_time_are_reported() -> None:
    nonsense: Any = "soon"
    for item, expected in [
        (Record(Move(1), at=nonsense), "is a Record at a str"),
        (Advance(nonsense), "a duration is"),
        (AdvanceWall(-1), "give a duration of at least 0"),
    ]:
        with pytest.raises(WallarooParameterError, match=expected):
            collect(application(tumbling(10)), {"moves": [item]})
