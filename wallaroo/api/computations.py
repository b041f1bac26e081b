"""Decorators that turn functions into computations without state, and what all kinds have."""

from collections.abc import Callable, Iterable, Mapping
from typing import (
    Any,
    ClassVar,
    ParamSpec,
    TypeVar,
    cast,
    overload,
)

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, name_problems
from wallaroo.api.resources import Resource, makers_of, resource_problems
from wallaroo.function_names import short_name
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.waiting import Waiting
from wallaroo.type_variables import Q_co

P = ParamSpec("P")
ListT = TypeVar("ListT", bound=list[Any] | None)


class NamedComputation(Decorated[P, Q_co]):
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


class Computation(NamedComputation[P, Q_co]):
    """A stateless computation: ``f(record)`` returns a record, or ``None`` to filter it out."""

    decorator: ClassVar[str] = "@wallaroo.computation(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def compute(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class ComputationMulti(NamedComputation[P, Q_co]):
    """A stateless computation with many results: ``f(record)`` returns a list, or ``None``."""

    decorator: ClassVar[str] = "@wallaroo.computation_multi(name)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

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


def _naming_problems(decorator: str, name: object) -> Iterable[Problem]:
    if name is None:
        bare = decorator.removesuffix("(name)")
        yield Problem(f"{bare} is written without a name", f'write {bare}("what it does")')
    else:
        yield from name_problems(f"the name given to {decorator}", name)
