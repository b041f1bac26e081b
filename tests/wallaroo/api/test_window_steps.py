"""Windows as steps of a pipeline: the plan they become, and the mistakes that ``build`` reports."""

from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import decode, encode, first_letter, mistakes_of
from wallaroo import Pipeline, TCPSinkConfig, TCPSourceConfig, aggregate
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application, window_of
from wallaroo.topology.ports import Port

SIDE = wallaroo.tumbling(10).with_late_data_policy("side").over(aggregate.count())
COUNT = wallaroo.tumbling(10).over(aggregate.count())
SOURCE = TCPSourceConfig("127.0.0.1", 0, decode, framing="newline")


@wallaroo.computation("double")
def double(result: wallaroo.Result[int]) -> int:
    return result.value * 2


def sink(port: int = 5555) -> TCPSinkConfig[Any]:
    return TCPSinkConfig("127.0.0.1", str(port), encode)


def lines() -> Pipeline[Any]:
    return wallaroo.source("lines", SOURCE)


def built(*ends: Pipeline[Any]) -> Application:
    return wallaroo.build_application("app", *ends)


def texts_of(build: Callable[[], object]) -> list[str]:
    """Return the mistakes that ``build`` reports; all are of this file."""
    mistakes = mistakes_of(build)
    assert all(each.startswith("test_window_steps.py:") for each in mistakes)
    return [each.partition(": ")[2] for each in mistakes]


def texts_of_ends(*ends: Pipeline[Any]) -> list[str]:
    return texts_of(lambda: built(*ends))


def feeds(plan: Application) -> dict[str, list[tuple[str, Port]]]:
    names = [flow.name for flow in plan.flows]
    return {
        inner.name: [(names[feed.pipeline], feed.port) for feed in inner.feeds]
        for inner in plan.inner
    }


def test_a_window_ends_its_pipeline_and_its_results_feed_another() -> None:
    plan = built(lines().key_by(first_letter).to(COUNT).to(double).to_sink(sink()))
    (pipeline,) = plan.pipelines
    assert window_of(pipeline) is COUNT.spec()
    assert pipeline.sinks == ()
    assert feeds(plan) == {"lines > count": [("lines", Port.FIRED)]}
    assert plan.states["count"].timing is COUNT.spec()


def test_late_records_feed_a_pipeline_of_their_own() -> None:
    counts = lines().key_by(first_letter).to(SIDE)
    plan = built(counts.to_sink(sink()), counts.late.to_sink(sink(5556)))
    assert feeds(plan) == {
        "lines > count": [("lines", Port.FIRED)],
        "lines > late": [("lines", Port.LATE)],
    }


def test_late_records_may_go_on_without_results() -> None:
    plan = built(lines().key_by(first_letter).to(SIDE).late.to_sink(sink()))
    assert feeds(plan) == {"lines > late": [("lines", Port.LATE)]}


def test_results_may_go_on_in_several_pipelines() -> None:
    counts = lines().key_by(first_letter).to(COUNT)
    plan = built(counts.to(double).to_sink(sink()), counts.to_sink(sink(5556)), counts.done())
    assert sorted(feeds(plan)) == ["lines > count > double", "lines > count > sinks"]


def test_results_and_late_records_may_be_merged() -> None:
    counts = lines().key_by(first_letter).to(SIDE)
    plan = built(counts.merge(counts.late).to_sink(sink()))
    assert feeds(plan) == {"lines > count": [("lines", Port.FIRED), ("lines", Port.LATE)]}


def test_windows_may_follow_windows() -> None:
    top = wallaroo.tumbling(10).over(aggregate.top(3, lambda result: result.value))
    plan = built(lines().key_by(first_letter).to(COUNT).collect().to(top).to_sink(sink()))
    assert [*plan.states] == ["count", "top"]
    assert feeds(plan) == {
        "lines > count": [("lines", Port.FIRED)],
        "lines > count > top": [("lines > count", Port.FIRED)],
    }


def test_records_without_a_key_are_in_one_window_for_all() -> None:
    plan = built(lines().to(COUNT).to_sink(sink()))
    assert plan.states["count"].hashed_partition_count == 0


