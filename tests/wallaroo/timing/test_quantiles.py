"""Quantiles differ from the exact ones by no more than they say, however they were merged."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wallaroo
from tests.wallaroo.test_collect_windows import Move, application, rows
from wallaroo import aggregate, tumbling
from wallaroo.errors import WallarooParameterError
from wallaroo.testing import check_aggregation, collect
from wallaroo.timing.quantiles import Counted, Quantiles

AT = (0.0, 0.25, 0.5, 0.9, 0.99, 1.0)
ROUNDING = 1e-9


def counted(quantiles: Quantiles, values: list[float]) -> Counted:
    held = quantiles.initial()
    for value in values:
        quantiles.update(value, held)
    return held


def assert_close(found: dict[float, float], values: list[float], error: float) -> None:
    ordered = sorted(values)
    assert list(found) == [*AT]
    for at, value in found.items():
        exact = ordered[int(at * (len(ordered) - 1))]
        assert abs(value - exact) <= (error + ROUNDING) * abs(exact) + 1e-99


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(values=st.lists(numbers, min_size=1, max_size=60), error=st.sampled_from([0.001, 0.01, 0.3]))
def test_each_value_is_that_of_a_record_within_the_error(values: list[float], error: float) -> None:
    quantiles = Quantiles(float, AT, error)
    assert_close(quantiles.value(counted(quantiles, values)), values, error)


@given(parts=st.lists(st.lists(st.integers(-1000, 1000), max_size=20), min_size=1, max_size=6))
def test_parts_that_are_merged_in_any_order_give_the_same(parts: list[list[int]]) -> None:
    quantiles = Quantiles(float, AT, 0.01)
    whole = counted(quantiles, [float(value) for part in parts for value in part])
    merged = quantiles.initial()
    for part in reversed(parts):
        merged = quantiles.merged(counted(quantiles, [float(value) for value in part]), merged)
    assert merged == whole
    assert quantiles.value(merged) == quantiles.value(whole)


def test_many_values_need_few_buckets() -> None:
    chance = random.Random(1)
    quantiles = Quantiles(float, AT, 0.01)
    values = [chance.lognormvariate(0, 3) for _ in range(50_000)]
    held = counted(quantiles, values)
    assert_close(quantiles.value(held), values, 0.01)
    assert sum(map(len, held)) < 2_000


def test_no_values_have_no_quantiles() -> None:
    quantiles = Quantiles(float, AT, 0.01)
    assert quantiles.value(quantiles.initial()) == {}


def test_it_is_a_sound_aggregation() -> None:
    check_aggregation(aggregate.quantiles(float), [1, -2.5, 0, 1e9, 3])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_window_gives_its_quantiles(workers: int) -> None:
    windows = tumbling(1000)
    plan = application(windows, aggregate.quantiles(lambda move: move.at, at=(0.5, 1.0)))
    moves = [Move(number) for number in range(1, 102)]
    (found,) = rows(collect(plan, {"moves": moves}, workers=workers))
    value: Any = found[1]
    assert value == {0.5: pytest.approx(51, rel=0.01), 1.0: pytest.approx(101, rel=0.01)}


def test_a_value_that_is_not_a_number_is_a_failure() -> None:
    plan = application(tumbling(10), aggregate.quantiles(lambda move: float("nan")))
    found = collect(plan, {"moves": [Move(1)]})
    assert [each.error for each in found.failures] == [
        "ValueError: a quantile of nan cannot be computed"
    ]


@pytest.mark.parametrize(
    "options", [{"at": ()}, {"at": (0.5, 2)}, {"at": 0.5}, {"error": 0}, {"error": "1 %"}]
)
def test_a_wrong_option_is_a_mistake(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(WallarooParameterError, match=rf"{name} of aggregate.quantiles\(\) is"):
        wallaroo.tumbling(1000).over(aggregate.quantiles(float, **options))
        application(tumbling(10), aggregate.quantiles(float, **options))
