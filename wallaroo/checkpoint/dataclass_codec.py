"""Frozen dataclasses as lists of plain values, and back with every value checked.

A dataclass becomes the list of its fields in order. Fields may hold what msgpack knows, other
dataclasses, and lists and dictionaries of these. The declared types are the only schema.
"""

import math
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from wallaroo.timing.instants import Instant

T = TypeVar("T")

OMITTED: Final = {"is_omitted": True}
"""Metadata of a field at the end that is left out if it, and all behind it, have their defaults."""


def to_plain(value: Any) -> Any:
    """Return `value` with each dataclass in it as a list."""
    if is_dataclass(value):
        declared = fields(value)
        end = len(declared)
        while end and _is_left_out(value, declared[end - 1]):
            end -= 1
        return [to_plain(getattr(value, field.name)) for field in declared[:end]]
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def _is_left_out(value: Any, field: Field[Any]) -> bool:
    if "is_omitted" not in field.metadata or field.default_factory is MISSING:
        return False
    return bool(getattr(value, field.name) == field.default_factory())


def from_plain(kind: type[T], value: object) -> T:
    """Return the dataclass `kind` that ``to_plain`` made `value` of.

    Raises ``ValueError``, naming the field, for anything else: a wrong type, a negative number, a
    field too many or too few.
    """
    names_and_types, least_count = _declared(kind)  # type: ignore[arg-type]  # classes can be hashed
    if not isinstance(value, list) or not least_count <= len(value) <= len(names_and_types):
        raise ValueError(f"{kind.__name__} must be a list of {len(names_and_types)} values")
    content = [
        _checked(declared, item, f"{kind.__name__}.{name}")
        for (name, declared), item in zip(names_and_types, value, strict=False)
    ]
    return kind(*content)


@cache
def _declared(kind: type) -> tuple[list[tuple[str, Any]], int]:
    """Return names and types of the fields, and how many a value has at least.

    Fields at the end with a default factory were added later: older files do not have them.
    """
    hints = get_type_hints(kind)
    declared = fields(kind)
    added_count = sum(field.default_factory is not MISSING for field in declared)
    return [(field.name, hints[field.name]) for field in declared], len(declared) - added_count


@cache
def _read(declared: Any) -> tuple[Any, bool, tuple[Any, ...]]:
    """Return the declared class, whether it is a dataclass, and its type arguments."""
    declared = getattr(declared, "__supertype__", declared)
    plain = get_origin(declared) or declared
    return plain, is_dataclass(plain), get_args(declared)


def _checked(declared: Any, value: Any, where: str) -> Any:
    """Return `value` as `declared`, with dataclasses in it made; `where` is for the message."""
    plain, is_of_ours, arguments = _read(declared)
    if plain is Any:
        return value
    if is_of_ours:
        return from_plain(plain, value)
    if not isinstance(value, plain) or (plain is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {plain.__name__}, got {type(value).__name__}")
    is_number = plain in (int, float) and declared is not Instant
    if is_number and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{where} must not be {value}")
    if plain is list:
        (of,) = arguments
        return [_checked(of, item, where) for item in value]
    if plain is dict:
        of_key, of_value = arguments
        return {
            _checked(of_key, key, where): _checked(of_value, item, where)
            for key, item in value.items()
        }
    return value
