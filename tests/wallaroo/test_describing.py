"""Every value of a user's becomes text, or a plain value that msgpack and JSON hold."""

import enum
import json
import math
from typing import Any

import msgpack
import pytest

from wallaroo.describing import TEXT_LENGTH_MAX, error_text, plain, text_of, type_name, with_article


class Loud(str):
    def __str__(self) -> str:
        raise SystemExit(1)

    def __len__(self) -> int:
        raise SystemExit(1)

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise SystemExit(1)


class Number(int):
    pass


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 2**70, 10**5000, 1.5, math.nan,
        math.inf, -math.inf, "text", "\ud800", "x" * 10**6, b"\xff", Loud("x"), Number(2**70),
        Colour.RED, [1, [2]], {"a": math.nan}, object(), object, Exception("x"), 1j, {1, 2},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_it_can_be_packed_and_written(value: object) -> None:
    made = plain(value)
    assert msgpack.unpackb(msgpack.packb(made)) == made
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert not isinstance(made, str) or len(made) <= TEXT_LENGTH_MAX + 1


def test_what_is_plain_stays_as_it_is() -> None:
    for value in (None, True, False, 0, -5, 2**63, 1.25, "a text"):
        assert plain(value) == value
        assert type(plain(value)) is type(value)


def test_what_cannot_be_shown_has_its_class() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    assert text_of(Shy()) == "<Shy that cannot be shown>"
    assert type_name(Shy()) == "Shy"
    assert error_text(ValueError("why")) == "ValueError: why"
    assert error_text(type("E", (Exception,), {"__str__": None})()).startswith("E: <E that")


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("int", "an int"),
        ("object", "an object"),
        ("float", "a float"),
        ("UUID", "a UUID"),
        ("uint8", "a uint8"),
        ("_Item", "an _Item"),
        ("IPv4Address", "an IPv4Address"),
        ("", "a "),
    ],
)
def test_a_noun_has_the_article_that_it_is_spoken_with(noun: str, said: str) -> None:
    assert with_article(noun) == said
