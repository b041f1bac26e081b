"""The number of records that all views show, and what became of the records of one run."""

import pytest

from wallaroo.metrics.nodes import Node
from wallaroo.metrics.run_counts import PipelineCounts, RunCounts
from wallaroo.metrics.tally import Counts


def node(kind: str, name: str, *, is_multi: bool = False) -> Node:
    return Node(0, f"p/{name}", kind, name, "p", "to", None, is_multi, None)


SOURCE, STEP, SPLIT = node("source", "source"), node("step", "a"), node("step", "b", is_multi=True)
SINK, OTHER_SINK = node("sink", "x"), node("sink", "y")


def run_of(*nodes: Node, counts_steps: bool = True) -> RunCounts:
    return RunCounts([nodes], is_durable=True, counts_steps=counts_steps)


def counted(run: RunCounts, counts: Counts) -> PipelineCounts:
    run.totals.set_members(["w1"], 1)
    run.totals.reported("w1", 1, 1, {"w1": counts})
    (pipeline,) = run.in_this_run()
    return pipeline


@pytest.mark.parametrize(
    ("places", "counts", "have_all_failed"),
    [
        pytest.param([SOURCE, SINK], {}, False, id="nothing arrived"),
        pytest.param(
            [SOURCE, STEP, SINK],
            {"p/source": [9, 9, 0, 0], "p/a": [9, 0, 0, 9], "p/x": [0, 0, 0, 0]},
            True,
            id="a step fails",
        ),
        pytest.param(
            [SOURCE, STEP, SINK],
            {"p/source": [9, 0, 0, 9], "p/a": [0, 0, 0, 0], "p/x": [0, 0, 0, 0]},
            True,
            id="the decoder fails",
        ),
        pytest.param(
            [SOURCE, STEP, SINK],
            {"p/source": [9, 9, 0, 0], "p/a": [9, 1, 0, 8], "p/x": [1, 1, 0, 0]},
            False,
            id="one got through",
        ),
        pytest.param(
            [SOURCE, STEP, SINK],
            {"p/source": [9, 9, 0, 0], "p/a": [9, 0, 1, 8], "p/x": [0, 0, 0, 0]},
            False,
            id="one was filtered",
        ),
        pytest.param(
            [SOURCE, SPLIT, SINK],
            {"p/source": [3, 3, 0, 0], "p/b": [3, 9, 0, 0], "p/x": [9, 6, 0, 3]},
            False,
            id="a third of what was made",
        ),
        pytest.param(
            [SOURCE, SPLIT, SINK],
            {"p/source": [3, 3, 0, 0], "p/b": [3, 9, 0, 0], "p/x": [9, 0, 0, 9]},
            True,
            id="all that was made",
        ),
        pytest.param(
            [SOURCE, SINK, OTHER_SINK],
            {"p/source": [3, 3, 0, 0], "p/x": [3, 0, 0, 3], "p/y": [3, 3, 0, 0]},
            False,
            id="one of two encoders",
        ),
        pytest.param(
            [SOURCE, STEP],
            {"p/source": [3, 3, 0, 0], "p/a": [3, 0, 0, 3]},
            True,
            id="no sink, the last step fails",
        ),
        pytest.param(
            [SOURCE, STEP],
            {"p/source": [3, 3, 0, 0], "p/a": [3, 3, 0, 0]},
            False,
            id="no sink, the last step is done",
        ),
    ],
)
def test_all_have_failed_if_nothing_but_failures_came_of_them(
    places: list[Node], counts: Counts, have_all_failed: bool
) -> None:
    assert counted(run_of(*places), counts).have_all_failed is have_all_failed


@pytest.mark.parametrize(
    ("places", "failed", "have_all_failed"),
    [
        ([SOURCE, STEP, SINK], 9, True),
        ([SOURCE, STEP, SINK], 8, False),
        # Whether these are a third of what was made nobody knows.
        ([SOURCE, SPLIT, SINK], 9, False),
        ([SOURCE, SINK, OTHER_SINK], 9, False),
    ],
)
def test_without_metrics_all_have_failed_if_it_is_certain(
    places: list[Node], failed: int, have_all_failed: bool
) -> None:
    counts = {"p/source": [9, 9, 0, 0], places[1].id: [failed, 0, 0, failed]}
    assert counted(run_of(*places, counts_steps=False), counts).have_all_failed is have_all_failed


def test_what_an_earlier_run_has_counted_is_shown_and_not_judged() -> None:
    run = run_of(SOURCE, SINK)
    kept = {
        "w1": {"p/source": [7, 6, 0, 1], "p/x": [6, 6, 0, 0]},
        "w2": {"p/source": [2, 0, 0, 2], "p/x": [0, 0, 0, 0]},
    }
    run.begin(kept)
    assert (run.record_count, run.failure_count) == (9, 3)
    assert run.sums_of_this_run() == (0, 0)
    assert run.failing_workers() == []
    run.totals.set_members(["w1"], 1)
    mine = {"p/source": [10, 6, 0, 4], "p/x": [6, 6, 0, 0]}
    run.totals.reported("w1", 1, 1, {**kept, "w1": mine})
    assert (run.record_count, run.failure_count) == (12, 6)
    assert run.sums_of_this_run() == (3, 3)
    assert run.failed_pipelines() == ["p"]
    assert run.failing_workers() == ["w1"]
    assert (run.of_worker("w1").records, run.of_worker("w1").failures) == (10, 4)
    assert (run.of_worker("w5").records, run.of_worker("w5").failures) == (0, 0)
