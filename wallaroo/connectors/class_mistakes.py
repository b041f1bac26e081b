"""Finds mistakes in the classes of connectors' authors, for ``build()``."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from wallaroo.describing import a_type, error_text


def missing_methods(given: Any, kind: type, methods: Iterable[str], place: str) -> Iterator[str]:
    """Yield a sentence for each method that the author has to write and did not."""
    name = type(given).__name__
    for method in methods:
        if getattr(type(given), method) is getattr(kind, method):
            yield f"{place}: {name} has no method {method}(); write it"


def signature_mistakes(
    given: Any, methods: Iterable[tuple[str, tuple[str, ...]]], place: str
) -> Iterator[str]:
    """Yield a sentence for each method that cannot be called with the arguments it gets."""
    for method, arguments in methods:
        refused = refused_call(getattr(given, method), arguments)
        if refused:
            yield f"{place}: {type(given).__name__}.{method}{refused}"


def method_mistakes(
    given: Any, methods: Iterable[tuple[str, tuple[str, ...]]], place: str
) -> Iterator[str]:
    """Yield a sentence for each method of a sink that is not one, or gets other arguments."""
    methods = tuple(methods)
    for method, arguments in methods:
        function = getattr(given, method)
        name = f"{place}: {method} of {type(given).__name__}"
        if not callable(function):
            wanted = ", ".join(("self", *arguments))
            yield f"{name} is {a_type(function)}; write a method: def {method}({wanted})"
        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            yield f"{name} has `yield` in it, so calling it does nothing; use `return`"
    yield from signature_mistakes(given, methods, place)


def refused_call(method: Any, arguments: tuple[str, ...]) -> str:
    """Return ``(PARAMETERS) is called as ...`` if a method does not take these arguments."""
    try:
        # A decorator may give further arguments to the function that it wraps.
        signature = inspect.signature(method, follow_wrapped=False)
    except (TypeError, ValueError):
        return ""  # It is not written in Python, or not a function at all.
    try:
        signature.bind(*arguments)
    except TypeError:
        wanted = ", ".join(("self", *arguments))
        name = getattr(method, "__name__", "__call__")
        return f"{signature} does not take what it is called with; write def {name}({wanted})"
    return ""


def told_mistakes(given: Any, place: str) -> Iterator[str]:
    """Ask the author's object, whose methods may raise or return anything."""
    name = type(given).__name__
    method = "identity()"
    try:
        identity: object = given.identity()
        method = "mistakes()"
        sentences = [*given.mistakes()]
    except BaseException as error:  # noqa: BLE001  the author's code may raise anything
        yield f"{place}: {method} of {name} raised {error_text(error)}; correct it"
        return
    if not isinstance(identity, str):
        yield f"{place}: identity() of {name} returned {a_type(identity)}; return a string"
    for sentence in sentences:
        yield f"{place}: {name}: {sentence}"


def choice_mistakes(
    given: Any, attribute: str, choices: tuple[str, ...], place: str
) -> Iterator[str]:
    """Yield a sentence if an attribute is none of these texts."""
    found = getattr(given, attribute)
    if found not in choices:
        wanted = " or ".join(map(repr, choices))
        yield f"{place}: {attribute} of {type(given).__name__} is {found!r}; give {wanted}"


def sink_mistakes(given: Any, place: str) -> Iterator[str]:
    """Yield a sentence for a name or an encoder that cannot be one."""
    name = type(given).__name__
    if given.name is not None and not (isinstance(given.name, str) and given.name):
        yield f"{place}: the name of {name} is {a_type(given.name)}; give a text that is not empty"
    encoder = given.encoder
    if encoder is not None and not callable(encoder) and not hasattr(encoder, "encode"):
        yield (
            f"{place}: the encoder of {name} is {a_type(encoder)}; give a function decorated with "
            "@wallaroo.encoder, or any function of a record"
        )
    yield from getattr(encoder, "mistakes", ())
