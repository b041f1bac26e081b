"""Keys as text, as people write and read them on a terminal: a kind such as ``int``, and a text.

    str    the text itself              int    digits            bool   true or false
    bytes  0x and hexadecimal digits, or any other text for its UTF-8 bytes
    json   a tuple as a list: ["eu", 7, true, {"bytes": "00ff"}]; a text in quotes

``key_of_text`` and ``text_of_key`` are inverse functions; ``shown_key`` shortens long keys. Keys
are made by senders of records, so text that is not printable, or would control the terminal, is
shown with escapes, as ``json``.
"""

import json
from typing import Any, NamedTuple

from wallaroo.errors import ConfigError
from wallaroo.routing.keys import Key, canonical_key, display_key
from wallaroo.routing.short_keys import short_key, short_text

KINDS = ("str", "bytes", "int", "bool", "json")

JSON_CHARACTERS_MAX = 400
"""Longest text of a tuple that is shown."""

_BOOLS = {"true": True, "false": False}


class ShownKey(NamedTuple):
    """A key as it is shown."""

    kind: str
    text: str
    is_cut: bool
    """Whether the text is shorter than the key, and so stands for no key."""


def key_of_text(text: str, kind: str) -> Key:
    """Return the canonical key for ``text``. Raises ``ConfigError`` for a mistake."""
    try:
        return canonical_key(_value(text, kind))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"{short_text(text)!r} is not a key of the kind {kind}: {_reason(error)}",
            hint="a key is a text; give --type bytes, int, bool or json for others, a tuple as a "
            'JSON list such as ["eu", 7]',
        ) from error


def text_of_key(key: Key) -> tuple[str, str]:
    """Return the kind and the text of a canonical key."""
    return _text_of(display_key(key))


def shown_key(key: Key) -> ShownKey:
    """Return a canonical key in its shown form, shortened if it is long."""
    value = display_key(key)
    short, is_whole = short_key(value)
    kind, text = _text_of(short)
    if kind == "json":
        is_cut = not is_whole or len(text) > JSON_CHARACTERS_MAX
        return ShownKey(kind, short_text(text, JSON_CHARACTERS_MAX), is_cut)
    if not is_whole and not isinstance(value, str):
        kind = "int" if isinstance(value, int) else "bytes"
    return ShownKey(kind, text, not is_whole)


def _text_of(value: object) -> tuple[str, str]:
    match value:
        case bool():
            return "bool", "true" if value else "false"
        case int():
            return "int", str(value)
        case bytes():
            return "bytes", _text_of_bytes(value)
        case tuple():
            return "json", json.dumps(_to_json(value))
        case _:
            text = str(value)
            return ("str", text) if text.isprintable() else ("json", json.dumps(text))


def _value(text: str, kind: str) -> Any:
    match kind:
        case "str":
            return text
        case "int":
            return int(text)
        case "bool":
            return _BOOLS[text.lower()]
        case "bytes":
            return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
        case "json":
            return _from_json(json.loads(text))
        case _:
            raise ValueError(f"kinds are {', '.join(KINDS)}")


def _reason(error: Exception) -> str:
    return "it is true or false" if isinstance(error, KeyError) else str(error)


def _text_of_bytes(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and text and text[:2] != "0x" else f"0x{value.hex()}"


def _from_json(value: object) -> Any:
    match value:
        case list():
            return tuple(map(_from_json, value))
        case {"bytes": str(digits), **others} if not others:
            return bytes.fromhex(digits)
        case _:
            return value


def _to_json(value: object) -> Any:
    match value:
        case tuple():
            return [_to_json(each) for each in value]
        case bytes():
            return {"bytes": value.hex()}
        case _:
            return value
