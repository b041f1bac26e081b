"""State objects of all kinds as text and as JSON; none of them can break a query."""

import enum
import json
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from wallaroo.operators.state_rendering import (
    ITEM_COUNT_MAX,
    TEXT_LENGTH_MAX,
    show,
    show_each,
    text_of,
)


@dataclass
class Total:
    count: int = 0
    names: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Slim:
    count: int


class Pair(NamedTuple):
    left: int
    right: str


class Color(enum.IntEnum):
    RED = 1


class Plain:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slots:
    __slots__ = ("first", "second")

    def __init__(self) -> None:
        self.first = 1


class Empty:
    pass


class Broken:
    def __init__(self) -> None:
        self.value = 1

    def __repr__(self) -> str:
        raise RuntimeError("not today")


class LyingDict(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("not these")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2**100, 2**100),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("text", "text"),
        (b"\x00\xff", "00ff"),
        (Color.RED, "Color.RED"),
        ([1, (2, 3)], [1, [2, 3]]),
        (deque([1, 2], maxlen=2), [1, 2]),
        (frozenset({4}), [4]),
        (Counter(a=2), {"a": 2}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, {1: [2], ("x", 1): []}), {"1": [2], "('x', 1)": []}),
        (LyingDict(a=1), {"a": 1}),
        (Total(2, {"x"}), {"count": 2, "names": ["x"]}),
        (Slim(5), {"count": 5}),
        (Pair(1, "r"), {"left": 1, "right": "r"}),
        (Plain(a=1, b=Plain(c=None)), {"a": 1, "b": {"c": None}}),
        (Slots(), {"first": 1}),
        (Broken(), {"value": 1}),
        (1 + 2j, "(1+2j)"),
        (Total, repr(Total)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_object_becomes_what_json_can_hold(value: Any, plain: Any) -> None:
    shown = show(value)
    assert shown["value"] == plain
    assert "why_not" not in shown
    json.dumps(shown, allow_nan=False)


def circle() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (circle(), "nested deeper"),
        ({1: "a", "1": "b"}, "the same text"),
        (10**2000, "bits"),
        (list(range(ITEM_COUNT_MAX + 1)), "more than 10,000 items"),
        ([[0] * 6000, [0] * 6000], "more than 10,000 items"),
    ],
    ids=["circle", "keys", "number", "long", "long together"],
)
def test_values_that_json_cannot_hold_well_are_reported(value: Any, why: str) -> None:
    shown = show(value)
    assert shown["value"] is None
    assert why in shown["why_not"]


def test_an_object_that_is_too_large_is_shown_in_short() -> None:
    shown = show({number: number for number in range(1_000_000)})
    assert len(shown["text"]) < 300
    assert shown["text"].startswith("{0: 0, 1: 1")


def test_the_text_is_the_users_own_repr() -> None:
    assert show(Total(1)) == {
        "type": "Total",
        "value": {"count": 1, "names": []},
        "text": "Total(count=1, names=set())",
    }


def test_a_class_without_a_repr_shows_its_attributes() -> None:
    assert text_of(Plain(a=1, b="x")) == "Plain(a=1, b='x')"
    assert text_of(Empty()).startswith("<tests.")


def test_a_repr_that_fails_is_reported() -> None:
    assert text_of(Broken()) == "<Broken, whose repr failed: RuntimeError: not today>"
    assert text_of(Plain(a=Broken())).startswith("<Plain, whose repr failed")


def test_a_long_text_is_cut_off() -> None:
    text = text_of("x" * (TEXT_LENGTH_MAX + 100))
    assert len(text) < TEXT_LENGTH_MAX + 50
    assert text.endswith("(1,048,678 characters)")


def test_the_texts_of_several_objects_have_one_limit() -> None:
    half = "x" * (TEXT_LENGTH_MAX // 2)
    *first, last = show_each([half, half, half])
    assert [each["value"] for each in first] == [half, half]
    assert len(last["text"]) < 200
    assert last["value"] is None
    assert last["why_not"] == "the values before it fill the answer"
