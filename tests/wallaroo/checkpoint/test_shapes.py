"""What a fresh object has in it, and how a sentence tells of a change."""

import collections
import dataclasses
import datetime
import itertools
import threading
from typing import Any, NamedTuple

import pytest

from tests.wallaroo.checkpoint.states_of_old import NAME, plan_of
from wallaroo.checkpoint.shapes import (
    NAMES_MAX,
    StateShape,
    change_of,
    fresh_shapes,
    misfit,
    restores_itself,
    shape_of,
)


class Window:
    def __init__(self) -> None:
        self.start = 0


class Totals:
    shared = 1

    def __init__(self) -> None:
        self.count = 0
        self.window = Window()
        self.by_name = {"n": 0, 3: 4}
        self.days = [Window(), Window()]
        self.seen: set[str] = set()
        self.at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.lock = threading.Lock()

    @property
    def mean(self) -> float:
        raise ValueError("of nothing")


class Slotted:
    __slots__ = ("__hidden", "left")

    def __init__(self) -> None:
        self.__hidden = 1


class Single:
    __slots__ = "only"

    def __init__(self) -> None:
        self.only = 1


@dataclasses.dataclass(slots=True)
class Fields:
    a: int = 0
    b: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    a: int = 0
    b: int = 0


class Pair(NamedTuple):
    first: Window
    second: int


class Bag(dict[str, int]):
    def __init__(self) -> None:
        super().__init__(n=1)
        self.limit = 3


class Circle:
    def __init__(self) -> None:
        self.me = self
        self.other = [self]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (
            Totals(),
            "at by_name by_name['n'] count days days[].start lock seen window window.start",
        ),
        (Slotted(), "_Slotted__hidden"),
        (Single(), "only"),
        (Fields(), "a b"),
        (Pair(Window(), 1), "first first.start second"),
        (Bag(), "['n'] limit"),
        (Circle(), "me other"),
        ({"n": 0, "of": {"m": 1}}, "['n'] ['of'] ['of']['m']"),
        ((Window(), Fields()), "[0].start [1].a [1].b"),
        (collections.deque([Window()]), "[].start"),
        (collections.Counter(), ""),
        ([], ""),
        (0, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_shape_has_the_names_of_all_that_is_inside(value: object, names: str) -> None:
    plain = [name for name in shape_of(value).without_classes() if " " not in name]
    assert plain == names.split()


def test_a_shape_has_the_classes_of_what_is_inside_and_the_order_of_nameless_fields() -> None:
    names = shape_of(Pair(Window(), 1)).names
    assert f"first: {__name__}.Window" in names
    assert "(first, second) in this order" in names
    assert "(a, b) in this order" in shape_of(Frozen()).names
    assert "(a, b) in this order" not in shape_of(Fields()).names


def test_a_shape_has_no_keys_that_are_data() -> None:
    assert shape_of({"2026-11-30": 0, "/cart": 0, "n": 0}).names == ["['n']"]
    assert "[].start" in shape_of({3: Window()}).names


def test_only_names_that_each_fresh_object_has_count() -> None:
    numbers = itertools.count()

    def create() -> dict[str, int]:
        return {"n": 0, f"random_{next(numbers)}": 0}

    assert fresh_shapes(plan_of(create))[NAME].names == ["['n']"]


def test_the_class_is_named_with_its_module() -> None:
    assert shape_of(Window()).kind == f"{__name__}.Window"
    assert shape_of({}).kind == "builtins.dict"


def test_a_shape_is_bounded() -> None:
    assert len(shape_of(dict.fromkeys(map(str, range(3 * NAMES_MAX)), 0)).names) <= NAMES_MAX
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100):
        inner["x"] = inner = {}
    assert 0 < len(shape_of(deep).names) < 20


def test_a_change_names_what_is_new_and_what_is_gone() -> None:
    then = StateShape("app.Totals", ["count", "sum"])
    assert change_of(then, then) == ""
    assert change_of(then, StateShape("app.Totals", ["count", "mean", "sum"])) == (
        "a new Totals has mean, which was not there"
    )
    assert change_of(then, StateShape("app.Sums", ["count", "total"])) == (
        "its class was app.Totals and is app.Sums and a new Sums has total, which was not there "
        "and a Totals had sum, which is gone"
    )
    many = StateShape("app.Totals", [*then.names, *(f"x{number}" for number in range(9))])
    assert "x0, x1, x2, x3, x4 and 4 more" in change_of(then, many)


def shape(*names: str) -> StateShape:
    return StateShape(f"{__name__}.Totals", [*names])


def test_an_object_fits_if_it_has_what_a_fresh_one_has_and_perhaps_more() -> None:
    value = Totals()
    value.extra = 1  # type: ignore[attr-defined]
    now = shape_of(Totals())
    assert misfit(value, shape(), now) == ""
    del value.count
    assert misfit(value, shape(), now) == "has no count"
    assert misfit(Totals(), shape("seen"), shape("count")) == "still has seen"
    assert misfit(Window(), shape(), now) == f"is a {__name__}.Window, not a {__name__}.Totals"


def test_what_is_within_something_counts_only_where_that_is_there() -> None:
    now = shape_of(Totals())
    value = Totals()
    value.days.clear()
    value.window = None  # type: ignore[assignment]
    value.by_name.clear()
    assert misfit(value, shape(), now) == ""
    del (other := Totals()).window.start
    other.window.end = 3  # type: ignore[attr-defined]
    assert misfit(other, shape(), now) == "has no window.start"


def test_a_setstate_anywhere_inside_restores_an_object() -> None:
    class Restoring:
        def __setstate__(self, state: object) -> None: ...

    assert not restores_itself(Totals())
    assert not restores_itself(Frozen())
    assert restores_itself({"a": [Restoring()]})
