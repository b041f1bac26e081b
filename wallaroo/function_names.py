"""Names of a user's functions, classes and objects, the same in every process."""

import functools
from collections.abc import Callable
from typing import Any


def qualified_name(function: Callable[..., Any]) -> str:
    """Return ``module.qualname`` of a function, method, class or partial; never an address.

    A callable object has the name of its class.
    """
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return qualified_name(type(function))
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


def short_name(function: Callable[..., Any]) -> str:
    """Return the last part of the qualified name: ``partition_by_letter``."""
    return qualified_name(function).rpartition(".")[2]


def value_text(value: object) -> str:
    """Return a setting as text: a number or string as Python writes it, all else by its name."""
    if value is None or isinstance(value, str | bytes | int | float):
        return repr(value)
    return qualified_name(value if callable(value) else type(value))
