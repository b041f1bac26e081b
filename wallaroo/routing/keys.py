"""Keys of records, in the canonical form that the system compares and stores.

Users may key by ``str``, ``bytes``, ``int``, ``bool`` and tuples of these, nested and of any size.
In Python ``1 == True`` and ``(1,) == (True,)``, so with plain values two keys would share one
state. ``canonical_key`` converts each key to a form in which different keys are unequal. It costs
nothing for common keys, which are their own canonical form.

The bytes of a key, which identify it in checkpoints, on the wire and for the hash, are a tag and
the content::

    s  UTF-8, lone surrogates passed through       b  the bytes
    i  two's complement, big endian, shortest      ?  one byte, 0 or 1
    t  count, then for each element its length and its own bytes   (4-byte big endian numbers)

Two different keys never have the same bytes, and a key has only one form of bytes.
"""

import operator
import reprlib
import struct
from numbers import Integral
from typing import TypeAlias, final

from wallaroo.describing import type_name, with_article
from wallaroo.routing.short_keys import short_key

NESTING_MAX = 32
"""Deepest nesting of tuples; keys need no trees, and this bounds the recursion."""

_PLAIN_TYPES = frozenset({str, bytes, int})
_LENGTH_BYTES = 4
_pack_length = struct.Struct(">I").pack
_TRUE = b"?\x01"
_FALSE = b"?\x00"

PlainKey: TypeAlias = "str | bytes | int | tuple[PlainKey, ...]"
"""A key as the user writes it, of exactly the built-in types."""

Key: TypeAlias = "PlainKey | TaggedKey"
"""A canonical key: a ``TaggedKey`` if it contains a bool, otherwise the plain value."""


@final
class TaggedKey:
    """The canonical form of a bool, or of a tuple that contains a bool.

    It compares and hashes by ``data``, its canonical bytes, so it does not equal any other key.
    ``value`` is the user's key. Only ``canonical_key`` and ``key_from_bytes`` create one.
    """

    __slots__ = ("data", "value")

    data: bytes
    value: PlainKey

    def __init__(self, value: PlainKey) -> None:
        self.data = _encode(value)
        self.value = value

    def __eq__(self, other: object) -> bool:
        return other.__class__ is TaggedKey and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __reduce__(self) -> "tuple[type[TaggedKey], tuple[PlainKey]]":
        return TaggedKey, (self.value,)

    def __repr__(self) -> str:
        return f"TaggedKey({short_repr(self.value)})"


def canonical_key(key: object) -> Key:
    """Return the canonical form of `key`, which dictionaries inside the system use.

    Values of subclasses (``IntEnum``, ``StrEnum``, named tuples) become values of the built-in
    type, and so do other integers (those of numpy). A canonical key is its own canonical form.
    Anything else raises ``TypeError``, with a conversion if one is known: a float, None, a UUID, a
    date, another enumeration, a list, or a tuple that contains one or is nested deeper than
    ``NESTING_MAX``.
    """
    kind = type(key)
    if kind is str or kind is int or kind is bytes or kind is TaggedKey:
        return key  # type: ignore[return-value]  # `kind` proves it
    if isinstance(key, tuple) and kind is tuple and _PLAIN_TYPES.issuperset(map(type, key)):
        return key
    plain = _plain(key, key, 0)
    return TaggedKey(plain) if _holds_bool(plain) else plain


def display_key(key: Key) -> object:
    """Return the user's key, for user code or to show."""
    return key.value if isinstance(key, TaggedKey) else key


def key_bytes(key: Key) -> bytes:
    """Return the bytes of canonical `key`, which are the same in every process and release."""
    return key.data if isinstance(key, TaggedKey) else _encode(key)


def key_from_bytes(data: bytes) -> Key:
    """Return the canonical key whose ``key_bytes`` are `data`; ``ValueError`` for other bytes."""
    plain = _decode(data, 0)
    return TaggedKey(plain) if _holds_bool(plain) else plain


def int_bytes(number: int) -> bytes:
    """Return the shortest big-endian two's complement form of `number`, at least one byte."""
    magnitude = number if number >= 0 else ~number
    return number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def short_repr(value: object) -> str:
    """Return a repr of `value` for messages, of at most 200 characters. It never fails."""
    shortener = _ShortRepr()
    shortener.maxstring = shortener.maxother = 60
    try:
        text = shortener.repr(value)
    except BaseException:  # noqa: BLE001  # the value is the user's, and so is its __repr__
        return f"<{type_name(value)}>"
    return text if len(text) <= 200 else text[:197] + "..."


class _ShortRepr(reprlib.Repr):
    """Shortens long integers, which Python refuses to write in decimal."""

    def repr_int(self, x: int, level: int) -> str:
        shown, is_whole = short_key(x)
        return super().repr_int(x, level) if is_whole else str(shown)