def test_a_state_has_the_name_of_the_window_or_of_its_aggregation() -> None:
    letters = lines().key_by(first_letter)
    named = wallaroo.tumbling(10).named("inside").over(aggregate.count())
    plan = built(
        letters.to(COUNT).to_sink(sink(1)),
        letters.to(COUNT).to_sink(sink(2)),
        letters.to(named).to_sink(sink(3)),
        letters.to(COUNT).named("outside").to_sink(sink(4)),
    )
    assert [*plan.states] == ["count", "count 2", "inside", "outside"]


def test_both_styles_make_the_same_plan() -> None:
    fluent = built(lines().key_by(first_letter).to(COUNT).named("n").to_sink(sink()))
    builder = (
        wallaroo.ApplicationBuilder("app")
        .new_pipeline("lines", SOURCE)
        .key_by(first_letter)
        .to(COUNT)
        .named("n")
        .to_sink(sink())
        .build()
    )
    assert outline(builder) == outline(fluent)


def test_the_outline_names_the_shape_of_windows() -> None:
    def shape(windows: wallaroo.WindowsBuilder) -> str:
        step = windows.named("state").over(aggregate.count())
        plan = built(lines().key_by(first_letter).to(step).to_sink(sink()))
        (line,) = [each for each in outline(plan) if each.startswith("state 'state'")]
        return line

    tumbling = wallaroo.tumbling(10)
    assert shape(tumbling) != shape(wallaroo.tumbling(11))
    assert shape(tumbling) != shape(wallaroo.session(10))
    assert shape(tumbling) == shape(wallaroo.tumbling(10).with_late_data_policy("side"))


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (
            wallaroo.tumbling(0).over(aggregate.count()),
            "the size of tumbling() is 0; give a longer one",
        ),
        (
            wallaroo.sliding(10, every=20).over(aggregate.count()),
            "every (2e-08 s) is longer than the size (1e-08 s); records between two windows would "
            "be in none; make it shorter",
        ),
        (
            wallaroo.tumbling(10).with_late_data_policy("update").over(aggregate.count()),
            'the late policy "update" has no allow_late(); say for how long',
        ),
        (
            wallaroo.tumbling(10),
            "windows are given without an aggregation; end them with .over(...)",
        ),
    ],
)
def test_mistakes_of_windows_are_reported_by_build(windows: Any, expected: str) -> None:
    pipeline = lines().key_by(first_letter).to(windows).to_sink(sink())
    assert texts_of_ends(pipeline) == [expected]
    builder = (
        wallaroo.ApplicationBuilder("app")
        .new_pipeline("lines", SOURCE)
        .key_by(first_letter)
        .to(windows)
        .to_sink(sink())
    )
    assert texts_of(builder.build) == [expected]


def test_late_needs_windows_that_keep_late_records() -> None:
    letters = lines().key_by(first_letter)
    assert texts_of_ends(letters.to(COUNT).late.to_sink(sink())) == [
        'late is behind windows with the late policy "drop"; add with_late_data_policy("side")'
    ]
    elsewhere: Any = letters
    assert texts_of_ends(elsewhere.late.to_sink(sink())) == [
        "late is not behind windows; take it directly behind them"
    ]
    late: Any = letters.to(SIDE).late
    assert texts_of_ends(late.late.to_sink(sink())) == [
        "late is not behind windows; take it directly behind them"
    ]


def test_late_records_have_no_step_to_be_named() -> None:
    late = lines().key_by(first_letter).to(SIDE).late
    assert texts_of_ends(late.named("n").to_sink(sink())) == [
        "named() does not come after a step; call it behind the step"
    ]


def test_windows_left_open_are_a_mistake() -> None:
    (mistake,) = texts_of_ends(lines().key_by(first_letter).to(COUNT))
    assert mistake.startswith("the pipeline of 'lines' is left open")


@pytest.mark.parametrize("method", ["to_parallel", "map", "filter", "flat_map"])
def test_windows_are_for_to_alone(method: str) -> None:
    (mistake,) = texts_of_ends(getattr(lines(), method)(COUNT).to_sink(sink()))
    assert "WindowStep" in mistake
