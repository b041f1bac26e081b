"""Records as columns arrive as pickle would bring them."""

import copyreg
import enum
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from wallaroo.operators.columns import dump_records, load_records


class Plain:
    def __init__(self, *values: Any) -> None:
        self.first, self.second = values


class Slotted:
    __slots__ = ("_private", "first", "second")

    def __init__(self, *values: Any) -> None:
        self.first, self.second = values
        self._private = values


class Mangled:
    __slots__ = ("__hidden", "shown")

    def __init__(self, *values: Any) -> None:
        self.__hidden, self.shown = values

    def both(self) -> Any:
        return self.__hidden, self.shown


class Inheriting(Slotted):
    __slots__ = ("third",)

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.third = 3


class SlotsAndDict(Slotted):
    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.extra = values


class OneAttribute:
    def __init__(self, *values: Any) -> None:
        self.values = values


class NoAttribute:
    def __init__(self, *values: Any) -> None:
        pass


class Shadowing:
    kind = "class"

    def __init__(self, *values: Any) -> None:
        self.kind = "instance"


class OwnState(Plain):
    def __getstate__(self) -> Any:
        return {"first": "from getstate", "second": 0}


class OwnReduce(Plain):
    def __reduce__(self) -> Any:
        return OwnReduce, ("from", "reduce")


class OwnSetattr(Plain):
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, ("set", value) if name == "first" else value)


class Registered(Plain):
    pass


copyreg.pickle(Registered, lambda record: (Registered, ("from", "copyreg")))


@dataclass
class Data:
    first: Any
    second: Any


@dataclass(frozen=True)
class Frozen:
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    first: Any
    second: Any


class Named(NamedTuple):
    first: Any
    second: Any


class Colour(enum.Enum):
    RED = "red"


class FromDict(dict[str, Any]):
    def __init__(self, *values: Any) -> None:
        super().__init__(values=values)
        self.more = values


KINDS: list[Callable[[Any, Any], Any]] = [
    Plain, Slotted, Mangled, Inheriting, SlotsAndDict, OneAttribute, NoAttribute, Shadowing,
    OwnState, OwnReduce, OwnSetattr, Registered, Data, Frozen, FrozenSlots, Named, FromDict,
    lambda first, second: (first, second), lambda first, second: {"first": first},
    lambda first, second: Colour.RED, lambda first, second: f"{first}", lambda first, second: None,
]  # fmt: skip
COLUMNS = {Plain, Slotted, Mangled, Inheriting, OneAttribute, Data}


def look(record: Any) -> Any:
    """All that can be seen of a record."""
    slots = copyreg._slotnames(type(record))  # type: ignore[attr-defined]
    seen = {name: getattr(record, name) for name in slots if hasattr(record, name)}
    is_value = isinstance(record, tuple | dict | str | enum.Enum | None)
    return type(record), getattr(record, "__dict__", None), seen, record if is_value else None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_records_of_any_class_arrive_as_by_pickle(
    kind: Callable[[Any, Any], Any], count: int
) -> None:
    records = [kind(f"first {number}", number) for number in range(count)]
    expected = pickle.loads(pickle.dumps(records, 5))
    assert [*map(look, load_records(dump_records(records)))] == [*map(look, expected)]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_classes_and_no_others_travel_as_columns(kind: Callable[[Any, Any], Any]) -> None:
    sent = pickle.loads(dump_records([kind(1, 2), kind(3, 4)]))
    assert isinstance(sent, tuple) == (kind in COLUMNS)


def unset_slot() -> list[Any]:
    record = Slotted(1, 2)
    del record.second
    return [Slotted(1, 2), record]


def other_attributes() -> list[Any]:
    more, fewer = Plain(1, 2), Plain(3, 4)
    more.third = 3  # type: ignore[attr-defined]
    del fewer.first
    return [Plain(5, 6), more, fewer]


def odd_names() -> list[Any]:
    record = Plain(1, 2)
    setattr(record, "not a name", 3)
    setattr(record, "class", 4)
    return [record]


@pytest.mark.parametrize(
    "records",
    [[], [1], unset_slot(), other_attributes(), odd_names(), [Plain(1, 2), Slotted(1, 2)],
     [Plain(1, 2), None], [Data(Data(1, 2), [Data(3, 4)])]],
)  # fmt: skip
def test_batches_that_do_not_fit_columns_arrive_as_by_pickle(records: list[Any]) -> None:
    arrived = load_records(dump_records(records))
    assert [*map(repr, map(type, arrived))] == [*map(repr, map(type, records))]
    assert [getattr(one, "__dict__", None) for one in arrived] == [
        getattr(one, "__dict__", None) for one in records
    ]


def test_an_object_that_records_share_is_still_shared() -> None:
    shared = [1]
    first, second = load_records(dump_records([Plain(shared, 1), Plain(shared, 2)]))
    assert first.first is second.first


def test_an_attribute_that_cannot_be_pickled_raises_as_pickle_does() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        dump_records([Plain(lambda: None, 1)])
