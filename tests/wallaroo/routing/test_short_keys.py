"""Huge keys are shown cut, of every kind and within tuples, and what is short stays as it is."""

import json
from typing import Any

import pytest

from wallaroo.metrics.hot_keys import HottestKeys
from wallaroo.operators.failures import Site, describe_failure
from wallaroo.routing.key_text import JSON_CHARACTERS_MAX, shown_key, text_of_key
from wallaroo.routing.keys import canonical_key, short_repr
from wallaroo.routing.short_keys import CHARACTERS_MAX, short_key, short_text

HUGE: list[Any] = [
    10**5000,
    -(10**5000),
    "x" * 3_000_000,
    "\n" * 3_000_000,
    b"\xff" * 3_000_000,
    ("eu", 10**5000),
    ("x" * 3_000_000, b"y" * 3_000_000, True),
    tuple(range(100_000)),
    ((((10**5000,), "x" * 3_000_000),),),
    ("a" * 190,) * 30,
    tuple(tuple(range(50)) for _ in range(50)),
]
SMALL: list[Any] = ["apple", "", 0, -7, 2**64, b"raw", True, ("eu", 7, (b"x", False)), "line\n"]


@pytest.mark.parametrize("key", HUGE, ids=range(len(HUGE)))
def test_a_huge_key_is_cut_wherever_it_is_shown(key: Any) -> None:
    kind, text, is_cut = shown_key(canonical_key(key))
    assert is_cut
    assert kind in ("int", "str", "bytes", "json")
    assert len(text) <= max(JSON_CHARACTERS_MAX, 7 * CHARACTERS_MAX)
    assert text.isprintable()
    assert len(short_repr(key)) <= 200
    failure = describe_failure(
        raised(), Site("p", "step", has_key=True, node=0), canonical_key(key), None, None
    )
    assert len(json.dumps(failure.key)) <= 50 * CHARACTERS_MAX
    hottest = HottestKeys()
    hottest.add(0.0, [canonical_key(key)])
    [[shown, count]] = hottest.top()
    assert count == 1
    assert len(shown) <= 100


def raised() -> Exception:
    try:
        raise ValueError("no")
    except ValueError as error:
        return error


@pytest.mark.parametrize("key", SMALL, ids=repr)
def test_a_short_key_stays_as_it_is(key: Any) -> None:
    assert short_key(key) == (key, True)
    assert shown_key(canonical_key(key)) == (*text_of_key(canonical_key(key)), False)


def test_both_ends_and_the_length_are_shown() -> None:
    assert short_text("a" * 150 + "z" * 150, 60) == "a" * 21 + "…" + "z" * 21 + " (300 characters)"
    kind, text, _ = shown_key(3 << 16_000)
    assert (kind, text) == (
        "int",
        "0xc0000000000000000000000000000000…0000000000000000 (16,002 bits)",
    )
    assert shown_key(b"\x01" + b"\x00" * 200)[1].endswith("00 (201 bytes)")


def test_keys_that_differ_at_their_ends_are_told_apart_when_they_are_hot() -> None:
    hottest = HottestKeys()
    hottest.add(0.0, ["customer-" + "0" * 300 + end for end in "12"])
    assert len(hottest.top()) == 2
