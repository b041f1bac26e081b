"""``payload_key``: a key that is found in the payload, before the record is decoded."""

from collections.abc import Callable, Iterator
from typing import Any

from wallaroo.api.inspection import Problem, caller_place, function_problems, named
from wallaroo.function_names import short_name
from wallaroo.routing.payload_keys import (
    KeyField,
    KeyFunction,
    KeyInJSON,
    KeySlice,
)
from wallaroo.routing.payload_keys import PayloadKey as Rule
from wallaroo.topology.graph import SourceLocation

_FORMS = "payload_key(function), (offset=, length=), (field=, separator=) or (json=)"


class PayloadKey:
    """Where the key of a record is in its payload; ``payload_key`` makes one.

    A wrong declaration raises nothing. It waits in ``mistakes`` for ``build()``, which reports all
    mistakes of an application together.
    """

    def __init__(self, rule: Rule | None, problems: list[Problem]) -> None:
        self.place: SourceLocation = caller_place()
        self.rule: Rule | None = None if problems else rule
        """``None`` if there are mistakes."""
        self.mistakes: tuple[str, ...] = tuple(problem.at(self.place) for problem in problems)

    def __repr__(self) -> str:
        return f"<payload_key: {self.rule.describe() if self.rule else 'mistaken'}>"


def payload_key(
    function: Callable[[bytes], Any] | None = None,
    *,
    offset: int | None = None,
    length: int | None = None,
    field: int | None = None,
    separator: bytes | None = None,
    json: str | None = None,
    type: type = str,
) -> PayloadKey:
    """Say where the key is in a payload; goes where a partition function goes.

    Records that travel to another worker are then decoded once, there, instead of on both workers.
    It can be used if nothing but the decoder stands before the step. Give one of:

    * ``offset`` and ``length``: so many bytes of the payload, from ``offset`` on;
    * ``field`` and ``separator``: a field, counted from 0, of a payload like ``b"a,b,c"``;
    * ``json``: a name at the top level of a JSON object, whose value is a string, an integer or a
      bool. If the name occurs twice, the first value counts;
    * ``function``: ``f(payload)`` returns the key. It pays if it is much cheaper than the decoder.

    The key is text (UTF-8); ``type=bytes`` leaves bytes. A record whose payload has no such key
    becomes a dead letter of the step ``payload key``. ::

        builder.to_state_partition(count, Counter, "counts", wallaroo.payload_key(json="user"))
    """
    problems: list[Problem] = []
    given = {
        "function": function is not None,
        "offset and length": offset is not None or length is not None,
        "field and separator": field is not None or separator is not None,
        "json": json is not None,
    }
    chosen = [name for name, is_given in given.items() if is_given]
    if len(chosen) != 1:
        what = " and ".join(chosen) if chosen else "nothing"
        problems.append(Problem(f"payload_key() is given {what}", f"give one of {_FORMS}"))
        return PayloadKey(None, problems)
    problems += _type_problems(type, chosen[0])
    is_bytes = type is bytes
    if function is not None:
        problems += function_problems(function, "the function of payload_key()", ("payload",))
        return PayloadKey(KeyFunction(function, short_name(function)), problems)
    if json is not None:
        problems += _name_problems(json)
        return PayloadKey(KeyInJSON(json), problems)
    if chosen == ["offset and length"]:
        return _slice(offset, length, problems, is_bytes=is_bytes)
    return _field(field, separator, problems, is_bytes=is_bytes)


def _slice(
    offset: int | None, length: int | None, problems: list[Problem], *, is_bytes: bool
) -> PayloadKey:
    problems += [*_count_problems("offset", offset, 0), *_count_problems("length", length, 1)]
    return PayloadKey(KeySlice(offset or 0, length or 0, is_bytes), problems)


def _field(
    field: int | None, separator: bytes | None, problems: list[Problem], *, is_bytes: bool
) -> PayloadKey:
    problems += [*_count_problems("field", field, 0), *_separator_problems(separator)]
    return PayloadKey(KeyField(field or 0, separator or b"", is_bytes), problems)


def _type_problems(kind: object, chosen: str) -> Iterator[Problem]:
    if kind is not str and kind is not bytes:
        yield Problem(f"type= of payload_key() is {named(kind)}", "give str or bytes")
    elif kind is bytes and chosen in ("function", "json"):
        yield Problem(
            f"payload_key() is given type=bytes together with {chosen}",
            "leave it out: the key has the type that is found there",
        )


def _count_problems(name: str, value: object, least: int) -> Iterator[Problem]:
    if value is None:
        yield Problem(f"payload_key() lacks {name}=", f"give one of {_FORMS}")
    elif not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1 << 31:
        yield Problem(
            f"{name}= of payload_key() is {named(value)}", f"give a whole number from {least} on"
        )


def _separator_problems(value: object) -> Iterator[Problem]:
    if value is None:
        yield Problem("payload_key() lacks separator=", 'give bytes, such as separator=b","')
    elif not isinstance(value, bytes) or not value:
        shown = "empty" if value == b"" else named(value)
        yield Problem(f"separator= of payload_key() is {shown}", 'give bytes, such as b","')


def _name_problems(value: object) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(f"json= of payload_key() is {named(value)}", "give the name as a string")
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        yield Problem("json= of payload_key() has half of a surrogate pair", "give another name")
