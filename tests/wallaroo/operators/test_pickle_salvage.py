"""What can be read of a pickle is read as pickle reads it; what cannot is known to the part."""

import collections
import copyreg
import datetime
import decimal
import enum
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.operators.columns import dump_records, rescue_records
from wallaroo.operators.pickle_salvage import read_parts

keys = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
leaves = keys | st.floats(allow_nan=False) | st.decimals(allow_nan=False) | st.datetimes()
values = st.recursive(
    leaves | st.binary().map(bytearray) | st.frozensets(keys) | st.sets(keys),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(keys, inner).map(collections.OrderedDict)
        | inner.map(lambda value: Node(value))
    ),
)


class Node:
    def __init__(self, *values: Any) -> None:
        self.values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]


class Unreadable:
    def __init__(self, name: str = "it") -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return fail, (self.name,)


def fail(name: Any) -> None:
    raise ValueError(f"{name} is unreadable")


class Colour(enum.Enum):
    RED = "red"


class Reduced:
    """Pickled as it is told to be."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


class Forgetful:
    """Does not tell pickle what it holds."""

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def __getstate__(self) -> None:
        raise TypeError("not to be pickled again")


class Refusing(list[Any]):
    def extend(self, values: Any) -> None:
        raise ValueError("takes nothing")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise KeyError(index)


class Unhashable:
    def __hash__(self) -> int:
        if self.__dict__:
            raise ValueError("no hash after the journey")
        return 1


class KeywordsOnly:
    def __new__(cls, *, number: int = 1) -> "KeywordsOnly":
        if number < 0:
            raise ValueError(f"{number} is negative")
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[Any, ...]:
        return (), {"number": self.number}

    number = 1


class Negative(KeywordsOnly):
    number = -1


def set_state(target: Any, state: Any) -> None:
    if state == "bad":
        raise ValueError("no such state")
    target.values = (state,)


def refuse_incomplete(inner: list[Any]) -> Any:
    """Fail once there is something in ``inner``; pickle builds what holds itself twice."""
    if inner:
        raise ValueError("second time")
    return Node(inner)


def rescued(records: list[Any]) -> list[tuple[Any, str | None]]:
    """Return each record, or its error as text."""
    return [
        (record, None if error is None else str(error))
        for record, error in rescue_records(pickle.dumps(records, 5))
    ]


@given(values)
def test_what_is_readable_is_read_as_pickle_reads_it(value: Any) -> None:
    part = read_parts(pickle.dumps(value, 5))
    assert part.error is None
    assert part.value == value
    assert pickle.dumps(part.value, 5) == pickle.dumps(pickle.loads(pickle.dumps(value, 5)), 5)


@given(st.lists(values | st.just(Unreadable())))
def test_unreadable_records_are_told_apart_from_any_others(records: list[Any]) -> None:
    expected = [
        (None, "it is unreadable") if isinstance(record, Unreadable) else (record, None)
        for record in records
    ]
    assert rescued(records) == expected


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        range(3),
        KeywordsOnly,
        len,
        type(None),
        ...,
        complex(1, 2),
        decimal.Decimal("1.5"),
        datetime.timedelta(1),
        2**3_000,
        b"b" * 100_000,
        "t" * 100_000,
        collections.Counter("abca"),
        collections.defaultdict(list, a=[1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_all_sorts_stand_beside_an_unreadable_one(value: Any) -> None:
    (got, error), (_, other) = rescued([[value], Unreadable()])
    assert (error, other) == (None, "it is unreadable")
    assert repr(got) == repr(pickle.loads(pickle.dumps([value])))


@pytest.mark.parametrize(
    ("wrap", "error"),
    [
        (lambda: (1, 2, 3, Unreadable()), "it is unreadable"),
        (lambda: {Unreadable()}, "it is unreadable"),
        (lambda: frozenset({Unreadable()}), "it is unreadable"),
        (lambda: {Unreadable(): 1}, "it is unreadable"),
        (lambda: {"a": 1, "b": Unreadable()}, "it is unreadable"),
        (lambda: collections.deque([1, Unreadable()]), "it is unreadable"),
        (lambda: Node(Unreadable("first"), Unreadable("second")), "first is unreadable"),
        (lambda: Refusing([1]), "takes nothing"),
        (
            lambda: Reduced(list, (), None, None, iter([(0, 1)])),
            "list assignment index out of range",
        ),
        (lambda: Reduced(Unhashable, (), {"a": 1}), None),
        (lambda: {Reduced(Unhashable, (), {"a": 1}): 1}, "no hash after the journey"),
        (lambda: {Reduced(Unhashable, (), {"a": 1})}, "no hash after the journey"),
        (Negative, "-1 is negative"),
        (KeywordsOnly, None),
        (lambda: Reduced(object, (), {"a": 1}), "'object' object has no attribute '__dict__'"),
        (lambda: Reduced(Node, (), "bad", None, None, set_state), "no such state"),
        (lambda: Reduced(Node, (), Unreadable(), None, None, set_state), "it is unreadable"),
        (lambda: Reduced(Node, (), "good", None, None, set_state), None),
    ],
)
def test_whatever_fails_spoils_what_it_is_part_of(
    wrap: Callable[[], Any], error: str | None
) -> None:
    (before, _), (_, got), (after, _) = rescued(["before", ["shell", wrap()], "after"])
    assert (before, got, after) == ("before", error, "after")


def test_every_record_that_shares_something_unreadable_is_spoilt_and_no_other_one() -> None:
    shared, other = [Unreadable()], ["other"]
    results = rescued([(1, shared), (2, other), (3, shared), (4, other), shared])
    assert [error is None for _, error in results] == [False, True, False, True, False]
    assert results[1][0][1] is results[3][0][1]


def test_words_that_a_spoilt_record_shares_with_others_do_not_spoil_these() -> None:
    word, members = "".join(["wo", "rd"]), [1]
    records = [(word, members, Unreadable(word)), (word, members), {word: Colour.RED}]
    assert rescued(records)[1:] == [((word, [1]), None), ({word: Colour.RED}, None)]


def test_one_object_that_two_records_reach_in_vain_has_one_error() -> None:
    shared = Unreadable()
    (_, first), (_, second) = rescue_records(pickle.dumps([(shared, 1), (shared, 2)], 5))
    assert first is second


def test_a_state_that_cannot_be_set_spoils_all_that_hold_the_object() -> None:
    shared = Reduced(Node, (), "bad", None, None, set_state)
    results = rescued([[shared], "between", {"a": shared}])
    assert [error for _, error in results] == ["no such state", None, "no such state"]


def test_a_record_is_spoilt_by_what_becomes_part_of_it_later() -> None:
    circle: list[Any] = []
    node = Node(circle)
    circle += [node, 1, Unreadable()]
    spoilt = "it is unreadable"
    assert [error for _, error in rescued([circle, [node], 1])] == [spoilt, spoilt, None]
    assert [error for _, error in rescued([node, 1])] == [spoilt, None]


def test_records_that_hold_themselves_come_back() -> None:
    circle: list[Any] = []
    pair = (circle, 1)
    circle.append(pair)
    many = (circle, 1, 2, 3)
    circle.append(many)
    (got, error), _ = rescued([pair, Unreadable()])
    assert error is None
    assert got[0][0] is got
    assert got[0][1][0] is got[0]


def test_a_call_that_fails_on_the_way_to_itself_spoils_what_it_was_for() -> None:
    inner: list[Any] = []
    inner.append(Reduced(refuse_incomplete, (inner,)))
    data = pickle.dumps([inner[0], "after"], 5)
    with pytest.raises(ValueError, match="second time"):
        pickle.loads(data)
    results = rescue_records(data)
    assert [str(error) for _, error in results] == ["second time", "None"]


def test_what_records_hide_from_pickle_does_not_matter() -> None:
    hiding = Reduced(Forgetful, (7,))
    lost = Reduced(Forgetful, (Unreadable(),))
    (record, error), (_, lost_error) = rescued([hiding, lost])
    assert error is None
    assert record.held == 7
    assert lost_error == "it is unreadable"


def test_registered_extensions_are_understood() -> None:
    copyreg.add_extension(__name__, "Node", 240)
    try:
        assert rescued([Node(1), Unreadable()]) == [(Node(1), None), (None, "it is unreadable")]
    finally:
        copyreg.remove_extension(__name__, "Node", 240)


def test_columns_are_read_value_by_value() -> None:
    records = [Node(1), Node(Unreadable()), Node(3)]
    data = dump_records(records)
    results = rescue_records(data)
    assert [record for record, _ in results] == [Node(1), None, Node(3)]
    assert [str(error) for _, error in results] == ["None", "it is unreadable", "None"]


def test_a_class_that_takes_the_columns_no_more_is_an_error_of_each_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = dump_records([Node(1), Node(2)])
    monkeypatch.setattr(Node, "values", property(lambda self: ()), raising=False)
    results = rescue_records(data)
    assert [type(error) for _, error in results] == [AttributeError, AttributeError]


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x05", b"\x80\x05](K\x01", b"\x80\x05R.", b"\x80\x05."]
)
def test_nonsense_is_an_error(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError, pickle.UnpicklingError)):
        read_parts(data)


def test_pickles_of_old_protocols_are_an_error() -> None:
    with pytest.raises(pickle.UnpicklingError, match="PUT is not for protocols"):
        read_parts(pickle.dumps([1], 1))
