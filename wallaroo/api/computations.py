"""Decorators that turn functions into computations."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, ParamSpec, cast

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, name_problems
from wallaroo.function_names import short_name
from wallaroo.type_variables import Q_co

P = ParamSpec("P")


class _NamedComputation(Decorated[P, Q_co]):
    """The base of the four kinds, with a name for metrics, messages and the plan."""

    def __init__(self, function: Callable[P, Q_co], name: str | None) -> None:
        """``name`` is ``None`` if the decorator was written without one."""
        super().__init__(function, _naming_problems(self.decorator, name))
        self._name = short_name(function) if name is None else str(name)

    def name(self) -> str:
        """Return the name given to the decorator."""
        return self._name

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


def computation(name: str) -> Callable[[Callable[P, Q_co]], Computation[P, Q_co]]:
    """Make a stateless computation of ``f(record)``; a result of ``None`` filters the record."""
    if callable(name):
        forgot = Computation(cast("Callable[..., Any]", name), None)
        return cast("Callable[[Callable[P, Q_co]], Computation[P, Q_co]]", forgot)

    def decorate(function: Callable[P, Q_co]) -> Computation[P, Q_co]:
        return Computation(function, name)

    return decorate


def computation_multi(name: str) -> Callable[[Callable[P, Q_co]], ComputationMulti[P, Q_co]]:
    """Make a computation of ``f(record)`` that returns a list; each item becomes a record."""
    if callable(name):
        forgot = ComputationMulti(cast("Callable[..., Any]", name), None)
        return cast("Callable[[Callable[P, Q_co]], ComputationMulti[P, Q_co]]", forgot)

    def decorate(function: Callable[P, Q_co]) -> ComputationMulti[P, Q_co]:
        return ComputationMulti(function, name)

    return decorate


def state_computation(name: str) -> Callable[[Callable[P, Q_co]], StateComputation[P, Q_co]]:
    """Make a computation of ``f(record, state)``, which changes ``state`` in place.

    It returns ``(result, state_changed)``; a result of ``None`` emits nothing. With
    ``wallaroo.DELETE`` instead of ``state_changed``, the state of the record's key is deleted.
    """
    if callable(name):
        forgot = StateComputation(cast("Callable[..., Any]", name), None)
        return cast("Callable[[Callable[P, Q_co]], StateComputation[P, Q_co]]", forgot)

    def decorate(function: Callable[P, Q_co]) -> StateComputation[P, Q_co]:
        return StateComputation(function, name)

    return decorate


def state_computation_multi(
    name: str,
) -> Callable[[Callable[P, Q_co]], StateComputationMulti[P, Q_co]]:
    """Make a computation of ``f(record, state)`` that returns ``(list of results, state_changed)``.

    Each result becomes a record of its own, in the order of the list. With ``wallaroo.DELETE``
    instead of ``state_changed``, the state of the record's key is deleted.
    """
    if callable(name):
        forgot = StateComputationMulti(cast("Callable[..., Any]", name), None)
        return cast("Callable[[Callable[P, Q_co]], StateComputationMulti[P, Q_co]]", forgot)

    def decorate(function: Callable[P, Q_co]) -> StateComputationMulti[P, Q_co]:
        return StateComputationMulti(function, name)

    return decorate


def _naming_problems(decorator: str, name: object) -> Iterable[Problem]:
    if name is None:
        bare = decorator.removesuffix("(name)")
        yield Problem(f"{bare} is written without a name", f'write {bare}("what it does")')
    else:
        yield from name_problems(f"the name given to {decorator}", name)
