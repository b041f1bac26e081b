"""Keys that are cut out of payloads, so that a record is decoded once, by the owner of its key.

Each class here says where the key is in a payload; ``key_of`` returns it, or raises ``ValueError``
with a sentence about the payload. This is the definition of what the key is. The compiled code in
``_compiled`` finds the same keys faster and calls ``key_of`` whenever a payload is not plain.

In JSON only strings, brackets and colons are looked at, up to the value of the name; whether the
rest of the text is valid is for the decoder to find out. That is what a scanner can afford, and it
is the same for both implementations.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from wallaroo.routing.keys import short_repr

NAME = "payload key"
"""What dead letters call the step at which a payload without a key fails."""


CompiledRule = tuple[str, int, int, bytes, bool]
"""Kind, two numbers, separator or name, and whether the key stays bytes."""


class PayloadKey(Protocol):
    """Where the key of a record is in its payload."""

    @property
    def compiled_rule(self) -> CompiledRule | None:
        """The declaration as the compiled splitter takes it; ``None`` if only Python can do it."""
        ...

    def key_of(self, payload: bytes) -> Any:
        """Return the key as the user means it; raises ``ValueError`` if there is none."""
        ...

    def describe(self) -> str:
        """Return the declaration in words, for plans and outlines."""
        ...


@dataclass(frozen=True, slots=True)
class KeyFunction:
    """A function of the payload."""

    function: Callable[[bytes], Any]
    name: str
    compiled_rule: ClassVar[CompiledRule | None] = None

    def key_of(self, payload: bytes) -> Any:
        """Return what the function returns; it may raise anything."""
        return self.function(payload)

    def describe(self) -> str:
        """As ``PayloadKey``."""
        return f"function {self.name}"


@dataclass(frozen=True, slots=True)
class KeySlice:
    """``length`` bytes from ``offset`` on."""

    offset: int
    length: int
    is_bytes: bool = False

    @property
    def compiled_rule(self) -> CompiledRule:
        """As ``PayloadKey``."""
        return "slice", self.offset, self.length, b"", self.is_bytes

    def key_of(self, payload: bytes) -> str | bytes:
        """As ``PayloadKey``."""
        if len(payload) < self.offset + self.length:
            raise ValueError(
                f"the payload has {len(payload)} bytes and the key is at "
                f"{self.offset} to {self.offset + self.length}"
            )
        return _as_key(payload[self.offset : self.offset + self.length], is_bytes=self.is_bytes)

    def describe(self) -> str:
        """As ``PayloadKey``."""
        return f"{_kind(self.is_bytes)} at {self.offset}, length {self.length}"


@dataclass(frozen=True, slots=True)
class KeyField:
    """A field of a payload whose fields are separated by some bytes; fields count from 0."""

    field: int
    separator: bytes
    is_bytes: bool = False

    @property
    def compiled_rule(self) -> CompiledRule:
        """As ``PayloadKey``."""
        return "field", self.field, 0, self.separator, self.is_bytes

    def key_of(self, payload: bytes) -> str | bytes:
        """As ``PayloadKey``."""
        fields = payload.split(self.separator, self.field + 1)
        if len(fields) <= self.field:
            raise ValueError(
                f"the payload has {len(fields)} fields and the key is field {self.field}"
            )
        return _as_key(fields[self.field], is_bytes=self.is_bytes)

    def describe(self) -> str:
        """As ``PayloadKey``."""
        return f"{_kind(self.is_bytes)} in field {self.field} separated by {self.separator!r}"


@dataclass(frozen=True, slots=True)
class KeyInJSON:
    """The value of a name at the top level of a JSON object: a string, an integer or a bool."""

    name: str

    @property
    def compiled_rule(self) -> CompiledRule:
        """As ``PayloadKey``."""
        return "json", 0, 0, self.name.encode(), False

    def key_of(self, payload: bytes) -> str | int:
        """As ``PayloadKey``. If the name occurs twice, the first value counts."""
        at = _start_of_value(payload, self.name)
        if at is None:
            raise ValueError(f"there is no {self.name!r} at the top level of a JSON object")
        token = _TOKEN.match(payload, at)
        text = b"" if token is None else token[0]
        if text[:1] == b'"':
            return _string(text)
        if _INTEGER.fullmatch(text) and len(text) <= _DIGITS_MAX:
            return int(text)
        if text in (b"true", b"false"):
            return text == b"true"
        shown = text.decode("utf-8", "backslashreplace") or "nothing"
        raise ValueError(
            f"the value of {self.name!r} is {short_repr(shown)[1:-1]}; "
            "a key is a string, an integer or a bool"
        )

    def describe(self) -> str:
        """As ``PayloadKey``."""
        return f"value of {self.name!r} in JSON"


_DIGITS_MAX = 4300
"""Python refuses to read longer numbers."""
_INTEGER = re.compile(rb"-?(0|[1-9][0-9]*)")
_SPACE = re.compile(rb"[ \t\n\r]*")
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*"'  # a string
    rb"|[{}\[\]:]"
    rb'|[^ \t\n\r",{}\[\]:]+',  # a number or a word
    re.DOTALL,
)
_NEXT = re.compile(rb'[{}\[\]]|"', re.DOTALL)


def _start_of_value(payload: bytes, name: str) -> int | None:
    """Return where the value of a name starts; ``None`` if there is none."""
    at = _past_space(payload, 0)
    if payload[at : at + 1] != b"{":
        return None
    depth = 0
    while (found := _NEXT.search(payload, at)) is not None:
        at = found.end()
        match found[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    return None
            case _:
                string = _TOKEN.match(payload, found.start())
                if string is None:
                    return None  # it does not end
                at = string.end()
                behind = _past_space(payload, at)
                if depth == 1 and payload[behind : behind + 1] == b":" and _is(string[0], name):
                    return _past_space(payload, behind + 1)
    return None


def _past_space(payload: bytes, at: int) -> int:
    space = _SPACE.match(payload, at)
    assert space is not None
    return space.end()


def _is(string: bytes, name: str) -> bool:
    try:
        return _string(string) == name
    except ValueError:
        return False


def _string(quoted: bytes) -> str:
    """Return the text of a JSON string; raises ``ValueError`` if it cannot be text."""
    text = _as_text(quoted[1:-1])
    if "\\" not in text:
        return text
    value: str = json.loads(f'"{text}"', strict=False)
    return value


def _as_key(data: bytes, *, is_bytes: bool) -> str | bytes:
    return data if is_bytes else _as_text(data)


def _as_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the key {short_repr(data)} is not UTF-8: {error.reason}") from None


def _kind(is_bytes: bool) -> str:  # a field's value
    return "bytes" if is_bytes else "text"
