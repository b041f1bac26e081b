"""Keys in canonical form: who equals whom, what is refused, and bytes there and back."""

import datetime
import decimal
import enum
import ipaddress
import pathlib
import pickle
import re
import uuid
from numbers import Integral
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.describing import a_type
from wallaroo.routing.hashing import hash_key
from wallaroo.routing.keys import (
    NESTING_MAX,
    TaggedKey,
    canonical_key,
    display_key,
    key_bytes,
    key_from_bytes,
)

any_text = st.text("01ab\0é€😀\ud800\udc00", max_size=5)
leaves = st.booleans() | st.integers(-2, 2) | st.integers(-(2**80), 2**80) | any_text | st.binary()
user_keys = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)


def typed(key: object) -> object:
    """Spell out the types in `key`, which Python's own equality does not look at."""
    if isinstance(key, tuple):
        return ("tuple", tuple(map(typed, key)))
    return (type(key).__name__, key)


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Deceit(int):
    def __int__(self) -> int:
        return 99

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Tag(bytes):
    pass


class Place(NamedTuple):
    city: str
    number: int


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Suit(str, enum.Enum):  # noqa: UP042  as applications for Python 3.10 have it
    SPADE = "s"


class Direction(enum.Enum):
    NORTH = 1


@Integral.register
class Int64:
    """As numpy's integers: not an ``int``, but registered, with a hash of its own."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@given(user_keys, user_keys)
def test_two_keys_are_equal_only_if_values_and_types_are(one: object, other: object) -> None:
    is_same = typed(one) == typed(other)
    assert (canonical_key(one) == canonical_key(other)) is is_same
    assert (key_bytes(canonical_key(one)) == key_bytes(canonical_key(other))) is is_same


def test_look_alikes_are_keys_of_their_own_in_a_dictionary() -> None:
    alike: list[object] = [1, True, "1", b"1", (1,), (True,), ("1",), (b"1",), ((1,),), ((True,),)]
    alike += [0, False, "", b"", (), ((),), (0,), (False,), (1, True), (True, 1), (True, True)]
    assert len({canonical_key(key): key for key in alike}) == len(alike)


@given(user_keys)
def test_bytes_and_pickles_bring_a_key_back(key: object) -> None:
    canonical = canonical_key(key)
    for copy in (key_from_bytes(key_bytes(canonical)), pickle.loads(pickle.dumps(canonical))):
        assert copy == canonical
        assert hash(copy) == hash(canonical)
        assert typed(display_key(copy)) == typed(key)


@given(user_keys)
def test_a_canonical_key_is_its_own_canonical_key(key: object) -> None:
    canonical = canonical_key(key)
    assert canonical_key(canonical) == canonical


def test_only_keys_with_a_bool_are_wrapped() -> None:
    plain: list[object] = ["a", b"a", 7, 10**30, (), (1, "a"), (1, ("b", ()))]
    for key in plain:
        assert typed(canonical_key(key)) == typed(key)
    for key in (True, (1, False), (1, (True,))):
        assert isinstance(canonical_key(key), TaggedKey)


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        (Color.RED, "red"),
        (Level.LOW, 1),
        (Bits.ONE | Bits.TWO, 3),
        (Suit.SPADE, "s"),
        (Int64(2**62), 2**62),
        (("a", Int64(-1)), ("a", -1)),
        (Deceit(5), 5),
        (Tag(b"x"), b"x"),
        (Place("Bern", 4), ("Bern", 4)),
        ((Color.RED, Level.LOW), ("red", 1)),
    ],
)
def test_subclasses_become_the_plain_value(key: object, plain: object) -> None:
    assert typed(canonical_key(key)) == typed(plain)


@pytest.mark.parametrize(
    ("key", "conversion"),
    [
        (uuid.UUID(int=7), "str(key) or key.bytes"),
        (datetime.date(2024, 2, 29), "key.isoformat()"),
        (datetime.datetime(2024, 2, 29), "key.isoformat()"),
        (Direction.NORTH, "key.name or key.value"),
        (decimal.Decimal("1.5"), "str(key)"),
        (pathlib.PurePosixPath("a"), "str(key)"),
        (ipaddress.ip_address("::1"), "str(key)"),
        (1.0, "int(key) or str(key)"),
        ([1], "tuple(key)"),
        ({1}, "tuple(sorted(key))"),
        (bytearray(b"x"), "bytes(key)"),
    ],
)
def test_a_value_that_could_be_converted_is_refused_with_the_conversion(
    key: object, conversion: str
) -> None:
    for each in (key, ("a", key)):
        with pytest.raises(TypeError, match=re.escape(f"; write {conversion}; a key is a str")):
            canonical_key(each)
    plain = eval(conversion.partition(" or ")[0], {"key": key})
    assert canonical_key(plain) == plain


@pytest.mark.parametrize("name", ["int8", "int64", "uint64", "intp"])
def test_integers_of_numpy_are_ints(name: str) -> None:
    numpy = pytest.importorskip("numpy")
    key = getattr(numpy, name)(100)
    assert typed(canonical_key(key)) == typed(100)
    assert hash_key(canonical_key((key, "a"))) == hash_key((100, "a"))
    with pytest.raises(TypeError, match=r"write bool\(key\)"):
        canonical_key(numpy.bool_(1))
    with pytest.raises(
        TypeError, match=r"a numpy\.timedelta64 cannot be a key: .*write str\(key\)"
    ):
        canonical_key(("a", numpy.timedelta64(1, "s")))


def test_what_to_write_for_values_of_numpy_is_said_with_their_whole_name() -> None:
    numpy = pytest.importorskip("numpy")
    for key, said in [
        (numpy.bool_(1), r"a numpy\.bool_? cannot be a key: .*; write bool\(key\); "),
        (numpy.array(5), r"a numpy\.ndarray cannot be a key: .*; write key\.item\(\); "),
        (
            numpy.array([5]),
            r"a numpy\.ndarray cannot be a key: .*; write tuple\(key\.tolist\(\)\); ",
        ),
    ]:
        with pytest.raises(TypeError, match=said):
            canonical_key(key)


def test_a_wrapped_key_shows_its_value() -> None:
    assert repr(canonical_key(("a", True))) == "TaggedKey(('a', True))"
    assert repr(canonical_key((True, 10**5000))) == (
        "TaggedKey((True, 0xc78820040d9443cf1647f794d8771866…0000000000000000 (16,610 bits)))"
    )


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        None,
        [1],
        ["x" * 10_000],
        [10**5000],
        bytearray(b"x"),
        memoryview(b"x"),
        frozenset(),
        Hostile(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused_by_name_and_shown_in_short(value: object) -> None:
    for key in (value, (value,), ("a", ("b", value))):
        with pytest.raises(TypeError, match=r"; a key is a str, bytes, int or bool") as caught:
            canonical_key(key)
        assert str(caught.value).startswith(f"{a_type(value)} cannot be a key: ")
        assert len(str(caught.value)) < 600


def test_the_tuple_around_a_refused_value_is_shown() -> None:
    with pytest.raises(TypeError, match=r"a float cannot be a key: 1.5 inside the tuple \('a', 1"):
        canonical_key(("a", 1.5))


def nested(levels: int) -> tuple[Any, ...]:
    key: tuple[Any, ...] = ()
    for _ in range(levels - 1):
        key = (key,)
    return key


def test_nesting_is_bounded() -> None:
    deepest = canonical_key(nested(NESTING_MAX))
    assert key_from_bytes(key_bytes(deepest)) == deepest
    for levels in (NESTING_MAX + 1, 100_000):
        with pytest.raises(TypeError, match=f"more than {NESTING_MAX} deep"):
            canonical_key(nested(levels))
    with pytest.raises(ValueError, match="not a key"):
        key_from_bytes(key_bytes((deepest,)))  # type: ignore[arg-type]  # deeper than any key


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"x",
        b"?",
        b"?\x02",
        b"?\x01\x01",
        b"i",
        b"i\x00\x01",
        b"i\xff\xff",
        b"s\xff",
        b"t",
        b"t\x00\x00\x00",
        b"t\x00\x00\x00\x00x",
        b"t\x00\x00\x00\x01",
        b"t\x00\x00\x00\x01\x00\x00\x00\x03sa",
        b"t\x00\x00\x00\x01\x00\x00\x00\x01sa",
        b"t\x00\x00\x00\x02\x00\x00\x00\x02sa",
        b"t\xff\xff\xff\xff\x00\x00\x00\x02sa",
        b"t\x00\x00\x00\x01\x00\x00\x00\x00",
    ],
)
def test_bytes_of_no_key_are_refused(foreign: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a key|not a tuple|can't decode"):
        key_from_bytes(foreign)


@given(st.binary(max_size=12) | st.binary(max_size=12).map(lambda tail: b"t\0\0\0\x01" + tail))
def test_a_key_has_one_form_of_its_bytes(data: bytes) -> None:
    try:
        key = key_from_bytes(data)
    except ValueError:
        return
    assert key_bytes(key) == data
