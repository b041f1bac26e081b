"""A simulated day and more: bounded in memory, exact sums, time goes on when nothing happens."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.history import (
    LEVELS,
    NODES_MAX,
    PIPELINES_MAX,
    WORKERS_MAX,
    History,
    seconds_to_next_sample,
)

START_S = 1_700_000_000 // 60 * 60
NOTHING = {"in": 0, "out": 0, "failed": 0}


def latency_of(*values_ms: int) -> Histogram:
    histogram = Histogram()
    histogram.record_all(value * 1_000_000 for value in values_ms)
    return histogram


def size_of(value: Any) -> int:
    """Return the bytes of a history, all levels and points included."""
    seen: set[int] = set()

    def size(each: Any) -> int:
        if id(each) in seen:
            return 0
        seen.add(id(each))
        total = sys.getsizeof(each)
        if isinstance(each, dict):
            total += sum(size(key) + size(item) for key, item in each.items())
        elif isinstance(each, list | tuple) or type(each).__name__ == "deque":
            total += sum(map(size, each))
        for name in getattr(type(each), "__slots__", ()) or ():
            total += size(getattr(each, name, None))
        if hasattr(each, "__dict__"):
            total += size(each.__dict__)
        return total

    return size(value)


def fill(history: History, seconds: range) -> None:
    for second in seconds:
        counts = {"in": 100, "out": 50, "failed": second % 2}
        by_worker = {"w1": (60.0, 20.0), "w2": (40.0, 30.0)}
        history.add(START_S + second + 0.3, counts, by_worker, latency_of(1, 2, second % 60 + 1))


def test_a_day_is_kept_and_no_more_than_a_day() -> None:
    history = History()
    fill(history, range(86_400 + 7_200))
    size_after_26_hours = size_of(history)
    fill(history, range(86_400 + 7_200, 86_400 + 14_400))
    assert size_of(history) == pytest.approx(size_after_26_hours, rel=0.02)
    assert size_after_26_hours < 4 << 20
    for point_s, count in LEVELS:
        points = history.last(point_s * count)
        assert points["step_s"] == point_s
        assert len(points["t"]) == count
        steps = {
            after - before for before, after in zip(points["t"], points["t"][1:], strict=False)
        }
        assert steps == {point_s}
        assert set(points["in"]) == {100.0}
        assert set(points["workers"]["w2"]["in"]) == {40.0}
        assert set(points["workers"]["w2"]["out"]) == {30.0}
    day = history.last(86_400)
    assert day["t"][0] >= START_S + 14_400 - 60
    assert set(day["failed"]) == {0.5}


def test_percentiles_of_a_minute_are_those_of_all_its_values() -> None:
    history = History()
    fill(history, range(121))
    minute = history.last(86_400)
    values = [value for second in range(60) for value in (1, 2, second + 1)]
    expected = latency_of(*values)
    p50, p99 = expected.quantiles([0.5, 0.99])
    assert p50 is not None and p99 is not None
    assert minute["p50"] == [p50 / 1e9] * 2
    assert minute["p99"] == [p99 / 1e9] * 2


def test_idle_seconds_are_seconds_with_zeros() -> None:
    history = History()
    fill(history, range(10))
    for second in range(10, 30):
        history.add(START_S + second, NOTHING, {}, Histogram())
    seconds = history.last(300)
    assert seconds["t"] == [START_S + second for second in range(29)]
    assert seconds["in"] == [100.0] * 10 + [0.0] * 19
    assert seconds["p99"][-1] is None
    assert history.last(3600)["in"] == [100.0, 0.0]


@pytest.mark.parametrize("gap_s", [1, 2, 7, 59, 61, 1_000, 100_000])
def test_a_gap_is_filled_with_zeros_and_costs_no_more_than_is_kept(gap_s: int) -> None:
    history = History()
    history.add(START_S, {"in": 5, "out": 5, "failed": 0}, {}, Histogram())
    history.add(START_S + gap_s, {"in": 7, "out": 7, "failed": 0}, {}, Histogram())
    history.add(START_S + gap_s + 1, NOTHING, {}, Histogram())
    points = history.last(300)
    assert points["t"][-1] == START_S + gap_s
    assert points["in"][-1] == 7.0
    assert len(points["t"]) == min(gap_s + 1, 300)
    assert sum(points["in"]) == (12 if gap_s < 300 else 7)


@given(st.lists(st.floats(0.0, 0.45), min_size=20, max_size=60), st.floats(0.0, 1.0))
def test_looks_that_are_late_leave_no_second_out(late_s: list[float], begin_s: float) -> None:
    history, now_s = History(), START_S + begin_s
    for each in late_s:
        now_s += seconds_to_next_sample(now_s) + each
        history.add(now_s, {"in": 100, "out": 0, "failed": 0}, {}, Histogram())
    assert set(history.last(300)["in"]) == {100.0}


def test_a_short_look_gets_the_newest_points() -> None:
    history = History()
    fill(history, range(100))
    assert history.last(5)["t"] == [START_S + second for second in range(94, 99)]
    assert history.last(0)["t"] == [START_S + 98]
    assert History().last(60)["t"] == []


def test_only_so_many_workers_have_a_line() -> None:
    history = History()
    workers = {f"w{number:04}": (1.0, 0.0) for number in range(1000)}
    for second in range(3):
        history.add(START_S + second, {"in": 1000, "out": 0, "failed": 0}, workers, Histogram())
    points = history.last(300)
    assert len(points["workers"]) == WORKERS_MAX
    assert points["in"] == [1000.0, 1000.0]


def test_places_and_pipelines_have_lines_of_their_own() -> None:
    history = History()
    for second in range(20):
        by_node = {"words/source": 10.0, "words/count": 30.0}
        by_pipeline = {"words": latency_of(1), "other": latency_of(5)} if second > 10 else {}
        history.add(START_S + second, NOTHING, {}, Histogram(), by_node, by_pipeline)
    minutes = history.last(300)
    assert minutes["nodes"]["words/count"]["in"] == [30.0] * 19
    assert minutes["pipelines"]["words"]["p99"][:11] == [None] * 11
    assert minutes["pipelines"]["other"]["p50"][-1] == pytest.approx(0.005, rel=0.02)
    hour = history.last(3600)
    assert hour["nodes"]["words/source"]["in"] == [10.0]


def test_lines_are_limited_however_many_places_there_are() -> None:
    history = History()
    by_node = {f"node {number}": 1.0 for number in range(100)}
    by_pipeline = {f"pipeline {number}": latency_of(1) for number in range(100)}
    for second in range(3):
        history.add(START_S + second, NOTHING, {}, Histogram(), by_node, by_pipeline)
    assert len(history.last(300)["nodes"]) == NODES_MAX
    assert len(history.last(300)["pipelines"]) == PIPELINES_MAX
