"""Converts values and errors of user code to text and plain values, and never fails.

An object of the application may raise anything when it is inspected: its ``__repr__`` may call
``sys.exit()``, its class may hide its name, its text may not be writable. Every user object that
goes into a message, a log line, a label, JSON or msgpack passes through this module.
"""

import math
from collections.abc import Callable
from typing import Any

TEXT_LENGTH_MAX = 2000
INTEGER_MAX = (1 << 64) - 1
"""The largest integer of msgpack; readers of JSON disagree about larger ones, too."""
INTEGER_MIN = -(1 << 63)
_VOWELS = frozenset("aeioAEIO")
"""Names that begin with a U sound like "you", such as UUID and uint8."""


def type_name(value: object) -> str:
    """Return the name of a value's class, ignoring its metaclass."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def with_article(noun: str) -> str:
    """Return ``noun`` behind the article that it needs, such as "an int" and "a UUID"."""
    return f"{'an' if noun.lstrip('_')[:1] in _VOWELS else 'a'} {noun}"


def a_type(value: object) -> str:
    """Return the name of a value's class behind its article."""
    return with_article(type_name(value))


def text_of(
    value: object, show: Callable[[Any], object] = repr, length_max: int = TEXT_LENGTH_MAX
) -> str:
    """Return the text of ``value`` from ``show``, cut after ``length_max`` characters."""
    try:
        shown = show(value)
        # A subclass of `str` may have methods of its own, so use those of `str`.
        text = str.__str__(shown) if isinstance(shown, str) else str(shown)
    except BaseException:  # noqa: BLE001  the user's code may raise anything
        text = f"<{type_name(value)} that cannot be shown>"
    if len(text) > length_max:
        text = text[:length_max] + "…"
    return writable(text)


def error_text(error: BaseException, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Return the class and the message of an error: ``ValueError: no such symbol``."""
    return f"{writable(type_name(error))}: {text_of(error, str, length_max)}"


def writable(text: str) -> str:
    """Return ``text`` without lone surrogates, which files and frames cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: object, length_max: int = TEXT_LENGTH_MAX) -> bool | int | float | str | None:
    """Return ``value`` for msgpack and JSON: numbers and bools unchanged, text for the rest."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    # Compare the class itself: isinstance() also asks the value, which may answer anything.
    if kind is int and isinstance(value, int) and INTEGER_MIN <= value <= INTEGER_MAX:
        return value
    if kind is float and isinstance(value, float) and math.isfinite(value):
        return value
    return text_of(value, str.__str__ if issubclass(kind, str) else repr, length_max)
