"""Computations at which records wait: in batches for one call, or for an answer from outside."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, Generic, Literal, TypeAlias

from wallaroo.api.computations import NamedComputation
from wallaroo.api.inspection import (
    COROUTINE,
    PLAIN,
    FunctionKind,
    Problem,
    function_kind,
    function_problems,
    named,
    read_duration,
)
from wallaroo.api.resources import Resource
from wallaroo.durations import Duration, milliseconds, seconds
from wallaroo.topology.waiting import Order, Runs, Waiting
from wallaroo.type_variables import Q, Q_co, R_contra

NANOSECONDS = 1e9
TIMEOUT: Duration = seconds(5)
BACKOFF: Duration = milliseconds(100)
MAX_WAIT: Duration = milliseconds(5)
RETRIES = 3
OrderName: TypeAlias = Literal["key", "all", "none"]

Results = Iterable[Q_co | None]


class ComputationAsync(
    NamedComputation[[R_contra], Awaitable[Q_co | None]], Generic[R_contra, Q_co]
):
    """A computation that waits for an answer: a coroutine function ``f(record)``."""

    decorator: ClassVar[str] = "@wallaroo.computation_async(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)
    kinds: ClassVar[frozenset[FunctionKind]] = COROUTINE

    def compute(self, record: R_contra, /) -> Q_co | None:
        """Return the result for a record; for calls in a test that wait for nothing."""
        return _result_of(self(record))


class ComputationBatch(
    NamedComputation[[list[R_contra]], Results[Q_co] | Awaitable[Results[Q_co]]],
    Generic[R_contra, Q_co],
):
    """A computation of many records in one call: ``f(records)`` returns a result for each."""

    decorator: ClassVar[str] = "@wallaroo.computation_batch(name)"
    arguments: ClassVar[tuple[str, ...]] = ("records",)
    kinds: ClassVar[frozenset[FunctionKind]] = PLAIN | COROUTINE

    def compute(self, record: R_contra, /) -> Q_co | None:
        """Return the result for a record that is a batch of its own."""
        returned = self([record])
        results = _result_of(returned) if isinstance(returned, Awaitable) else returned
        (result,) = results
        return result


def computation_async(
    name: str,
    *,
    capacity: int = 100,
    timeout: Duration = TIMEOUT,
    retries: int = RETRIES,
    backoff: Duration = BACKOFF,
    retry_on: tuple[type[BaseException], ...] = (OSError,),
    order: OrderName | None = None,
    on_timeout: Callable[[Any], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Awaitable[Q | None]]], ComputationAsync[Any, Q]]:
    """Make a computation of the coroutine function ``f(record)``, which may wait for an answer.

    Records go on meanwhile. Each worker has at most ``capacity`` records here, and takes no more
    until one has left. A call that raises one of ``retry_on`` is made again, at most ``retries``
    times, after ``backoff``, then twice that, and so on. All that takes at most ``timeout``; then
    the call is cancelled. A record that fails is a dead letter; one that takes too long is one too,
    or goes on with the result of ``on_timeout(record)``.

    Results leave in the ``order`` of their records: ``"key"`` keeps it for each key, ``"all"`` for
    all records, and ``"none"`` lets them leave as they come. The default is ``"key"`` if records
    have a key here, and otherwise ``"all"``.

    Records that are here are in checkpoints. After a recovery they are asked again, so the outside
    sees each call at least once. ``f`` must not change its record before its last ``await``, since
    a checkpoint may save the record meanwhile.
    """

    if callable(name):
        return ComputationAsync(name, None)  # type: ignore[return-value]  # written without a name

    def decorate(function: Callable[..., Awaitable[Q | None]]) -> ComputationAsync[Any, Q]:
        options = _Options()
        options.count("capacity", capacity)
        options.calls(timeout, retries, backoff, retry_on, order, on_timeout)
        waiting = Waiting(runs=Runs.AS_TASK, **options.read)
        problems = options.problems
        return ComputationAsync(function, name, resources, problems=problems, waiting=waiting)

    return decorate


def computation_batch(  # noqa: PLR0913  all but the first have names
    name: str,
    *,
    max_size: int = 64,
    max_wait: Duration = MAX_WAIT,
    in_thread: bool = False,
    capacity: int | None = None,
    timeout: Duration | None = None,
    retries: int | None = None,
    backoff: Duration | None = None,
    retry_on: tuple[type[BaseException], ...] | None = None,
    order: OrderName | None = None,
    on_timeout: Callable[[Any], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Any]], ComputationBatch[Any, Any]]:
    """Make a computation of ``f(records)``, which gets a list and returns a result for each.

    A batch has up to ``max_size`` records, which wait for each other at most ``max_wait``; with 0
    they wait for nothing, and a batch is what is there. A result of ``None`` filters its record. If
    ``f`` raises, each record of the batch is tried alone, in a list of one, and only those that
    fail again are dead letters. Another number of results makes all records of the batch dead
    letters.

    With ``in_thread`` the function is called in a thread, one batch at a time, while records go on.
    If ``f`` is a coroutine function, its calls have the parameters of ``computation_async``.
    """

    if callable(name):
        return ComputationBatch(name, None)  # type: ignore[return-value]  # written without a name

    calls: dict[str, Any] = {
        "timeout": timeout,
        "retries": retries,
        "backoff": backoff,
        "retry_on": retry_on,
        "order": order,
        "on_timeout": on_timeout,
    }

    def decorate(function: Callable[..., Any]) -> ComputationBatch[Any, Any]:
        options = _batch_options(function, max_size, max_wait, in_thread, capacity, calls)
        waiting = Waiting(**options.read)
        return ComputationBatch(
            function, name, resources, problems=options.problems, waiting=waiting
        )

    return decorate


_CALLS: dict[str, Any] = {
    "timeout": TIMEOUT,
    "retries": RETRIES,
    "backoff": BACKOFF,
    "retry_on": (OSError,),
    "order": None,
    "on_timeout": None,
}
"""What holds for calls if the application does not say it."""


def _batch_options(
    function: object,
    max_size: object,
    max_wait: object,
    in_thread: bool,
    capacity: int | None,
    calls: dict[str, Any],
) -> "_Options":
    options = _Options()
    options.count("max_size", max_size, "batch_max")
    options.duration("max_wait", max_wait)
    given = {parameter: value for parameter, value in calls.items() if value is not None}
    if callable(function) and function_kind(function) is FunctionKind.COROUTINE:
        runs = Runs.AS_TASK
        options.refuse_thread(in_thread)
        options.calls(**_CALLS | given)
    else:
        runs = Runs.IN_THREAD if in_thread else Runs.AT_ONCE
        options.read["order"] = Order.ALL
        options.refuse(given)
    options.read["runs"] = runs
    if runs is not Runs.AT_ONCE:
        limit = _capacity(runs, max_size) if capacity is None else capacity
        options.count("capacity", limit)
    return options


def _capacity(runs: Runs, max_size: object) -> int:
    """Return how many records may wait if the application does not say it."""
    size = max_size if isinstance(max_size, int) and max_size > 0 else 1
    return max(100, size) if runs is Runs.AS_TASK else 2 * size


def _result_of(awaitable: Awaitable[Q]) -> Q:
    """Return the result of a call that waits for nothing."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: Q = end.value
        return result
    raise TypeError("the call waits for something; await the function itself in a test")


