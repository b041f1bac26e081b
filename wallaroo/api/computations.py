"""Decorators that turn functions into computations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, function_problems, name_problems
from wallaroo.api.resources import Resource, makers_of, resource_problems
from wallaroo.api.state_timing import NO_EXPIRY, ExpiryOptions, StateTiming
from wallaroo.durations import Duration
from wallaroo.function_names import short_name
from wallaroo.operators.context import Context
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.waiting import Waiting
from wallaroo.type_variables import Q, Q_co, S

P = ParamSpec("P")
R = TypeVar("R")
HandlerT = TypeVar("HandlerT", bound=Callable[[Any, Context], Any])
TtlClockName: TypeAlias = Literal["event", "wall"]
ListT = TypeVar("ListT", bound=list[Any] | None)


class _NamedComputation(Decorated[P, Q_co]):
    """The base of all kinds, with a name for metrics, messages and the plan."""

    def __init__(
        self,
        function: Callable[P, Q_co],
        name: str | None,
        resources: Mapping[str, object] | None = None,
        *,
        problems: Iterable[Problem] = (),
        waiting: Waiting | None = None,
    ) -> None:
        """``name`` is ``None`` if the decorator was written without one.

        ``resources`` are given to the function by keyword. ``waiting`` says how records wait for
        the computation, if they do.
        """
        self._resources: Mapping[str, object] = resources or {}
        found = [
            *_naming_problems(self.decorator, name),
            *problems,
            *resource_problems(self.decorator, self._resources),
        ]
        super().__init__(function, found)
        self._name = short_name(function) if name is None else str(name)
        self.waiting: Waiting | None = waiting
        for each in self._resources.values():
            self._share_mistakes(each)

    def name(self) -> str:
        """Return the name given to the decorator."""
        return self._name

    @property
    def resources(self) -> tuple[tuple[str, ResourceMaker], ...]:
        """What the function gets by keyword."""
        return makers_of(self._resources)

    def timing(self) -> KeyedTiming | None:
        """Return what a state computation does by time."""
        return None

    def _keywords(self) -> tuple[str, ...]:
        return (*self._resources,)

    def _label(self) -> str:
        return f"{self._name!r} ({super()._label()})"


class Computation(_NamedComputation[P, Q_co]):
    """A stateless computation: ``f(record)`` returns a record, or ``None`` to filter it out."""

    decorator: ClassVar[str] = "@wallaroo.computation(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class ComputationMulti(_NamedComputation[P, Q_co]):
    """A stateless computation with many results: ``f(record)`` returns a list, or ``None``."""

    decorator: ClassVar[str] = "@wallaroo.computation_multi(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def compute_multi(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class _StateComputation(_NamedComputation[P, Q_co]):
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

    def on_timer(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Call ``f(state, ctx)`` when a timer is due that ``ctx.set_timer`` has set.

        It returns what the computation returns. ``ctx.time`` is the time of the timer.
        """
        return self._handler("on_timer", name)

    def on_alarm(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Call ``f(state, ctx)`` when an alarm is due that ``ctx.set_alarm`` has set.

        It returns what the computation returns.
        """
        return self._handler("on_alarm", name)

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


class StateComputation(_StateComputation[P, Q_co]):
    """A computation with state: ``f(record, state)`` returns ``(record or None, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``. A third parameter gets a ``wallaroo.Context``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation(name)"

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class StateComputationMulti(_StateComputation[P, Q_co]):
    """A computation with state and many results: ``f(record, state)`` returns ``(list, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``. A third parameter gets a ``wallaroo.Context``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation_multi(name)"

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

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class OwnStateComputationMulti(_OwnState[P, Q_co]):
    """A computation with a state of its own and many results: it returns a list, or ``None``.

    Every call counts as a change of the state. ``(list or None, wallaroo.DELETE)`` deletes it.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation_multi(name, state)"

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
def computation(name: str) -> Callable[[Callable[P, Q_co]], Computation[P, Q_co]]: ...


@overload
def computation(
    name: str, **resources: Resource[Any]
) -> Callable[[Callable[..., Q_co]], Computation[..., Q_co]]: ...


def computation(name: str, **resources: Resource[Any]) -> Any:
    """Make a stateless computation of ``f(record)``; a result of ``None`` filters the record."""
    if callable(name):
        return Computation(cast("Callable[..., Any]", name), None)

    def decorate(function: Callable[P, Q_co]) -> Computation[P, Q_co]:
        return Computation(function, name, resources)

    return decorate


@overload
def computation_multi(name: str) -> Callable[[Callable[P, ListT]], ComputationMulti[P, ListT]]: ...


@overload
def computation_multi(
    name: str, **resources: Resource[Any]
) -> Callable[[Callable[..., ListT]], ComputationMulti[..., ListT]]: ...


def computation_multi(name: str, **resources: Resource[Any]) -> Any:
    """Make a computation of ``f(record)`` that returns a list; each item becomes a record."""
    if callable(name):
        return ComputationMulti(cast("Callable[..., Any]", name), None)

    def decorate(function: Callable[P, ListT]) -> ComputationMulti[P, ListT]:
        return ComputationMulti(function, name, resources)

    return decorate


@overload
def state_computation(
    name: str,
    state: Callable[[], S],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
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
    state: Callable[[], Any],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
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

    With ``ttl`` a key is forgotten once no record has touched it for so long, and before 1.25 times
    that. It goes by event time if the records have one, and otherwise by the wall clock, or by
    ``ttl_clock``. ``on_expire(key, state)`` may return a last result, or a list of them from a
    multi computation. With ``exact=True`` a record finds no state that was touched ``ttl`` of event
    time before it, or earlier.
    """
    if callable(name):
        return StateComputation(name, None)

    expiry = ExpiryOptions(ttl, ttl_clock, exact, on_expire)

    def decorate(function: Callable[P, Q_co]) -> _NamedComputation[P, Q_co]:
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
    on_expire: Callable[[Any, Any], Any] | None = None,
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
    state: Callable[[], Any],
    *,
    ttl: Duration | None = None,
    ttl_clock: TtlClockName | None = None,
    exact: bool = False,
    on_expire: Callable[[Any, Any], Any] | None = None,
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

    def decorate(function: Callable[P, Q_co]) -> _NamedComputation[P, Q_co]:
        if state is None:
            return StateComputationMulti(function, name, resources, expiry=expiry)
        return OwnStateComputationMulti(function, name, state, resources, expiry=expiry)

    return decorate


def _state_problems(decorator: str, state: object) -> Iterator[Problem]:
    yield from function_problems(state, f"the state given to {decorator}", ())


def _naming_problems(decorator: str, name: object) -> Iterable[Problem]:
    if name is None:
        bare = decorator.removesuffix("(name)")
        yield Problem(f"{bare} is written without a name", f'write {bare}("what it does")')
    else:
        yield from name_problems(f"the name given to {decorator}", name)
