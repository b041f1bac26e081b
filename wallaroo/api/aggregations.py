"""Aggregations, what windows compute: by a decorator, by a class, or built in.

Each has a first accumulator, a way to add a record, and, for most windows, a way to merge two
accumulators. Merging lets a window be kept in parts: those of a checkpoint, of another worker, of
the panes of a sliding window. So ``merge`` has to be associative, to have the first accumulator as
its identity, and to leave both arguments as they are. ``wallaroo.testing.check_aggregation`` checks
that.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, overload

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, caller_place, function_problems, name_problems, named
from wallaroo.describing import error_text
from wallaroo.errors import WallarooParameterError
from wallaroo.timing.window_spec import AggregationSpec, Result, Window
from wallaroo.topology.graph import SourceLocation
from wallaroo.type_variables import Q, Q_co, R, R_contra, S

A = TypeVar("A")
"""An accumulator."""
A_co = TypeVar("A_co", covariant=True)
B = TypeVar("B")
"""An accumulator after one more record."""

_MERGE_ARGUMENTS = ("one", "other")


class AggregationFunction(Decorated[[R_contra, S], S], Generic[R_contra, S, Q_co]):
    """An aggregation: ``f(record, accumulator)`` returns the accumulator after one more record."""

    decorator: ClassVar[str] = "@wallaroo.aggregation(name, initial=...)"
    arguments: ClassVar[tuple[str, ...]] = ("record", "accumulator")

    def __init__(
        self, function: Callable[[R_contra, S], S], spec: AggregationSpec, problems: list[Problem]
    ) -> None:
        super().__init__(function, problems)
        self.spec: AggregationSpec = replace(spec, update=function)


class Aggregation(Generic[R_contra, S]):
    """The base of an aggregation that is a class; ``update`` changes the accumulator in place.

    Give the class, or an object of it, to ``over()``. ``combine`` may be left out; then only
    windows can be used that have all of a key's records in one place.

    A method ``output(key, accumulator)`` returns the result of a key, or ``None`` for none; with a
    third parameter it gets the window. Without one the result is a ``wallaroo.Result``.
    """

    commutative: ClassVar[bool] = False
    """Whether the order of records does not matter."""

    def name(self) -> str:
        """Return the name of the aggregation: by default that of the class."""
        return type(self).__name__

    def initial_accumulator(self) -> S:
        """Return the accumulator of no record."""
        raise NotImplementedError(f"{type(self).__name__} needs a method initial_accumulator()")

    def update(self, record: R_contra, accumulator: S, /) -> object:
        """Add a record to the accumulator, in place; what it returns is ignored."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update()")

    def combine(self, one: S, other: S, /) -> S:
        """Return the accumulator of both, of which ``one`` has the earlier records; change
        neither."""
        raise NotImplementedError(f"{type(self).__name__} has no method combine()")


class BuiltInAggregation(Generic[R_contra, Q_co]):
    """An aggregation of ``wallaroo.aggregate``."""

    def __init__(
        self, spec: AggregationSpec, problems: list[Problem], inherited: tuple[str, ...] = ()
    ) -> None:
        self.spec: AggregationSpec = spec
        place = caller_place()
        found = [problem.at(place) for problem in problems]
        self.mistakes: tuple[str, ...] = (*found, *inherited)

    def __repr__(self) -> str:
        return f"<aggregate.{self.spec.name}>"


class _Decorator(Protocol[A_co]):
    """What ``aggregation`` returns: its function gets accumulators such as ``initial`` makes."""

    def __call__(
        self, function: Callable[[R, A_co], B], /
    ) -> AggregationFunction[R, B, Result[B]]: ...


class _OutputDecorator(Protocol[A_co, Q_co]):
    """What ``aggregation`` returns if it has an ``output``."""

    def __call__(self, function: Callable[[R, A_co], B], /) -> AggregationFunction[R, B, Q_co]: ...


