"""What pickles and does not unpickle is refused when it is written; what is proven is not read."""

import collections
import copyreg
import dataclasses
import datetime
import enum
import fractions
import pickle
import sys
import threading
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wallaroo.checkpoint.parts import encode_chunk
from wallaroo.checkpoint.pickling import (
    ImportedClasses,
    NotReadableError,
    StatePickler,
    runs_own_code,
)
from wallaroo.errors import StateObjectError


class Plain:
    def __init__(self, value: object = None) -> None:
        self.value = value


class RefusedError(Exception):
    """Takes other arguments than it passes on."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


@dataclasses.dataclass
class NamedError(Exception):
    code: int
    reason: str


class Delegate:
    """Its ``__getattr__`` asks for what is not there yet."""

    def __init__(self) -> None:
        self.inner = Plain(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Moody:
    """Unpickles unless it holds too much."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __setstate__(self, state: dict[str, int]) -> None:
        if state["value"] > 5:
            raise ValueError("too much")
        self.__dict__.update(state)


class Stateless:
    """Its ``__getstate__`` gives what nobody can set."""

    def __getstate__(self) -> Any:
        return ["a list"]


class Argued:
    def __new__(cls, _argument: int) -> "Argued":
        return super().__new__(cls)


class Reduced:
    def __init__(self, argument: int) -> None:
        self.argument = argument

    def __reduce__(self) -> Any:
        return type(self), ()


class Bounded(dict[str, int]):
    """Sets its items before it has its attributes again."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __setitem__(self, key: str, value: int) -> None:
        super().__setitem__(key, min(value, self.limit))


class Checked(list[int]):
    def __init__(self) -> None:
        self.limit = 3

    def append(self, item: int) -> None:
        super().append(min(item, self.limit))

    def extend(self, items: Any) -> None:
        for item in items:
            self.append(item)


class Node:
    """Hashed by an attribute that it does not have yet when it comes back within a circle."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.others: set[Node] = set()

    def __hash__(self) -> int:
        return hash(self.name)


class Registered:
    pass


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        object.__setattr__(self, "value", 1)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("it never changes")


Point = collections.namedtuple("Point", "x y")


def circle() -> Node:
    one, other = Node("one"), Node("other")
    one.others.add(other)
    other.others.add(one)
    return one


def bounded() -> Bounded:
    full = Bounded(3)
    full["a"] = 1
    return full


def checked() -> Checked:
    full = Checked()
    full.append(1)
    return full


NOT_READABLE: dict[str, Callable[[], object]] = {
    "an exception that takes other arguments": lambda: RefusedError(4, "late"),
    "an exception made with names": lambda: NamedError(code=4, reason="late"),
    "an unguarded __getattr__": Delegate,
    "a __setstate__ that raises": lambda: Moody(6),
    "a __getstate__ that nobody can set": Stateless,
    "a __new__ that needs arguments": lambda: Argued(1),
    "a __reduce__ that leaves out arguments": lambda: Reduced(1),
    "a dictionary that counts on an attribute": bounded,
    "a list that counts on an attribute": checked,
    "a circle through a set": circle,
    "slots that cannot be set": Slotted,
}


@pytest.fixture(params=list(NOT_READABLE))
def bad(request: pytest.FixtureRequest) -> object:
    return NOT_READABLE[request.param]()


def test_what_does_not_unpickle_is_refused_with_state_and_key(bad: object) -> None:
    pickle.dumps(bad)
    with pytest.raises(
        StateObjectError, match=r"state 'orders' cannot be saved: the object of key 'b' can be"
    ) as caught:
        encode_chunk(["a", "b", "c"], [Plain(), Plain(bad), Plain()], "orders", StatePickler())
    assert "super().__init__()" in caught.value.hint


def test_it_is_found_behind_good_ones_and_deep_inside_and_every_time(bad: object) -> None:
    pickler = StatePickler()
    good = [Plain([{"k": (Plain(1), None)}]), Bounded(3), Checked(), Node("a"), Moody(1)]
    pickler.pickle(good)
    for _ in range(2):
        with pytest.raises(NotReadableError):
            pickler.pickle([Plain([{"k": (bad, None)}])])
    assert pickle.loads(pickler.pickle(Plain(7))).value == 7


@pytest.mark.parametrize(
    ("before", "around"),
    [
        ([Plain(1)], lambda value: [Plain(1), Plain(value)]),
        ([{"k": 1}], lambda value: [{"k": value}]),
        ([1], lambda value: [1, value]),
        ([Plain("ends with the marks \u2013")], lambda value: [Plain(1), Plain({"k": [value]})]),
        ([Point(1, 2)], lambda value: [Point(1, value)]),
        ([], lambda value: [value]),
    ],
    ids=["object", "dictionary", "number", "text", "named tuple", "none"],
)
def test_it_is_found_behind_states_that_are_simple(
    bad: object, before: list[object], around: Callable[[object], list[object]]
) -> None:
    pickler = StatePickler()
    for _ in range(3):
        assert pickle.loads(pickler.pickle_together(before)) is not None
    for _ in range(2):
        with pytest.raises(NotReadableError):
            pickler.pickle_together(around(bad))
    pickler.pickle_together(before)