def _plain(value: object, key: object, depth: int) -> PlainKey:
    """Rebuild `value`, at `depth` inside `key`, from exact built-in types."""
    # Call the methods of the built-in type, since a subclass may override them.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, bytes):
        return bytes.__bytes__(value)
    if isinstance(value, Integral):
        # Such as numpy's, which are not subclasses of int. Its timedelta64 is registered as well.
        try:
            return operator.index(value)
        except TypeError:
            raise TypeError(_refusal(value, key, depth)) from None
    if not isinstance(value, tuple):
        raise TypeError(_refusal(value, key, depth))
    if depth == NESTING_MAX:
        raise TypeError(
            f"the key {short_repr(key)} nests tuples more than {NESTING_MAX} deep; "
            "build the key from fewer levels"
        )
    depth += 1
    return tuple([_plain(element, key, depth) for element in tuple.__iter__(value)])


def _holds_bool(plain: PlainKey) -> bool:
    if plain.__class__ is tuple:
        return any(map(_holds_bool, plain))
    return plain.__class__ is bool


_OF_AN_ARRAY = "tuple(key.tolist())"

_CONVERSIONS = {
    "builtins.float": "int(key) or str(key)",
    "builtins.list": "tuple(key)",
    "builtins.set": "tuple(sorted(key))",
    "builtins.frozenset": "tuple(sorted(key))",
    "builtins.dict": "tuple(sorted(key.items()))",
    "builtins.bytearray": "bytes(key)",
    "builtins.memoryview": "bytes(key)",
    "builtins.NoneType": "a key of your own for records without one, such as ''",
    "datetime.date": "key.isoformat()",
    "datetime.time": "key.isoformat()",
    "datetime.timedelta": "str(key)",
    "decimal.Decimal": "str(key)",
    "enum.Enum": "key.name or key.value",
    "fractions.Fraction": "str(key)",
    "ipaddress._IPAddressBase": "str(key)",
    "numpy.bool": "bool(key)",
    "numpy.bool_": "bool(key)",
    "numpy.datetime64": "str(key)",
    "numpy.floating": "int(key) or str(key)",
    "numpy.ndarray": _OF_AN_ARRAY,
    "numpy.timedelta64": "str(key)",
    "pathlib.PurePath": "str(key)",
    "pathlib._local.PurePath": "str(key)",
    "uuid.UUID": "str(key) or key.bytes",
}
"""Conversions for values of other classes, by full name, so that none has to be imported."""


def _refusal(value: object, key: object, depth: int) -> str:
    where = f" inside the tuple {short_repr(key)}" if depth else ""
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(value).__mro__]
    conversion = next((_CONVERSIONS[name] for name in names if name in _CONVERSIONS), None)
    if conversion == _OF_AN_ARRAY and _has_no_dimensions(value):
        conversion = "key.item()"
    write = f"; write {conversion}" if conversion else ""
    # numpy has a class named bool as well, and "a bool cannot be a key" would be wrong.
    name = names[0] if names[0].startswith("numpy.") else type_name(value)
    return (
        f"{with_article(name)} cannot be a key: {short_repr(value)}"
        f"{where}{write}; a key is a str, bytes, int or bool, or a tuple of these"
    )


def _has_no_dimensions(array: object) -> bool:
    """Return whether an array holds a single value and no sequence."""
    try:
        return bool(array.ndim == 0)  # type: ignore[attr-defined]  # the class of numpy has it
    except Exception:  # noqa: BLE001  # a subclass may be the user's
        return False


def _encode(plain: PlainKey) -> bytes:
    if isinstance(plain, str):
        return b"s" + plain.encode("utf-8", "surrogatepass")
    if isinstance(plain, bytes):
        return b"b" + plain
    if isinstance(plain, bool):
        return _TRUE if plain else _FALSE
    if isinstance(plain, int):
        return b"i" + int_bytes(plain)
    encoded = [b"t", _pack_length(len(plain))]
    for element in map(_encode, plain):
        encoded += _pack_length(len(element)), element
    return b"".join(encoded)


def _decode(data: bytes, depth: int) -> PlainKey:
    tag, content = data[:1], data[1:]
    if tag == b"s":
        return content.decode("utf-8", "surrogatepass")
    if tag == b"b":
        return content
    if tag == b"i":
        number = int.from_bytes(content, "big", signed=True)
        if content == int_bytes(number):
            return number
    if data in (_FALSE, _TRUE):
        return data == _TRUE
    if tag == b"t" and depth < NESTING_MAX:
        return _decode_tuple(content, depth + 1)
    raise ValueError(f"these bytes are not a key: {short_repr(data)}")


def _decode_tuple(content: bytes, depth: int) -> tuple[PlainKey, ...]:
    """Decode the content of a tuple; slices beyond the end are too short, and refused below."""
    count, at = int.from_bytes(content[:_LENGTH_BYTES], "big"), _LENGTH_BYTES
    elements: list[PlainKey] = []
    while at < len(content) and len(elements) < count:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(content[at:start], "big")
        elements.append(_decode(content[start:at], depth))
    if at != len(content) or len(elements) != count:
        raise ValueError(f"these bytes are not a tuple of {count} keys: {short_repr(content)}")
    return tuple(elements)