class _CollectionDecorator(Protocol):
    """What ``aggregation`` returns if ``initial`` does not say what the accumulators contain."""

    def __call__(
        self, function: Callable[[R, B], B], /
    ) -> AggregationFunction[R, B, Result[B]]: ...


class _CollectionOutputDecorator(Protocol[Q_co]):
    """What ``aggregation`` returns if it has an ``output`` as well."""

    def __call__(self, function: Callable[[R, B], B], /) -> AggregationFunction[R, B, Q_co]: ...


Output: TypeAlias = Callable[[Any, A], Q | None] | Callable[[Any, A, Window], Q | None]
Collection: TypeAlias = type[list[Any]] | type[dict[Any, Any]] | type[set[Any]]


@overload
def aggregation(
    name: str,
    *,
    initial: Collection,
    merge: Callable[[Any, Any], object] | None = None,
    output: None = None,
    invert: Callable[[Any, Any], object] | None = None,
    commutative: bool = False,
) -> _CollectionDecorator: ...


@overload
def aggregation(
    name: str,
    *,
    initial: Collection,
    merge: Callable[[Any, Any], object] | None = None,
    output: Output[Any, Q],
    invert: Callable[[Any, Any], object] | None = None,
    commutative: bool = False,
) -> _CollectionOutputDecorator[Q]: ...


@overload
def aggregation(
    name: str,
    *,
    initial: Callable[[], A],
    merge: Callable[[A, A], object] | None = None,
    output: None = None,
    invert: Callable[[A, A], object] | None = None,
    commutative: bool = False,
) -> _Decorator[A]: ...


@overload
def aggregation(
    name: str,
    *,
    initial: Callable[[], A],
    merge: Callable[[A, A], object] | None = None,
    output: Output[A, Q],
    invert: Callable[[A, A], object] | None = None,
    commutative: bool = False,
) -> _OutputDecorator[A, Q]: ...


def aggregation(
    name: str,
    *,
    initial: Callable[[], Any],
    merge: Callable[[Any, Any], object] | None = None,
    output: Callable[..., Any] | None = None,
    invert: Callable[[Any, Any], object] | None = None,
    commutative: bool = False,
) -> Any:
    """Make an aggregation of ``f(record, accumulator)``, which returns the new accumulator.

    ``initial()`` returns the accumulator of no record. ``merge(one, other)`` returns that of both,
    of which ``one`` has the earlier records, and changes neither; sliding windows and sessions need
    it. ``output(key, accumulator)`` returns the result, or ``None`` for none; with a third
    parameter it gets the window. Without ``output`` the result has ``key``, ``value``, ``start``,
    ``end`` and ``kind``. ``invert(total, part)`` takes a part out again; it is checked, and no
    window uses it. ``commutative=True`` says
    that the order of records does not matter::

        @wallaroo.aggregation("revenue", initial=float, merge=operator.add)
        def revenue(order, so_far):
            return so_far + order["price"]
    """
    problems = [
        *name_problems(f"the name given to {AggregationFunction.decorator}", name),
        *function_problems(initial, f"initial of the aggregation {name!r}", ()),
        *_merge_problems(name, merge, invert),
        *_order_problems(name, merge, commutative=commutative),
        *_output_problems(f"output of the aggregation {name!r}", output),
    ]
    spec = AggregationSpec(
        name=str(name),
        initial=initial,
        update=initial,
        update_returns=True,
        merge=merge,
        output=output,
        output_takes_window=_takes(output, 3),
        invert=invert,
        is_commutative=commutative,
    )

    def decorate(function: Callable[[R, A], A]) -> AggregationFunction[R, A, Any]:
        return AggregationFunction(function, spec, problems)

    return decorate


