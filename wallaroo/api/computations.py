"""Decorators that turn functions into computations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, ParamSpec, TypeVar, cast, overload

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, function_problems, name_problems
from wallaroo.api.resources import Resource, makers_of, resource_problems
from wallaroo.function_names import short_name
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.waiting import Waiting
from wallaroo.type_variables import Q, Q_co, S

P = ParamSpec("P")
R = TypeVar("R")
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


class StateComputation(_NamedComputation[P, Q_co]):
    """A computation with state: ``f(record, state)`` returns ``(record or None, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record", "state")

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class StateComputationMulti(_NamedComputation[P, Q_co]):
    """A computation with state and many results: ``f(record, state)`` returns ``(list, change)``.

    ``change`` is a bool or ``wallaroo.DELETE``.
    """

    decorator: ClassVar[str] = "@wallaroo.state_computation_multi(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record", "state")

    def compute_multi(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class _OwnState(_NamedComputation[P, Q_co]):
    """The base of state computations that bring the class of their state."""

    arguments: ClassVar[tuple[str, ...]] = ("record", "state")

    def __init__(
        self,
        function: Callable[P, Q_co],
        name: str | None,
        state: Callable[[], Any],
        resources: Mapping[str, object] | None = None,
    ) -> None:
        problems = _state_problems(self.decorator, state)
        super().__init__(function, name, resources, problems=problems)
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
    name: str, state: Callable[[], S]
) -> Callable[[Callable[[R, S], Q]], OwnStateComputation[[R, S], Q]]: ...


@overload
def state_computation(
    name: str, state: None = None
) -> Callable[[Callable[P, Q_co]], StateComputation[P, Q_co]]: ...


@overload
def state_computation(
    name: str, state: Callable[[], Any], **resources: Resource[Any]
) -> Callable[[Callable[..., Q]], OwnStateComputation[..., Q]]: ...


@overload
def state_computation(
    name: str, state: None = None, **resources: Resource[Any]
) -> Callable[[Callable[..., Q_co]], StateComputation[..., Q_co]]: ...


def state_computation(
    name: str, state: Callable[[], Any] | None = None, **resources: Resource[Any]
) -> Any:
    """Make a computation of ``f(record, state)``, which changes ``state`` in place.

    It returns ``(result, state_changed)``; a result of ``None`` emits nothing. With
    ``wallaroo.DELETE`` instead of ``state_changed``, the state of the record's key is deleted. Such
    a computation is for ``to_stateful`` and ``to_state_partition``.

    With ``state``, a class or another function that makes a state object, the computation returns
    just the result, and every call counts as a change. It is for ``to``, and each use has a state
    of its own: one object for each key of ``key_by``. ``(result, wallaroo.DELETE)`` deletes the
    state of the record's key.
    """
    if callable(name):
        return StateComputation(name, None)

    def decorate(function: Callable[P, Q_co]) -> _NamedComputation[P, Q_co]:
        if state is None:
            return StateComputation(function, name, resources)
        return OwnStateComputation(function, name, state, resources)

    return decorate


@overload
def state_computation_multi(
    name: str, state: Callable[[], S]
) -> Callable[[Callable[[R, S], Q]], OwnStateComputationMulti[[R, S], Q]]: ...


@overload
def state_computation_multi(
    name: str, state: None = None
) -> Callable[[Callable[P, Q_co]], StateComputationMulti[P, Q_co]]: ...


@overload
def state_computation_multi(
    name: str, state: Callable[[], Any], **resources: Resource[Any]
) -> Callable[[Callable[..., Q]], OwnStateComputationMulti[..., Q]]: ...


@overload
def state_computation_multi(
    name: str, state: None = None, **resources: Resource[Any]
) -> Callable[[Callable[..., Q_co]], StateComputationMulti[..., Q_co]]: ...


def state_computation_multi(
    name: str, state: Callable[[], Any] | None = None, **resources: Resource[Any]
) -> Any:
    """Make a computation of ``f(record, state)`` that returns ``(list of results, state_changed)``.

    Each result becomes a record of its own, in the order of the list. With ``wallaroo.DELETE``
    instead of ``state_changed``, the state of the record's key is deleted.

    With ``state`` it returns just the list, or ``(list, wallaroo.DELETE)``, and every call counts
    as a change, as described for ``state_computation``.
    """
    if callable(name):
        return StateComputationMulti(name, None)

    def decorate(function: Callable[P, Q_co]) -> _NamedComputation[P, Q_co]:
        if state is None:
            return StateComputationMulti(function, name, resources)
        return OwnStateComputationMulti(function, name, state, resources)

    return decorate


def _state_problems(decorator: str, state: object) -> Iterator[Problem]:
    yield from function_problems(state, f"the state given to {decorator}", ())


def _naming_problems(decorator: str, name: object) -> Iterable[Problem]:
    if name is None:
        bare = decorator.removesuffix("(name)")
        yield Problem(f"{bare} is written without a name", f'write {bare}("what it does")')
    else:
        yield from name_problems(f"the name given to {decorator}", name)
