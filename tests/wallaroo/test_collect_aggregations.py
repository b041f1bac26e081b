"""Built-in aggregations in an application, which chains compute by themselves."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.test_collect_windows import Move, application, rows
from wallaroo import WindowsBuilder, aggregate, tumbling
from wallaroo.testing import collect

WORKERS = pytest.mark.parametrize("workers", [1, 3])


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        (aggregate.count(), 3),
        (aggregate.sum(lambda move: move.at), 12),
        (aggregate.min(lambda move: move.at), 2),
        (aggregate.max(lambda move: move.at), 7),
        (aggregate.mean(lambda move: move.at), 4.0),
        (aggregate.several(largest=aggregate.max(lambda move: move.at)), {"largest": 7}),
    ],
)
@WORKERS
def test_chains_compute_built_in_aggregations_as_windows_of_other_kinds_do(
    workers: int, aggregation: Any, expected: Any
) -> None:
    items = [Move(3), Move(7), Move(2)]
    windows: list[WindowsBuilder] = [
        tumbling(10),
        tumbling(10).until(lambda key, found: False),
        wallaroo.session(8),
    ]
    for window in windows:
        plan = application(window, aggregation, out_of_order=10)
        (found,) = rows(collect(plan, {"moves": items}, workers=workers))
        assert found[1] == expected


@WORKERS
def test_a_value_that_a_built_in_aggregation_cannot_use_is_a_failure(workers: int) -> None:
    plan = application(tumbling(10), aggregate.max(lambda move: move.value))
    mixed: Any = 5
    items = [Move(1, "a"), Move(2, mixed), Move(3, "b")]
    found = collect(plan, {"moves": items}, workers=workers)
    assert [failure.step for failure in found.failures] == ["max"]
    assert [each[1] for each in found.outputs["results"]] == ["b"]
