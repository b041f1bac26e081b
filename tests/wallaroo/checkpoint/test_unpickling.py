"""One unreadable object does not hide the others; of a removed class the attributes are read."""

import pickle
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.pickling import PickledState, StatePickler
from wallaroo.checkpoint.removed_class import RemovedClassObject
from wallaroo.checkpoint.unpickling import Unreadable, unpickle_states


class Plain:
    def __init__(self, value: object = None) -> None:
        self.value = value


class RefusedError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class Moody:
    """Unpickles unless it holds too much; what it holds may be anything."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __setstate__(self, state: dict[str, object]) -> None:
        if state["value"] == "too much":
            raise SystemExit(4)
        self.__dict__.update(state)


class Swallower:
    """Makes something good-looking of anything."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return repr, (self.value,)


class Bounded(dict[str, Any]):
    def __init__(self) -> None:
        self.limit = 1

    def __setitem__(self, key: str, value: Any) -> None:
        if self.limit:
            super().__setitem__(key, value)


class Shelf(list[Any]):
    def append(self, item: Any) -> None:
        if item == "full":
            raise OverflowError(item)
        super().append(item)

    def extend(self, items: Any) -> None:
        for item in items:
            self.append(item)


class Leaf:
    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: object, right: object = None) -> None:
        self.left = left
        self.right = right


def bad() -> object:
    return RefusedError(4, "late")


def filled(kind: type, *items: Any) -> Any:
    value = kind()
    for item in items:
        kind.__base__.append(value, item)  # type: ignore[union-attr]
    return value


def full_bounded() -> Bounded:
    value = Bounded()
    value["a"] = 1
    return value


def parent_and_child() -> Plain:
    parent, child = Plain(), Moody("too much")
    parent.value = [child]
    child.__dict__["parent"] = parent
    return parent


UNREADABLE: dict[str, Any] = {
    "itself": bad,
    "in an attribute": lambda: Plain(bad()),
    "in a slot": lambda: Slotted(1, bad()),
    "in a dictionary": lambda: {"a": {"b": bad()}},
    "as a key": lambda: {(bad(), 1): 2},
    "in a tuple in a list": lambda: [1, (2, bad())],
    "in a set": lambda: {1, bad()},
    "in a frozen set": lambda: frozenset([1, bad()]),
    "given to a function": lambda: Swallower(bad()),
    "given to __setstate__": lambda: Moody(bad()),
    "a state that is refused": lambda: Moody("too much"),
    "an item that is refused": lambda: filled(Shelf, 1, "full", 2),
    "items that are refused": full_bounded,
    "in a circle": parent_and_child,
    "copied before": lambda: PickledState(pickle.dumps(Plain(bad()))),
}


def pickled(states: list[Any]) -> bytes:
    return pickle.dumps(states, 5)


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=list(UNREADABLE))
@pytest.mark.parametrize("place", [0, 1, 3])
def test_the_others_are_read(make: Any, place: int) -> None:
    states = [Plain(1), {"x": [Plain("two")]}, Slotted(3)]
    states.insert(place, make())
    found = unpickle_states(pickled(states), 4)
    assert found is not None
    unreadable = found.pop(place)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.error.startswith(
        ("TypeError: ", "SystemExit: ", "OverflowError: ", "AttributeError: ")
    )
    assert found[0].value == 1
    assert found[1]["x"][0].value == "two"
    assert found[2].left == 3


def test_what_several_share_is_lost_to_all_of_them() -> None:
    shared = Plain([bad()])
    found = unpickle_states(pickled([Plain(shared), Plain(1), {"s": shared}, shared]), 4)
    assert found is not None
    assert [isinstance(each, Unreadable) for each in found] == [True, False, True, True]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.lists(st.integers(), max_size=3).map(set)
        | st.lists(st.integers(), max_size=3).map(lambda some: {Leaf(each) for each in some})
        | st.frozensets(st.integers(), max_size=3)
        | inner.map(Plain)
        | inner.map(Moody)
        | inner.map(Slotted)
        | inner.map(lambda each: filled(Shelf, each))
    ),
    max_leaves=6,
)


@given(st.lists(values, max_size=6), st.integers(0, 6))
def test_whatever_can_be_read_is_what_it_was(states: list[Any], place: int) -> None:
    expected = [pickled([each]) for each in states]
    states.insert(place, bad())
    place = min(place, len(states) - 1)
    found = unpickle_states(pickled(states), len(states))
    assert found is not None
    assert isinstance(found.pop(place), Unreadable)
    # Sets have no order of their own, so what is compared is what both come to again.
    again = [pickled([pickle.loads(each)[0]]) for each in expected]
    assert [len(pickled([each])) for each in found] == [len(each) for each in again]


def test_what_is_not_the_pickle_of_so_many_objects_is_none() -> None:
    assert unpickle_states(pickled([1, 2]), 3) is None
    assert unpickle_states(pickle.dumps({"a": 1}), 1) is None


def test_a_pickle_that_is_broken_as_a_whole_has_no_object_to_read() -> None:
    found = unpickle_states(b"\x80\x05]\x94(K\x01", 2)
    assert found is not None
    assert all(isinstance(each, Unreadable) for each in found)


# Classes that do not exist any more


class Totals:
    def __init__(self) -> None:
        self.count = 2
        self.inner = Plain(5)


class OldList(list[int]): ...


class OldDict(dict[str, int]): ...


def without(monkeypatch: pytest.MonkeyPatch, data: bytes, *names: str, may: bool = True) -> Any:
    for name in names:
        monkeypatch.delitem(globals(), name)
    found = unpickle_states(data, 1, may_be_removed=may)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("is_copy", [False, True])
def test_an_object_of_a_gone_class_is_its_attributes(
    monkeypatch: pytest.MonkeyPatch, *, is_copy: bool
) -> None:
    state = PickledState(StatePickler().pickle(Totals())) if is_copy else Totals()
    data = StatePickler().pickle([state])
    old = without(monkeypatch, data, "Totals", "Plain")
    assert isinstance(old, types.SimpleNamespace)
    assert old.count == 2
    assert old.inner.value == 5


def test_an_object_of_a_gone_class_has_what_it_was_called_with_and_its_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = (Slotted(1, 2), ValueError("x"), OldList([1, 2]), OldDict(a=1), RefusedError(1, "b"))
    names = ("Slotted", "OldList", "OldDict", "RefusedError")
    slotted, error, items, fields, refused = without(monkeypatch, pickled([state]), *names)
    assert (slotted.left, slotted.right) == (1, 2)
    assert error.args == ("x",)
    assert (items.items, fields.items) == ([1, 2], {"a": 1})
    assert isinstance(refused, RemovedClassObject)
    assert refused.args == ("1: b",)


def test_a_gone_class_beside_something_unreadable_is_still_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pickled([Totals(), bad()])
    monkeypatch.delitem(globals(), "Totals")
    found = unpickle_states(data, 2, may_be_removed=True)
    assert found is not None
    assert found[0].count == 2
    assert isinstance(found[1], Unreadable)


def test_a_gone_class_is_unreadable_where_nobody_upgrades_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = without(monkeypatch, pickled([Totals()]), "Totals", may=False)
    assert isinstance(old, Unreadable)
    assert "Totals" in old.error
