"""Decorators that turn functions into computations with state, and their timers and alarms."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from wallaroo.api.computations import NamedComputation
from wallaroo.api.inspection import Problem, function_problems
from wallaroo.api.resources import Resource
from wallaroo.api.state_timing import NO_EXPIRY, ExpiryOptions, StateTiming
from wallaroo.durations import Duration
from wallaroo.function_names import short_name
from wallaroo.operators.context import Context
from wallaroo.operators.results import Delete
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.type_variables import Q, Q_co, S

P = ParamSpec("P")
R = TypeVar("R")
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
TtlClockName: TypeAlias = Literal["event", "wall"]

# What computations return, and so do the functions of their timers and alarms.
Pair: TypeAlias = tuple[Q | None, bool | Delete]
ListPair: TypeAlias = tuple[list[Q] | list[Q | None] | None, bool | Delete]
Own: TypeAlias = Q | tuple[Q | None, Delete] | None
OwnList: TypeAlias = (
    list[Q] | list[Q | None] | tuple[list[Q] | list[Q | None] | None, Delete] | None
)
Step: TypeAlias = Callable[[Any, S, Context], Q]
"""A computation that takes a context; as the type of ``self``, it gives its state and results to
the functions of its timers. One that returns nothing does not say what these may return."""
Due: TypeAlias = Callable[[Callable[[S, Context], Q]], Callable[[S, Context], Q]]
"""What ``on_timer`` and ``on_alarm`` return for type checkers."""


class _StateComputation(NamedComputation[P, Q_co]):
    """The base of all computations with state: they may have a context, timers and alarms."""

    arguments: ClassVar[tuple[str, ...]] = ("record", "state")

    def __init__(
        self,
        function: Callable[P, Q_co],
        name: str | None,
        resources: Mapping[str, object] | None = None,
        *,
        problems: Iterable[Problem] = (),
        expiry: ExpiryOptions = NO_EXPIRY,
    ) -> None:
        self._timing = StateTiming(function, (*(resources or {}),), expiry)
        problems = [*problems, *expiry.problems(self.decorator)]
        super().__init__(function, name, resources, problems=problems)

    def _handler(self, method: str, name: str) -> Callable[[HandlerT], HandlerT]:
        def add(function: HandlerT) -> HandlerT:
            mistakes = self._timing.add(method, name, function, self._name)
            self.mistakes = (*self.mistakes, *mistakes)
            return function

        return add

    def timing(self) -> KeyedTiming | None:
        """Return what was declared of timers, alarms and expiry; it is complete by now.

        Raises ``WallarooParameterError`` if a timer is set that has no function.
        """
        return self._timing.read(short_name(self.function))

    def _arguments(self) -> tuple[str, ...]:
        return (*self.arguments, "ctx") if self._timing.takes_context else self.arguments


def _due(computation: Any, method: str, name: str) -> Callable[[HandlerT], HandlerT]:
    """Return a decorator; for type checkers, ``computation`` is just something to call."""
    return cast("_StateComputation[..., Any]", computation)._handler(method, name)


class StateComputation(_StateComputation[P, Q_co]):
    """A computation with state: ``f(record, state)`` returns ``(record or None, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``. A third parameter gets a ``wallaroo.Context``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation(name)"

    def on_timer(self: Step[S, Pair[Q]], name: str) -> Due[S, Pair[Q]]:  # type: ignore[misc]
        """Call ``f(state, ctx)`` when a timer is due that ``ctx.set_timer(name, at)`` has set.

        It returns what the computation returns. ``ctx.time`` is the time of the timer.
        """
        return _due(self, "on_timer", name)

    def on_alarm(self: Step[S, Pair[Q]], name: str) -> Due[S, Pair[Q]]:  # type: ignore[misc]
        """Call ``f(state, ctx)`` when an alarm is due that ``ctx.set_alarm(name, after)`` has set.

        It returns what the computation returns.
        """
        return _due(self, "on_alarm", name)

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class StateComputationMulti(_StateComputation[P, Q_co]):
    """A computation with state and many results: ``f(record, state)`` returns ``(list, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``. A third parameter gets a ``wallaroo.Context``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation_multi(name)"

    def on_timer(self: Step[S, ListPair[Q]], name: str) -> Due[S, ListPair[Q]]:  # type: ignore[misc]
        """Call ``f(state, ctx)`` when a timer is due that ``ctx.set_timer(name, at)`` has set.

        It returns what the computation returns. ``ctx.time`` is the time of the timer.
        """
        return _due(self, "on_timer", name)

    def on_alarm(self: Step[S, ListPair[Q]], name: str) -> Due[S, ListPair[Q]]:  # type: ignore[misc]
        """Call ``f(state, ctx)`` when an alarm is due that ``ctx.set_alarm(name, after)`` has set.

        It returns what the computation returns.
        """
        return _due(self, "on_alarm", name)

    def compute_multi(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class _OwnState(_StateComputation[P, Q_co]):
    """The base of state computations that bring the class of their state."""

    def __init__(
        self,
        function: Callable[P, Q_co],
        name: str | None,
        state: Callable[[], Any],
        resources: Mapping[str, object] | None = None,
        *,
        expiry: ExpiryOptions = NO_EXPIRY,
    ) -> None:
        problems = _state_problems(self.decorator, state)
        super().__init__(function, name, resources, problems=problems, expiry=expiry)
        self.state_class = state

    def initial_state(self) -> Any:
        """Return a new state object."""
        return self.state_class()


class OwnStateComputation(_OwnState[P, Q_co]):
    """A computation with a state of its own: ``f(record, state)`` returns a record, or ``None``.

    Every call counts as a change of the state. ``(record or None, wallaroo.DELETE)`` deletes it.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation(name, state)"

    @overload
    def on_timer(self: Step[S, None], name: str) -> Due[S, Any]: ...  # type: ignore[misc]
    @overload
    def on_timer(self: Step[S, Own[Q]], name: str) -> Due[S, Own[Q]]: ...  # type: ignore[misc]
    def on_timer(self, name: str) -> Any:
        """Call ``f(state, ctx)`` when a timer is due that ``ctx.set_timer(name, at)`` has set.

        It returns what the computation returns. ``ctx.time`` is the time of the timer.
        """
        return _due(self, "on_timer", name)

    @overload
    def on_alarm(self: Step[S, None], name: str) -> Due[S, Any]: ...  # type: ignore[misc]
    @overload
    def on_alarm(self: Step[S, Own[Q]], name: str) -> Due[S, Own[Q]]: ...  # type: ignore[misc]
    def on_alarm(self, name: str) -> Any:
        """Call ``f(state, ctx)`` when an alarm is due that ``ctx.set_alarm(name, after)`` has set.

        It returns what the computation returns.
        """
        return _due(self, "on_alarm", name)

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class OwnStateComputationMulti(_OwnState[P, Q_co]):
    """A computation with a state of its own and many results: it returns a list, or ``None``.

    Every call counts as a change of the state. ``(list or None, wallaroo.DELETE)`` deletes it.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation_multi(name, state)"

    @overload
    def on_timer(self: Step[S, None], name: str) -> Due[S, Any]: ...  # type: ignore[misc]
    @overload
    def on_timer(self: Step[S, OwnList[Q]], name: str) -> Due[S, OwnList[Q]]: ...  # type: ignore[misc]
    def on_timer(self, name: str) -> Any:
        """Call ``f(state, ctx)`` when a timer is due that ``ctx.set_timer(name, at)`` has set.

        It returns what the computation returns. ``ctx.time`` is the time of the timer.
        """
        return _due(self, "on_timer", name)

    @overload
    def on_alarm(self: Step[S, None], name: str) -> Due[S, Any]: ...  # type: ignore[misc]
    @overload
    def on_alarm(self: Step[S, OwnList[Q]], name: str) -> Due[S, OwnList[Q]]: ...  # type: ignore[misc]
    def on_alarm(self, name: str) -> Any:
        """Call ``f(state, ctx)`` when an alarm is due that ``ctx.set_alarm(name, after)`` has set.

        It returns what the computation returns.
        """
        return _due(self, "on_alarm", name)

    def compute_multi(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class _OwnStateSingleDecorator(Protocol[S]):
    """What ``state_computation(name, state)`` returns: the state is that of the function."""

    @overload
    def __call__(
        self, function: Callable[[R, S, Context], Q], /
    ) -> OwnStateComputation[[R, S, Context], Q]: ...
    @overload
    def __call__(self, function: Callable[[R, S], Q], /) -> OwnStateComputation[[R, S], Q]: ...


class _OwnStateMultiDecorator(Protocol[S]):
    """What ``state_computation_multi(name, state)`` returns."""

    @overload
    def __call__(
        self, function: Callable[[R, S, Context], Q], /
    ) -> OwnStateComputationMulti[[R, S, Context], Q]: ...
    @overload
    def __call__(self, function: Callable[[R, S], Q], /) -> OwnStateComputationMulti[[R, S], Q]: ...


@overload
def state_computation(
    name: str,
    state: Callable[[], S],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, S], Any] | None = None,
) -> _OwnStateSingleDecorator[S]: ...


@overload
def state_computation(
    name: str,
    state: None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
) -> Callable[[Callable[P, Q_co]], StateComputation[P, Q_co]]: ...


@overload
def state_computation(
    name: str,
    state: Callable[[], S],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, S], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Q]], OwnStateComputation[..., Q]]: ...


@overload
def state_computation(
    name: str,
    state: None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Q_co]], StateComputation[..., Q_co]]: ...


def state_computation(
    name: str,
    state: Callable[[], Any] | None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
    **resources: Resource[Any],
) -> Any:
    """Make a computation of ``f(record, state)``, which changes ``state`` in place.

    It returns ``(result, state_changed)``; a result of ``None`` emits nothing. With
    ``wallaroo.DELETE`` instead of ``state_changed``, the state of the record's key is deleted. Such
    a computation is for ``to_stateful`` and ``to_state_partition``.

    With ``state``, a class or another function that makes a state object, the computation returns
    just the result, and every call counts as a change. It is for ``to``, and each use has a state
    of its own: one object for each key of ``key_by``. ``(result, wallaroo.DELETE)`` deletes the
    state of the record's key.

    If ``f`` declares a third parameter, it gets a ``wallaroo.Context``, which sets timers and
    alarms. The functions of ``on_timer`` and ``on_alarm`` are called when these are due.

    With ``ttl`` a key is forgotten if no record touches it: at the earliest after ``ttl``, and
    before 1.25 times that. It goes by event time if the records have one, and otherwise by the wall
    clock, or by ``ttl_clock``. ``on_expire(key, state)`` may return a last result, or a list of
    them from a multi computation. With ``exact=True`` a record finds no state that was touched
    ``ttl`` of event time before it, or earlier.
    """
    if callable(name):
        return StateComputation(name, None)

    expiry = ExpiryOptions(ttl, ttl_clock, exact, on_expire)

    def decorate(function: Callable[P, Q_co]) -> NamedComputation[P, Q_co]:
        if state is None:
            return StateComputation(function, name, resources, expiry=expiry)
        return OwnStateComputation(function, name, state, resources, expiry=expiry)

    return decorate


@overload
def state_computation_multi(
    name: str,
    state: Callable[[], S],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, S], Any] | None = None,
) -> _OwnStateMultiDecorator[S]: ...


@overload
def state_computation_multi(
    name: str,
    state: None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
) -> Callable[[Callable[P, Q_co]], StateComputationMulti[P, Q_co]]: ...


@overload
def state_computation_multi(
    name: str,
    state: Callable[[], S],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, S], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Q]], OwnStateComputationMulti[..., Q]]: ...


@overload
def state_computation_multi(
    name: str,
    state: None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
    **resources: Resource[Any],
) -> Callable[[Callable[..., Q_co]], StateComputationMulti[..., Q_co]]: ...


def state_computation_multi(
    name: str,
    state: Callable[[], Any] | None = None,
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
    **resources: Resource[Any],
) -> Any:
    """Make a computation of ``f(record, state)`` that returns ``(list of results, state_changed)``.

    Each result becomes a record of its own, in the order of the list. With ``wallaroo.DELETE``
    instead of ``state_changed``, the state of the record's key is deleted.

    With ``state`` it returns just the list, or ``(list, wallaroo.DELETE)``, and every call counts
    as a change. That, the context and ``ttl`` are described for ``state_computation``.
    """
    if callable(name):
        return StateComputationMulti(name, None)

    expiry = ExpiryOptions(ttl, ttl_clock, exact, on_expire)

    def decorate(function: Callable[P, Q_co]) -> NamedComputation[P, Q_co]:
        if state is None:
            return StateComputationMulti(function, name, resources, expiry=expiry)
        return OwnStateComputationMulti(function, name, state, resources, expiry=expiry)

    return decorate


def _state_problems(decorator: str, state: object) -> Iterator[Problem]:
    yield from function_problems(state, f"the state given to {decorator}", ())