def test_a_class_that_pickles_by_a_number_is_found(
    bad: object,
) -> None:
    kind = type(bad)
    copyreg.add_extension(kind.__module__, kind.__qualname__, 240)
    try:
        pickler = StatePickler()
        pickler.pickle_together([Plain(1)])
        with pytest.raises(NotReadableError):
            pickler.pickle_together([Plain(bad)])
    finally:
        copyreg.remove_extension(kind.__module__, kind.__qualname__, 240)


def test_a_simple_state_is_pickled_without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pickler = StatePickler()
    values: list[list[object]] = [[Plain(1), Plain("x")], [{"k": [1]}], [Point(1, 2)]]
    first = [pickler.pickle_together(value) for value in values]
    monkeypatch.setattr(pickler, "pickle", lambda _: pytest.fail("by the table"))
    assert [pickler.pickle_together(value) for value in values] == first


class Typed(typing.NamedTuple):
    x: int


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int


class Colour(enum.Enum):
    RED = 1


PROVEN_AT_ONCE = [
    Plain(1),
    Point(1, 2),
    Typed(1),
    Frozen(1),
    Colour.RED,
    collections.Counter("aab"),
    collections.OrderedDict(a=1),
    collections.deque([1], 3),
    collections.defaultdict(list, a=[1]),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    fractions.Fraction(1, 3),
    uuid.UUID(int=5),
    {Frozen(1), Typed(2)},
    len,
]


@pytest.mark.parametrize("value", PROVEN_AT_ONCE, ids=lambda value: type(value).__name__)
def test_a_class_without_code_of_its_own_is_read_back_once(
    value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickler = StatePickler(ImportedClasses.of_this_process())
    first = pickler.pickle([value])
    monkeypatch.setattr(pickle, "loads", lambda _: pytest.fail("read back again"))
    assert pickler.pickle([value]) == first
    monkeypatch.undo()
    (found,) = pickle.loads(first)
    assert type(found) is type(value)


def test_a_class_with_code_of_its_own_is_read_back_each_time() -> None:
    pickler = StatePickler()
    pickler.pickle(Moody(1))
    pickler.pickle(Moody(5))
    with pytest.raises(NotReadableError, match="ValueError: too much"):
        pickler.pickle(Moody(6))


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
def test_pickles_of_one_pickler_know_nothing_of_each_other(size: int) -> None:
    pickler, value = StatePickler(), Plain("x" * size)
    assert [pickle.loads(pickler.pickle([value])) for _ in range(3)]
    assert pickle.loads(pickler.pickle([value]))[0].value == value.value


def test_what_cannot_be_pickled_leaves_the_pickler_as_it_was() -> None:
    pickler = StatePickler()
    with pytest.raises(TypeError):
        pickler.pickle([Plain(1), threading.Lock()])
    assert pickle.loads(pickler.pickle(Plain(2))).value == 2


@pytest.fixture
def registered() -> Iterator[None]:
    copyreg.pickle(Registered, lambda _: (Plain, ("by copyreg",)))  # type: ignore[arg-type,return-value]
    yield
    del copyreg.dispatch_table[Registered]


@pytest.mark.usefixtures("registered")
def test_functions_of_copyreg_are_used_as_pickle_uses_them() -> None:
    pickler = StatePickler()
    for _ in range(2):
        assert pickle.loads(pickler.pickle(Registered())).value == "by copyreg"
    assert runs_own_code(Registered)


# Classes that only this process has


def test_a_class_made_since_the_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = ImportedClasses.of_this_process()
    made = type("Made", (), {"__module__": __name__})
    monkeypatch.setitem(globals(), "Made", made)
    with pytest.raises(NotReadableError, match=r"Made was made while the application ran"):
        StatePickler(imported).pickle([made()])
    StatePickler(ImportedClasses.of_this_process()).pickle([made()])


def test_a_class_put_in_the_place_of_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = ImportedClasses.of_this_process()
    made = type("Plain", (), {"__module__": __name__})
    monkeypatch.setitem(globals(), "Plain", made)
    with pytest.raises(NotReadableError, match="Plain was made"):
        StatePickler(imported).pickle(made())


def test_a_class_of_a_module_imported_later_is_taken_and_of_one_made_by_hand_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = ImportedClasses({})
    assert known.has(fractions.Fraction)
    module = types.ModuleType("made_by_hand")
    module.__dict__["Made"] = made = type("Made", (), {"__module__": "made_by_hand"})
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    assert not known.has(made)


def remade() -> object:
    class Hidden:
        def __reduce__(self) -> Any:
            return remade, ()

    return Hidden()


def test_an_object_that_a_function_makes_again_needs_no_class_by_name() -> None:
    pickler = StatePickler(ImportedClasses.of_this_process())
    assert type(pickle.loads(pickler.pickle(remade()))).__name__ == "Hidden"
