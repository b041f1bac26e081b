"""Renders state objects as text and JSON, on the worker that holds the object.

A client gets text, never a pickle, because unpickling runs code. The object is the user's, so
nothing here trusts it: what it raises is reported, and what is too large or too deep is cut off.
"""

import dataclasses
import enum
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from wallaroo.describing import error_text, type_name
from wallaroo.routing.keys import short_repr

TEXT_LENGTH_MAX = 1 << 20
ITEM_COUNT_MAX = 10_000
"""Items of all containers in one object; with more of them, records would wait too long."""
DEPTH_MAX = 24
BITS_MAX = 4000


class NotShownError(Exception):
    """An object has no useful form in JSON; the text says why."""


class TooLargeError(NotShownError):
    """An object holds so much that rendering it takes too long."""


def show(value: object) -> dict[str, Any]:
    """Return ``type``, ``text``, and ``value`` in a form for JSON, or ``why_not``."""
    return _show(value, _Plain())


def show_each(values: Iterable[object]) -> list[dict[str, Any]]:
    """Return what ``show`` returns for each of them; the limits hold for all of them together."""
    plain, shown = _Plain(), []
    room = TEXT_LENGTH_MAX
    for value in values:
        if room > 0:
            shown.append(_show(value, plain))
            room -= len(shown[-1]["text"])
        else:
            shown.append(_show_in_short(value, "the values before it fill the answer"))
    return shown


def _show(value: object, plain: "_Plain") -> dict[str, Any]:
    shown: dict[str, Any] = {"type": type_name(value)}
    try:
        shown["value"] = _plain_of(value, plain)
    except TooLargeError as error:
        return _show_in_short(value, str(error))
    except NotShownError as error:
        shown |= {"value": None, "why_not": str(error)}
    return {**shown, "text": text_of(value)}


def _show_in_short(value: object, why_not: str) -> dict[str, Any]:
    return {
        "type": type_name(value),
        "text": short_repr(value),
        "value": None,
        "why_not": why_not,
    }


def text_of(value: object) -> str:
    """Return the object's ``repr``; if its class has none, its name and attributes.

    It never fails, and the text is not longer than ``TEXT_LENGTH_MAX`` and a few words.
    """
    try:
        text = _repr(value)
    except BaseException as error:  # noqa: BLE001  the user's own code
        return f"<{type_name(value)}, whose repr failed: {error_text(error)}>"
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    return f"{text[:TEXT_LENGTH_MAX]}... ({len(text):,} characters)"


def _plain_of(value: object, plain: "_Plain") -> Any:
    """Return the object in a form for JSON.

    Dataclasses, named tuples and other objects become their fields by name, sets and tuples become
    lists, and bytes become hexadecimal digits; an object without fields becomes its ``repr``.
    Raises ``NotShownError`` if it is too large or too deep, or if two keys would have the same
    text.
    """
    try:
        return plain.of(value, 0)
    except NotShownError:
        raise
    except BaseException as error:
        raise NotShownError(error_text(error)) from error


def _repr(value: object) -> str:
    has_own = any("__repr__" in kind.__dict__ for kind in type(value).__mro__[:-1])
    fields = None if has_own else _fields(value)
    if fields:
        shown = ", ".join(f"{name}={each!r}" for name, each in fields.items())
        return f"{type(value).__name__}({shown})"
    return repr(value)


def _fields(value: object) -> dict[str, Any] | None:
    """Return the attributes of an object, if it has any, without running code of its class."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, type):
        return None
    fields = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                fields[name] = getattr(value, name)
    return fields or None


class _Plain:
    """Converts one object for JSON, and counts its items."""

    def __init__(self) -> None:
        self._item_count = 0

    def of(self, value: object, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise NotShownError(f"it is nested deeper than {DEPTH_MAX}")
        if value is None or isinstance(value, bool | str | int | float | bytes | enum.Enum):
            return _simple(value)
        if isinstance(value, dict):
            return self._members(value, depth)
        is_named = isinstance(value, tuple) and hasattr(value, "_fields")
        if isinstance(value, list | tuple | set | frozenset | deque) and not is_named:
            self._count(len(value))
            return [self.of(each, depth + 1) for each in value]
        fields = _fields(value)
        return text_of(value) if fields is None else self._members(fields, depth)

    def _members(self, fields: dict[Any, Any], depth: int) -> dict[str, Any]:
        self._count(len(fields))
        members = {_name(key): self.of(each, depth + 1) for key, each in dict.items(fields)}
        if len(members) < len(fields):
            raise NotShownError("two of its keys have the same text")
        return members

    def _count(self, item_count: int) -> None:
        self._item_count += item_count
        if self._item_count > ITEM_COUNT_MAX:
            raise TooLargeError(f"it holds more than {ITEM_COUNT_MAX:,} items")


def _simple(value: Any) -> Any:
    """Return a value that is not a container, as its built-in type."""
    # Call the methods of the built-in type, since a subclass may override them.
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return f"{type(value).__name__}.{value.name}"
        case str():
            return str.__str__(value)
        case float():
            return float.__float__(value) if math.isfinite(value) else float.__repr__(value)
        case int():
            if value.bit_length() > BITS_MAX:
                raise NotShownError(f"a number has {value.bit_length():,} bits")
            return int.__int__(value)
        case _:
            return value.hex()


def _name(key: object) -> str:
    return str.__str__(key) if isinstance(key, str) else repr(key)