def read_aggregation(given: object, place: SourceLocation) -> AggregationSpec:
    """Return what an aggregation computes.

    Raises ``WallarooParameterError`` with all mistakes of it, or if it is not an aggregation.
    """
    if isinstance(given, AggregationFunction | BuiltInAggregation):
        if given.mistakes:
            raise WallarooParameterError(given.mistakes)
        return given.spec
    if isinstance(given, type) and issubclass(given, Aggregation):
        given = _made(given, place)
    if isinstance(given, Aggregation):
        return _read_class(given, place)
    problem = Problem(
        f"the aggregation of over() is {named(given)}",
        "give one of wallaroo.aggregate, a function decorated with "
        f"{AggregationFunction.decorator}, or a class derived from wallaroo.Aggregation",
    )
    raise WallarooParameterError(problem.at(place))


def _made(kind: type[Aggregation[Any, Any]], place: SourceLocation) -> Aggregation[Any, Any]:
    try:
        return kind()
    except Exception as error:
        what = f"the aggregation {kind.__name__} cannot be made: {error_text(error)}"
        problem = Problem(what, f"give an object of it: over({kind.__name__}(...))")
        raise WallarooParameterError(problem.at(place)) from error


def _read_class(given: Aggregation[Any, Any], place: SourceLocation) -> AggregationSpec:
    kind = type(given)
    what = f"of the aggregation {kind.__name__}"
    problems = [
        *_missing(kind, "initial_accumulator"),
        *_missing(kind, "update"),
        *function_problems(given.initial_accumulator, f"initial_accumulator {what}", ()),
        *function_problems(given.update, f"update {what}", ("record", "accumulator")),
        *function_problems(given.combine, f"combine {what}", _MERGE_ARGUMENTS),
        *name_problems(f"the result of name() {what}", given.name()),
    ]
    merge = given.combine if _has_own(kind, "combine") else None
    if given.commutative and merge is None:
        fault = f"the aggregation {kind.__name__} is commutative but has no method combine()"
        problems.append(Problem(fault, "write one, or leave commutative out"))
    output = getattr(given, "output", None)
    problems += _output_problems(f"output {what}", output)
    if problems:
        raise WallarooParameterError([problem.at(place) for problem in problems])
    return AggregationSpec(
        name=given.name(),
        initial=given.initial_accumulator,
        update=given.update,
        update_returns=False,
        merge=merge,
        output=output,
        output_takes_window=_takes(output, 3),
        is_commutative=given.commutative,
    )


def _has_own(kind: type[Aggregation[Any, Any]], method: str) -> bool:
    return getattr(kind, method) is not getattr(Aggregation, method)


def _missing(kind: type[Aggregation[Any, Any]], method: str) -> Iterator[Problem]:
    if not _has_own(kind, method):
        yield Problem(f"the aggregation {kind.__name__} has no method {method}()", "write one")


def _merge_problems(name: object, merge: object, invert: object) -> Iterator[Problem]:
    if merge is not None:
        yield from function_problems(merge, f"merge of the aggregation {name!r}", _MERGE_ARGUMENTS)
    if invert is not None:
        what = f"invert of the aggregation {name!r}"
        yield from function_problems(invert, what, ("total", "part"))
        if merge is None:
            yield Problem(f"the aggregation {name!r} has invert but no merge", "give both")


def _order_problems(name: object, merge: object, *, commutative: bool) -> Iterator[Problem]:
    if commutative and merge is None:
        what = f"the aggregation {name!r} is commutative but has no merge"
        yield Problem(what, "give both, or neither")


def _output_problems(what: str, output: Callable[..., Any] | None) -> Iterator[Problem]:
    if output is None or _takes(output, 3):
        return
    yield from function_problems(output, what, ("key", "accumulator"))


def _takes(function: Callable[..., Any] | None, count: int) -> bool:
    """Return whether a function declares so many parameters without a default."""
    if not callable(function):
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        each
        for each in parameters
        if each.kind in positional and each.default is inspect.Parameter.empty
    ]
    return len(needed) == count
