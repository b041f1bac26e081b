"""Checks the parameters of a request, which come from outside, before they are used."""

import math
from typing import Any, TypeVar

from wallaroo.describing import with_article
from wallaroo.errors import ConfigError
from wallaroo.routing.keys import short_repr

T = TypeVar("T")

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


class Parameters:
    """Returns parameters by name and type; ``finish`` rejects those that were not read."""

    def __init__(self, method: str, values: dict[str, Any]) -> None:
        self._method = method
        self._values = dict(values)

    def take(self, name: str, kind: type[T], default: T) -> T:
        """Return a parameter, or ``default``. Raises ``ConfigError`` for one of another type."""
        value = self._values.pop(name, None)
        return default if value is None else self._checked(name, kind, value)

    def need(self, name: str, kind: type[T]) -> T:
        """Return a required parameter."""
        value = self._values.pop(name, None)
        if value is None:
            raise ConfigError(f"{self._method} needs {name}")
        return self._checked(name, kind, value)

    def find(self, name: str, kind: type[T]) -> T | None:
        """Return a parameter, or ``None`` if it was omitted."""
        value = self._values.pop(name, None)
        return None if value is None else self._checked(name, kind, value)

    def take_names(self, name: str) -> list[str]:
        """Return a list of texts; empty if it was omitted."""
        values = self.take(name, list, [])
        if not all(isinstance(each, str) for each in values):
            raise ConfigError(f"{self._method}: {name} is a list of texts, not {values!r}")
        return values

    def finish(self) -> None:
        """Raise ``ConfigError`` if there are parameters that were not read."""
        if self._values:
            names = ", ".join(self._values)
            raise ConfigError(f"{self._method} has no parameter {names}")

    def _checked(self, name: str, kind: type[T], value: Any) -> T:
        if kind is float and type(value) is int:
            value = _float_of(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            word = _WORDS.get(kind, with_article(kind.__name__))
            raise ConfigError(f"{self._method}: {name} is {word}, not {short_repr(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{self._method}: {name} is a number, not {value!r}")
        return value


def _float_of(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