class _Options:
    """Reads the parameters of a decorator, and notes what is wrong with them."""

    def __init__(self) -> None:
        self.read: dict[str, Any] = {}
        self.problems: list[Problem] = []

    def _wrong(self, parameter: str, value: object, remedy: str) -> None:
        self.problems.append(Problem(f"{parameter} is {named(value)}", remedy))

    def count(self, parameter: str, value: object, field: str = "", *, least: int = 1) -> None:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            self.read[field or parameter] = value
        else:
            self.read[field or parameter] = least
            self._wrong(parameter, value, f"give a whole number from {least} on")

    def duration(self, parameter: str, value: object, *, minimum_ns: int = 0) -> None:
        length_ns, problems = read_duration(parameter, value, minimum_ns=minimum_ns)
        self.problems += problems
        self.read[f"{parameter}_s"] = length_ns / NANOSECONDS

    def calls(
        self,
        timeout: object,
        retries: object,
        backoff: object,
        retry_on: object,
        order: object,
        on_timeout: object,
    ) -> None:
        self.duration("timeout", timeout, minimum_ns=1)
        self.count("retries", retries, least=0)
        self.duration("backoff", backoff)
        classes = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        if all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
            self.read["retry_on"] = classes
        else:
            self._wrong("retry_on", retry_on, "give a tuple of exception classes")
        self.read["on_timeout"] = on_timeout
        if on_timeout is not None:
            self.problems += function_problems(on_timeout, "on_timeout", ("record",))
        if order is None:
            self.read["order"] = None
        elif order in ("key", "all", "none"):
            self.read["order"] = Order(order)
        else:
            self._wrong("order", order, 'give "key", "all" or "none", or leave it out')

    def refuse(self, parameters: Iterable[str]) -> None:
        for parameter in sorted(parameters):
            self.problems.append(
                Problem(
                    f"{parameter} is given, but the function is not a coroutine function",
                    f"write async def, or remove {parameter}",
                )
            )

    def refuse_thread(self, in_thread: bool) -> None:
        if in_thread:
            self.problems.append(
                Problem(
                    "in_thread is given, but the function is a coroutine function",
                    "remove in_thread: calls run on the event loop of the worker",
                )
            )
