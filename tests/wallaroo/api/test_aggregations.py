"""Aggregations: what the decorator, the class and the built-in ones compute, and their mistakes."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wallaroo
from tests.wallaroo.api.words import mistakes_of
from wallaroo import aggregate
from wallaroo.api.aggregations import read_aggregation
from wallaroo.api.inspection import caller_place
from wallaroo.testing import check_aggregation
from wallaroo.timing.window_spec import AggregationSpec, Result, ResultKind, Window

WINDOW = Window(0, 10)


@wallaroo.aggregation("revenue", initial=float, merge=operator.add)
def revenue(order: dict[str, float], so_far: float) -> float:
    return so_far + order["price"]


class Unordered(wallaroo.Aggregation[int, list[int]]):
    commutative = True

    def initial_accumulator(self) -> list[int]:
        return []

    def update(self, record: int, accumulator: list[int], /) -> None:
        accumulator.append(record)


class UnorderedInParts(Unordered):
    def combine(self, one: list[int], other: list[int], /) -> list[int]:
        return sorted(one + other)


def test_a_class_says_that_the_order_of_records_does_not_matter() -> None:
    assert read_aggregation(UnorderedInParts, caller_place()).is_commutative
    ordered = type("Ordered", (UnorderedInParts,), {"commutative": False})
    assert not read_aggregation(ordered, caller_place()).is_commutative


class Total:
    def __init__(self, value: int = 0) -> None:
        self.value = value


class TotalAggregation(wallaroo.Aggregation[int, Total]):
    def initial_accumulator(self) -> Total:
        return Total()

    def update(self, record: int, accumulator: Total) -> None:
        accumulator.value += record

    def combine(self, one: Total, other: Total) -> Total:
        return Total(one.value + other.value)

    def output(self, key: Any, accumulator: Total) -> Any:
        return (key, accumulator.value) if accumulator.value else None


def spec_of(aggregation: object) -> AggregationSpec:
    return read_aggregation(aggregation, caller_place())


def value_of(aggregation: object, *records: Any, times: list[int] | None = None) -> Any:
    """Return the value of the result, with each record merged as if it came from elsewhere."""
    spec = spec_of(aggregation)
    assert spec.merge is not None
    total = spec.initial()
    for time, record in zip(times or range(len(records)), records, strict=True):
        total = spec.merge(total, spec.updated(record, spec.initial(), time))
    return spec.result("k", total, WINDOW, ResultKind.FINAL).value


def texts_of(aggregation: object) -> list[str]:
    """Return the mistakes of an aggregation, without their places."""
    return [each.partition(": ")[2] for each in mistakes_of(lambda: spec_of(aggregation))]


def test_a_decorated_function_can_still_be_called() -> None:
    assert revenue({"price": 2.5}, 1.0) == 3.5


def test_the_result_without_output_says_its_window() -> None:
    found = spec_of(revenue).result("shop", 3.5, WINDOW, ResultKind.UPDATE)
    assert found == Result("shop", 3.5, 0, 10, "update")


@pytest.mark.parametrize("given_as", [TotalAggregation, TotalAggregation()])
def test_a_class_and_an_object_of_it_are_the_same(given_as: object) -> None:
    spec = spec_of(given_as)
    assert spec.name == "TotalAggregation"
    total = spec.updated(5, spec.initial(), 0)
    assert spec.result("k", total, WINDOW, ResultKind.FINAL) == ("k", 5)
    assert spec.result("k", Total(), WINDOW, ResultKind.FINAL) is None


def test_an_output_with_three_parameters_gets_the_window() -> None:
    decorate = wallaroo.aggregation(
        "spans", initial=int, output=lambda key, total, window: (key, total, window.end)
    )
    spec = spec_of(decorate(lambda record, so_far: so_far))
    assert spec.result("k", 3, WINDOW, ResultKind.FINAL) == ("k", 3, 10)


def test_an_output_with_defaults_gets_two_arguments() -> None:
    decorate = wallaroo.aggregation(
        "scaled", initial=int, output=lambda key, total, scale=2: total * scale
    )
    spec = spec_of(decorate(lambda record, so_far: so_far))
    assert spec.result("k", 3, WINDOW, ResultKind.FINAL) == 6


def length(record: str) -> int:
    return len(record)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        (aggregate.count(), 4),
        (aggregate.sum(length), 10),
        (aggregate.min(length), 1),
        (aggregate.max(length), 4),
        (aggregate.mean(length), 2.5),
        (aggregate.first(), "ccc"),
        (aggregate.last(), "bb"),
        (aggregate.collect(), ["ccc", "a", "dddd", "bb"]),
        (aggregate.collect(limit=2), ["ccc", "a"]),
        (aggregate.distinct(lambda record: record > "b"), {True, False}),
        (aggregate.top(2, length), ["dddd", "ccc"]),
        (
            aggregate.several(n=aggregate.count(), longest=aggregate.max(length)),
            {"n": 4, "longest": 4},
        ),
    ],
    ids=str,
)
def test_a_built_in_aggregation_computes_its_value(aggregation: object, expected: Any) -> None:
    assert value_of(aggregation, "ccc", "a", "dddd", "bb") == expected


def test_first_and_last_go_by_event_time_and_equal_times_by_arrival() -> None:
    times = [5, 3, 9, 3, 9]
    assert value_of(aggregate.first(), *"abcde", times=times) == "b"
    assert value_of(aggregate.last(), *"abcde", times=times) == "e"


@pytest.mark.parametrize("aggregation", [aggregate.min(length), aggregate.mean(length)])
def test_nothing_has_no_value(aggregation: object) -> None:
    assert value_of(aggregation) is None


def test_of_equal_records_the_earlier_are_at_the_top() -> None:
    assert value_of(aggregate.top(3, length), "bb", "a", "cc", "d", "ee") == ["bb", "cc", "ee"]


BUILT_IN = [
    aggregate.count(),
    aggregate.sum(lambda number: number),
    aggregate.min(lambda number: number % 7),
    aggregate.max(lambda number: number % 7),
    aggregate.mean(lambda number: number),
    aggregate.first(),
    aggregate.last(),
    aggregate.collect(3),
    aggregate.distinct(lambda number: number % 5),
    aggregate.top(3, lambda number: number % 7),
    aggregate.several(a=aggregate.count(), b=aggregate.last()),
]


@pytest.mark.parametrize("aggregation", BUILT_IN, ids=str)
@given(samples=st.lists(st.integers(-50, 50), min_size=1, max_size=20))
def test_built_in_aggregations_keep_the_rules(aggregation: object, samples: list[int]) -> None:
    check_aggregation(aggregation, samples)


def test_the_rules_hold_for_a_decorated_function_and_a_class() -> None:
    check_aggregation(revenue, [{"price": 0.1 * number} for number in range(30)])
    check_aggregation(TotalAggregation, [1, -5, 3])


def changes_first(one: list[int], other: list[int]) -> list[int]:
    one += other
    return one


def changes_second(one: list[int], other: list[int]) -> list[int]:
    other[:0] = one
    return other


def appended(record: int, held: list[int]) -> list[int]:
    return [*held, record]


@pytest.mark.parametrize(
    ("options", "update", "sentence"),
    [
        ({"initial": list, "merge": changes_first}, appended, "merge changes its first argument"),
        ({"initial": list, "merge": changes_second}, appended, "merge changes its second argument"),
        (
            {"initial": list, "merge": operator.add, "commutative": True},
            appended,
            r"is not commutative: merge gives \[1, 2, 3\]",
        ),
        (
            {"initial": lambda: 1, "merge": operator.add},
            lambda record, total: total + record,
            "merge gives 8 for the accumulators of 0 of its 3 samples and of the others; "
            "adding all samples to one accumulator gives 7",
        ),
        (
            {"initial": int, "merge": max},
            lambda record, total: total + record,
            "adding all samples to one accumulator gives 6",
        ),
        (
            {"initial": int, "merge": operator.add, "invert": operator.add},
            lambda record, total: total + record,
            "invert takes 1 out of 6 and leaves 7; 5 had been added",
        ),
        (
            {"initial": lambda: lambda: None},
            lambda record, held: held,
            "cannot be pickled",
        ),
    ],
)
def test_a_broken_rule_is_told_with_what_was_found(
    options: Any, update: Any, sentence: str
) -> None:
    broken = wallaroo.aggregation("mine", **options)(update)
    with pytest.raises(AssertionError, match=sentence):
        check_aggregation(broken, [1, 2, 3])


def test_an_identity_and_an_order_that_do_not_hold_are_found() -> None:
    def forgets(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        return one[:1] + other if len(one) > 2 else one + other

    broken = wallaroo.aggregation("mine", initial=tuple, merge=forgets)(
        lambda record, held: (*held, record)
    )
    with pytest.raises(AssertionError, match="the aggregation 'mine': merge"):
        check_aggregation(broken, [1, 2, 3, 4, 5, 6])


def test_a_check_needs_samples() -> None:
    with pytest.raises(AssertionError, match="without samples"):
        check_aggregation(aggregate.count(), [])


def test_an_aggregation_without_merge_is_checked_for_what_it_has() -> None:
    check_aggregation(wallaroo.aggregation("mine", initial=int)(operator.add), [1, 2])


def test_all_mistakes_of_an_aggregation_are_told_together() -> None:
    aggregation: Any = wallaroo.aggregation
    broken = aggregation(
        "",
        initial=3,
        merge=lambda one: one,
        output=lambda: None,
    )(lambda record: record)
    assert texts_of(broken) == [
        "<lambda>, decorated with @wallaroo.aggregation(name, initial=...), is called with 2 "
        "arguments but is declared (record); declare it (record, accumulator); further parameters "
        "need defaults",
        "the name given to @wallaroo.aggregation(name, initial=...) is empty; give a string with "
        "something in it",
        "initial of the aggregation '' is the int 3; give something that can be called",
        "merge of the aggregation '' is called with 2 arguments but is declared (one); declare it "
        "(one, other); further parameters need defaults",
        "output of the aggregation '' is called with 2 arguments but is declared (); declare it "
        "(key, accumulator); further parameters need defaults",
    ]


class Bare(wallaroo.Aggregation[Any, Any]):
    """Lacks everything."""


class Demanding(TotalAggregation):
    def __init__(self, scale: int) -> None:
        self.scale = scale


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        (
            Bare,
            [
                "the aggregation Bare has no method initial_accumulator(); write one",
                "the aggregation Bare has no method update(); write one",
            ],
        ),
        (
            Demanding,
            [
                "the aggregation Demanding cannot be made: TypeError: Demanding.__init__() missing "
                "1 required positional argument: 'scale'; give an object of it: "
                "over(Demanding(...))"
            ],
        ),
        (
            int,
            [
                "the aggregation of over() is the class int; give one of wallaroo.aggregate, a "
                "function decorated with @wallaroo.aggregation(name, initial=...), or a class "
                "derived from wallaroo.Aggregation"
            ],
        ),
        (
            aggregate.top(0, lambda: 1),  # type: ignore[misc,arg-type]
            [
                "f of aggregate.top() is called with 1 argument but is declared (); declare it "
                "(record); further parameters need defaults",
                "n of aggregate.top() is the int 0; give an integer of at least 1",
            ],
        ),
        (
            aggregate.several(
                n=7,  # type: ignore[arg-type]
                m=wallaroo.aggregation("m", initial=int)(operator.add),
            ),
            [
                "m of aggregate.several() has no merge; give it one",
                "the aggregation of over() is the int 7; give one of wallaroo.aggregate, a "
                "function decorated with @wallaroo.aggregation(name, initial=...), or a class "
                "derived from wallaroo.Aggregation",
            ],
        ),
        (
            aggregate.several(),
            ["aggregate.several() has nothing to compute; name aggregations"],
        ),
        (
            wallaroo.aggregation("i", initial=int, invert=operator.sub)(operator.add),
            ["the aggregation 'i' has invert but no merge; give both"],
        ),
        (
            wallaroo.aggregation("c", initial=int, commutative=True)(operator.add),
            ["the aggregation 'c' is commutative but has no merge; give both, or neither"],
        ),
        (
            Unordered,
            [
                "the aggregation Unordered is commutative but has no method combine(); "
                "write one, or leave commutative out"
            ],
        ),
    ],
    ids=["bare", "demanding", "int", "top", "several", "nothing", "invert", "order", "class order"],
)
def test_a_mistake_says_what_to_do(given_as: object, expected: list[str]) -> None:
    assert texts_of(given_as) == expected


def test_a_class_without_combine_cannot_be_merged() -> None:
    class Last(wallaroo.Aggregation[int, list[int]]):
        def initial_accumulator(self) -> list[int]:
            return []

        def update(self, record: int, accumulator: list[int]) -> None:
            accumulator[:] = [record]

    spec = spec_of(Last)
    assert spec.merge is None
    assert spec.result("k", [3], WINDOW, ResultKind.FINAL).value == [3]
