"""The built-in aggregations, as ``wallaroo.aggregate``: ``aggregate.count()`` and its like.

``f`` is a function from a record to a value. All of them can be merged, so they go with any
windows.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from wallaroo.api.aggregations import (
    Aggregation,
    AggregationFunction,
    BuiltInAggregation,
    read_aggregation,
)
from wallaroo.api.inspection import Problem, caller_place, function_problems, named
from wallaroo.errors import WallarooParameterError
from wallaroo.timing.accumulators import (
    ByTime,
    Collected,
    Distinct,
    Extreme,
    Mean,
    Several,
    Top,
    first_of,
    one_more,
)
from wallaroo.timing.quantiles import Quantiles
from wallaroo.timing.window_spec import AggregationSpec, BuiltIn, Result
from wallaroo.type_variables import Q, R

__all__ = [
    "collect",
    "count",
    "distinct",
    "first",
    "last",
    "max",
    "mean",
    "min",
    "quantiles",
    "several",
    "sum",
    "top",
]

Part: TypeAlias = (
    BuiltInAggregation[R, Any]
    | AggregationFunction[R, Any, Any]
    | Aggregation[R, Any]
    | type[Aggregation[R, Any]]
)
"""What ``several`` computes besides others."""


def count() -> BuiltInAggregation[Any, Result[int]]:
    """Count the records."""
    spec = AggregationSpec(
        name="count",
        initial=int,
        update=one_more,
        update_returns=True,
        merge=operator.add,
        invert=operator.sub,
        is_commutative=True,
        built_in=BuiltIn.COUNT,
    )
    return BuiltInAggregation(spec, [])


def sum(f: Callable[[R], Q]) -> BuiltInAggregation[R, Result[Q]]:
    """Add up ``f(record)``, which is a number."""

    def update(record: Any, total: Any) -> Any:
        return total + f(record)

    spec = AggregationSpec(
        name="sum",
        initial=int,
        update=update,
        update_returns=True,
        merge=operator.add,
        is_commutative=True,
        built_in=BuiltIn.SUM,
        extract=f,
    )
    return _of("sum", f, spec)


def min(f: Callable[[R], Q]) -> BuiltInAggregation[R, Result[Q]]:
    """Keep the smallest ``f(record)``."""
    return _extreme("min", f, is_largest=False)


def max(f: Callable[[R], Q]) -> BuiltInAggregation[R, Result[Q]]:
    """Keep the largest ``f(record)``."""
    return _extreme("max", f, is_largest=True)


def mean(f: Callable[[R], Any]) -> BuiltInAggregation[R, Result[float]]:
    """Average ``f(record)``, which is a number."""
    kept = Mean(f)
    spec = AggregationSpec(
        name="mean",
        initial=kept.initial,
        update=kept.update,
        update_returns=True,
        merge=kept.merged,
        value=kept.value,
        is_commutative=True,
        built_in=BuiltIn.MEAN,
        extract=f,
    )
    return _of("mean", f, spec)


def first() -> BuiltInAggregation[R, Result[R]]:
    """Keep the first record by event time; of several at that time, the one that arrived first."""
    return _by_time("first", is_last=False)


def last() -> BuiltInAggregation[R, Result[R]]:
    """Keep the last record by event time; of several at that time, the one that arrived last."""
    return _by_time("last", is_last=True)


def collect(limit: int | None = None) -> BuiltInAggregation[R, Result[list[R]]]:
    """Keep all records in a list, or the first ``limit`` to arrive."""
    kept = Collected(limit)
    spec = AggregationSpec(
        name="collect", initial=list, update=kept.update, update_returns=False, merge=kept.merged
    )
    problems = [] if limit is None else _size_problems("limit of aggregate.collect()", limit)
    return BuiltInAggregation(spec, problems)


def distinct(f: Callable[[R], Q]) -> BuiltInAggregation[R, Result[set[Q]]]:
    """Keep the different values of ``f(record)`` in a set."""
    kept = Distinct(f)
    spec = AggregationSpec(
        name="distinct",
        initial=set,
        update=kept.update,
        update_returns=False,
        merge=kept.merged,
        is_commutative=True,
    )
    return _of("distinct", f, spec)


def top(n: int, f: Callable[[R], Any]) -> BuiltInAggregation[R, Result[list[R]]]:
    """Keep the ``n`` records with the largest ``f(record)``, the largest first."""
    kept = Top(n, f)
    spec = AggregationSpec(
        name="top",
        initial=list,
        update=kept.update,
        update_returns=False,
        merge=kept.merged,
        value=kept.value,
    )
    return _of("top", f, spec, _size_problems("n of aggregate.top()", n))


def quantiles(
    f: Callable[[R], Any], at: tuple[float, ...] = (0.5, 0.9, 0.99), *, error: float = 0.01
) -> BuiltInAggregation[R, Result[dict[float, float]]]:
    """Compute quantiles of ``f(record)``, which is a number: the value is a dict by quantile.

    Each differs from the value of a record by at most ``error`` times that value, however many
    records there are. Their values are not kept: the memory depends on the logarithm of how far
    apart they are.
    """
    problems = []
    if not isinstance(at, tuple) or not at or not all(_is_share(each) for each in at):
        problems.append(Problem(f"at of aggregate.quantiles() is {named(at)}",
                                "give a tuple of numbers from 0 to 1"))  # fmt: skip
    if not _is_share(error) or not 0.0001 <= error <= 0.5:
        problems.append(Problem(f"error of aggregate.quantiles() is {named(error)}",
                                "give a number from 0.0001 to 0.5"))  # fmt: skip
    kept = Quantiles(f, () if problems else at, 0.01 if problems else error)
    spec = AggregationSpec(
        name="quantiles",
        initial=kept.initial,
        update=kept.update,
        update_returns=False,
        merge=kept.merged,
        value=kept.value,
        is_commutative=True,
    )
    return _of("quantiles", f, spec, problems)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def several(**aggregations: Part[R]) -> BuiltInAggregation[R, Result[dict[str, Any]]]:
    """Compute several aggregations at once; the value is a dict of their values by name.

    What an aggregation has as ``output`` is not called. ::

        aggregate.several(pages=aggregate.count(), last=aggregate.last())
    """
    parts: dict[str, AggregationSpec] = {}
    mistakes: list[str] = []
    problems: list[Problem] = []
    for name, given in aggregations.items():
        try:
            parts[name] = read_aggregation(given, caller_place())
        except WallarooParameterError as error:
            mistakes += error.mistakes
    problems += [
        Problem(f"{name} of aggregate.several() has no merge", "give it one")
        for name, part in parts.items()
        if part.merge is None
    ]
    if not aggregations:
        problems.append(Problem("aggregate.several() has nothing to compute", "name aggregations"))
    kept = Several(parts)
    spec = AggregationSpec(
        name="several",
        initial=kept.initial,
        update=kept.update,
        update_returns=True,
        update_takes_time=True,
        merge=kept.merged,
        value=kept.value,
        is_commutative=all(part.is_commutative for part in parts.values()),
    )
    return BuiltInAggregation(spec, problems, tuple(mistakes))


def _extreme(
    name: str, f: Callable[[Any], Any], *, is_largest: bool
) -> BuiltInAggregation[Any, Any]:
    kept = Extreme(f, is_largest=is_largest)
    spec = AggregationSpec(
        name=name,
        initial=tuple,
        update=kept.update,
        update_returns=True,
        merge=kept.merged,
        value=first_of,
        is_commutative=True,
        built_in=BuiltIn.MAX if is_largest else BuiltIn.MIN,
        extract=f,
    )
    return _of(name, f, spec)


def _by_time(name: str, *, is_last: bool) -> BuiltInAggregation[Any, Any]:
    kept = ByTime(is_last=is_last)
    spec = AggregationSpec(
        name=name,
        initial=tuple,
        update=kept.update,
        update_returns=True,
        update_takes_time=True,
        merge=kept.merged,
        value=kept.value,
    )
    return BuiltInAggregation(spec, [])


def _of(
    name: str, f: object, spec: AggregationSpec, problems: list[Problem] | None = None
) -> BuiltInAggregation[Any, Any]:
    found = [*function_problems(f, f"f of aggregate.{name}()", ("record",)), *(problems or [])]
    return BuiltInAggregation(spec, found)


def _size_problems(what: str, size: object) -> list[Problem]:
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return []
    return [Problem(f"{what} is {named(size)}", "give an integer of at least 1")]
