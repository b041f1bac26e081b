"""Calls without the arguments that they need: mistakes that ``build`` reports, as all others."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from wallaroo.api.inspection import Problem

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Wrong = Callable[[Any, str, Problem], Any]
"""Returns what a method of an object returns if its call has this problem."""


def problem_of_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Problem | None:
    """Return what is wrong with the arguments of a call, if they do not fit."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        names = [
            f"{'*' if each.kind is each.VAR_POSITIONAL else ''}{each.name}"
            for each in signature.parameters.values()
            if each.name not in ("self", "cls")
        ]
        name, text = function.__name__, str(error)
        verb = "is " if text.startswith("missing") else "" if text.startswith("got") else "has "
        return Problem(f"{name}() {verb}{text}", f"its arguments are ({', '.join(names)})")
    return None


def checks_calls(wrong: Wrong, *, without: tuple[str, ...]) -> Callable[[type[T]], type[T]]:
    """Let the public methods of a class, but for some, return ``wrong`` instead of raising."""

    def decorate(kind: type[T]) -> type[T]:
        for name, method in [*vars(kind).items()]:
            if inspect.isfunction(method) and not name.startswith("_") and name not in without:
                setattr(kind, name, _checked(method, _of_object(wrong, name)))
        return kind

    return decorate


def _of_object(wrong: Wrong, name: str) -> Callable[[tuple[Any, ...], Problem], Any]:
    return lambda args, problem: wrong(args[0], name, problem)


def checks_call(wrong: Callable[[Problem], Any]) -> Callable[[F], F]:
    """Let a function return ``wrong`` instead of raising, if its arguments do not fit."""

    def decorate(function: F) -> F:
        return cast(F, _checked(function, lambda _, problem: wrong(problem)))

    return decorate


def _checked(
    function: Callable[..., Any], wrong: Callable[[tuple[Any, ...], Problem], Any]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = problem_of_call(function, args, kwargs)
            if problem is None:
                raise
            return wrong(args, problem)

    return checked
