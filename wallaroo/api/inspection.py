"""Inspects the user's code without running it: where it is defined, and what it accepts."""

import enum
import functools
import inspect
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wallaroo.durations import duration_ns
from wallaroo.topology.graph import SourceLocation


class Problem(NamedTuple):
    """A mistake without its location."""

    what: str
    remedy: str

    def at(self, place: SourceLocation) -> str:
        """Return the sentence for the user, with the location."""
        return f"{place}: {self.what}; {self.remedy}"


def caller_place() -> SourceLocation:
    """Return the line of the user's code that called into this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return SourceLocation(Path(frame.f_code.co_filename).name, frame.f_lineno)


def function_place(function: object, otherwise: SourceLocation) -> SourceLocation:
    """Return the line of ``function``'s definition; ``otherwise`` if it is not written in
    Python."""
    while isinstance(function, functools.partial):
        function = function.func
    if callable(function):
        function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return otherwise
    return SourceLocation(Path(code.co_filename).name, code.co_firstlineno)


def named(thing: object) -> str:
    """Return a name for ``thing`` in messages: kind and name, or type and value."""
    name = getattr(thing, "__name__", None)
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    if callable(thing) and isinstance(name, str):
        return f"the {'function' if inspect.isroutine(thing) else kind_of(thing)} {name}"
    if thing is None or isinstance(thing, bool):
        return repr(thing)
    if isinstance(thing, str | bytes | int | float):
        return f"the {type(thing).__name__} {reprlib.repr(thing)}"
    return f"an object of class {type(thing).__name__}"


def kind_of(thing: object) -> str:
    """Return the name of the class of ``thing``; for decorated functions, of their kind."""
    kinds = type(thing).__mro__
    ours = (kind.__name__ for kind in kinds if kind.__module__.startswith("wallaroo."))
    return next(ours, kinds[0].__name__)


def read_duration(what: str, duration: object, *, minimum_ns: int = 0) -> tuple[int, list[Problem]]:
    """Return a duration in nanoseconds, or ``minimum_ns`` and what is wrong with it."""
    try:
        return duration_ns(what, duration, minimum_ns=minimum_ns), []
    except (TypeError, ValueError) as error:
        is_wrong, _, remedy = str(error).partition("; ")
        return minimum_ns, [Problem(is_wrong, remedy)]


def name_problems(what: str, name: object) -> Iterator[Problem]:
    """Yield a problem unless ``name`` is a string that is not blank."""
    if not isinstance(name, str):
        yield Problem(f"{what} is {named(name)}", "give a string")
    elif not name.strip():
        yield Problem(f"{what} is empty", "give a string with something in it")


class FunctionKind(enum.Enum):
    """What a call of a function returns."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


PLAIN = frozenset({FunctionKind.PLAIN})
COROUTINE = frozenset({FunctionKind.COROUTINE})


def function_kind(function: Callable[..., Any]) -> FunctionKind:
    """Return what a call of ``function`` returns."""
    body = _body(function)
    if inspect.iscoroutinefunction(body):
        return FunctionKind.COROUTINE
    if inspect.isasyncgenfunction(body):
        return FunctionKind.ASYNC_GENERATOR
    return FunctionKind.GENERATOR if inspect.isgeneratorfunction(body) else FunctionKind.PLAIN


def function_problems(
    function: object,
    what: str,
    arguments: tuple[str, ...],
    *,
    keywords: tuple[str, ...] = (),
    kinds: frozenset[FunctionKind] = PLAIN,
) -> Iterator[Problem]:
    """Yield the problems of calling ``function``, which has to be one of ``kinds``.

    It is called with ``arguments`` by position, and with ``keywords``. A function without a
    signature, like some builtins, is assumed to accept them.
    """
    if not callable(function):
        yield Problem(f"{what} is {named(function)}", "give something that can be called")
        return
    kind = function_kind(function)
    if kind not in kinds:
        yield _kind_problem(what, kind, arguments)
    signature = _signature(function)
    if signature is None:
        return
    try:
        signature.bind(*arguments, **dict.fromkeys(keywords))
    except TypeError:
        count = {0: "no argument", 1: "1 argument"}.get(
            len(arguments), f"{len(arguments)} arguments"
        )
        wanted = f"({', '.join((*arguments, *keywords))})"
        more = f" and {', '.join(f'{name}=' for name in keywords)}" if keywords else ""
        yield Problem(
            f"{what} is called with {count}{more} but is declared {_parameters(signature)}",
            f"declare it {wanted}; further parameters need defaults",
        )


def _kind_problem(what: str, kind: FunctionKind, arguments: tuple[str, ...]) -> Problem:
    match kind:
        case FunctionKind.PLAIN:
            return Problem(
                f"{what} is a plain function",
                "write async def, or decorate it with @wallaroo.computation(name)",
            )
        case FunctionKind.GENERATOR:
            remedy = "for several results return a list of them from a multi computation"
            if arguments == ("records",):
                remedy = "return a list with one result for each record"
            return Problem(
                f"{what} is a generator function: it has `yield` in it", f"use `return`; {remedy}"
            )
        case _:
            return Problem(
                f"{what} is an async function",
                "use a plain def: workers do not await it; @wallaroo.computation_async takes "
                "async functions",
            )


def method_problems(
    thing: object, what: str, methods: Mapping[str, tuple[str, ...]], remedy: str
) -> Iterator[Problem]:
    """Yield a problem unless ``thing`` has ``methods``, a map of names to arguments."""
    if isinstance(thing, type):
        remedy = f"give an object of it: {thing.__name__}()"
        yield Problem(f"{what} is {named(thing)} itself", remedy)
        return
    missing = [name for name in methods if not callable(getattr(thing, name, None))]
    if missing:
        lacks = " and no ".join(f"{name}()" for name in missing)
        yield Problem(f"{what} is {named(thing)}, which has no {lacks}", remedy)
        return
    for name, arguments in methods.items():
        yield from function_problems(getattr(thing, name), f"{name} of {what}", arguments)


def is_ours(module: str) -> bool:
    """Return whether a module is one of this package."""
    return module == "wallaroo" or module.startswith("wallaroo.")


def _body(function: Callable[..., Any]) -> object:
    """Return the function that runs when ``function`` is called; an object has it in its class."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return type(function).__call__


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of the callable itself: a wrapper may take less than its function."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _parameters(signature: inspect.Signature) -> str:
    """Return the parameters without annotations, such as ``(record, scale=2)``."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(bare))
