"""Checks an aggregation of your own: that it can be merged, and that merging changes nothing."""

import math
import pickle
from collections.abc import Sequence
from typing import Any

from wallaroo.api.aggregations import read_aggregation
from wallaroo.api.inspection import caller_place
from wallaroo.describing import text_of
from wallaroo.timing.window_spec import AggregationSpec

SPLITS_MAX = 100
"""Samples are split at no more places than this."""


def check_aggregation(aggregation: object, samples: Sequence[Any]) -> None:
    """Check that an aggregation gives the same however its records are split and merged.

    ``samples`` are records, as many and as different as you like; the time of the first is 0, that
    of the next is 1. Raises ``AssertionError`` with a sentence that names the first rule that is
    broken: accumulators can be pickled; ``merge`` leaves its arguments as they are, has the first
    accumulator as identity, is associative, and gives the same as adding the records one by one;
    it is commutative if that was declared; and ``invert`` undoes it. ::

        def test_revenue() -> None:
            check_aggregation(revenue, [{"price": 1.5}, {"price": 3}])
    """
    spec = read_aggregation(aggregation, caller_place())
    _require(bool(samples), spec, "cannot be checked without samples")
    whole = _folded(spec, samples, 0)
    _check_pickling(spec, whole)
    if spec.merge is None:
        return
    step = max(len(samples) // SPLITS_MAX, 1)
    for at in range(0, len(samples) + 1, step):
        one, other = _folded(spec, samples[:at], 0), _folded(spec, samples[at:], at)
        merged = _merged(spec, one, other)
        where = f"{at} of its {len(samples)} samples and of the others"
        what = f"merge gives {_text(merged)} for the accumulators of {where}"
        _require(
            _is_same(merged, whole),
            spec,
            f"{what}; adding all samples to one accumulator gives {_text(whole)}",
        )
        _check_identity(spec, one)
        _check_order(spec, one, other, merged)
        _check_associative(spec, samples, at)


def _check_pickling(spec: AggregationSpec, accumulator: Any) -> None:
    try:
        copy = pickle.loads(pickle.dumps(accumulator, pickle.HIGHEST_PROTOCOL))
    except Exception as error:
        text = f"the aggregation {spec.name!r} has an accumulator that cannot be pickled: {error}"
        raise AssertionError(text) from error
    _require(_is_same(copy, accumulator), spec, "has an accumulator that pickling changes")


def _check_identity(spec: AggregationSpec, accumulator: Any) -> None:
    for merged in (
        _merged(spec, spec.initial(), accumulator),
        _merged(spec, accumulator, spec.initial()),
    ):
        what = f"merge of {_text(accumulator)} and the first accumulator gives {_text(merged)}"
        _require(_is_same(merged, accumulator), spec, f"{what}; it must change nothing")


def _check_order(spec: AggregationSpec, one: Any, other: Any, merged: Any) -> None:
    if spec.is_commutative:
        turned = _merged(spec, other, one)
        what = f"is not commutative: merge gives {_text(merged)}, and {_text(turned)} the other way"
        _require(_is_same(merged, turned), spec, what)
    if spec.invert is not None:
        rest = spec.invert(merged, one)
        what = f"invert takes {_text(one)} out of {_text(merged)} and leaves {_text(rest)}"
        _require(_is_same(rest, other), spec, f"{what}; {_text(other)} had been added")


def _check_associative(spec: AggregationSpec, samples: Sequence[Any], at: int) -> None:
    middle = at + (len(samples) - at) // 2
    one, two = _folded(spec, samples[:at], 0), _folded(spec, samples[at:middle], at)
    three = _folded(spec, samples[middle:], middle)
    left = _merged(spec, _merged(spec, one, two), three)
    right = _merged(spec, one, _merged(spec, two, three))
    what = f"merge is not associative: it gives {_text(left)} from the left and {_text(right)}"
    _require(_is_same(left, right), spec, f"{what} from the right")


def _folded(spec: AggregationSpec, samples: Sequence[Any], first_time: int) -> Any:
    accumulator = spec.initial()
    for time, record in enumerate(samples, first_time):
        accumulator = spec.updated(record, accumulator, time)
    return accumulator


def _merged(spec: AggregationSpec, one: Any, other: Any) -> Any:
    assert spec.merge is not None
    before = [pickle.dumps(each) for each in (one, other)]
    merged = spec.merge(one, other)
    for number, accumulator, pickled in zip(("first", "second"), (one, other), before, strict=True):
        # Pickles of equal objects may differ, so unpickle what was there before.
        _require(
            _is_same(accumulator, pickle.loads(pickled)),
            spec,
            f"merge changes its {number} argument; make a new accumulator in it",
        )
    return merged


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two accumulators are the same; sums of floats may differ by rounding."""
    if one is other:
        return True
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if type(one) is not type(other):
        return bool(one == other)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_is_same(left, right) for left, right in pairs)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if "__eq__" not in {name for kind in type(one).__mro__[:-1] for name in vars(kind)}:
        return _is_same(_state(one), _state(other))
    return bool(one == other)


def _state(accumulator: Any) -> Any:
    """Return what pickle keeps of an object that does not say when it is equal to another."""
    reduced = accumulator.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return reduced if isinstance(reduced, str) else [*reduced[1:3]]


def _text(accumulator: Any) -> str:
    return text_of(accumulator, length_max=200)


def _require(is_kept: bool, spec: AggregationSpec, sentence: str) -> None:
    if not is_kept:
        raise AssertionError(f"the aggregation {spec.name!r}: {sentence}")
