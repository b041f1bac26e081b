"""What a fresh object of each state looks like, to notice that its class has changed.

An object of a checkpoint unpickles with the attributes that it had, whatever its class has become.
Code that counts on another one then fails for every record. So each manifest keeps the names that a
fresh object had, and a start compares them with those of a fresh object now: names that user code
adds later, to some objects and not to others, are in neither. Names that only one of two fresh
objects has, a random key for example, say nothing about the class either.
"""

import collections
import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wallaroo.describing import with_article
from wallaroo.topology.function_names import qualified_name
from wallaroo.topology.plan import Plan

_LAST_PART = re.compile(r"""(\.?\w+|\[(?:'[^']*'|"[^"]*")\])$""")
_INDEX = re.compile(r"\[\d*\]$")
_CLASS = ": "
_ORDER = " in this order"

NESTING_MAX = 6
NAMES_MAX = 1000
NAMES_TOLD_MAX = 5


@dataclass(frozen=True, slots=True)
class StateShape:
    """The class of a fresh object, and the names of what is in it."""

    kind: str
    """``module.qualname``."""
    names: list[str]
    """Attributes, slots and fields, and keys that could be attributes, sorted; of nested objects
    with the path: ``window.start``, ``totals['n']``, ``days[].count``, ``pair[1].left``. The class
    of a nested object is a name too, ``window: app.Window``, and so is the order of fields that are
    pickled without their names: ``(first, second) in this order``."""

    def without_classes(self) -> list[str]:
        """Return the names that stay the same if a class is only called otherwise."""
        return [name for name in self.names if not _is_class(name)]


@dataclass(slots=True)
class _Walk:
    names: set[str] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)


def shape_of(value: object) -> StateShape:
    """Return the shape of `value`; raises what its own code raises."""
    walk = _Walk()
    _look_into(value, "", 0, walk)
    return StateShape(qualified_name(type(value)), sorted(walk.names))


def fresh_shapes(plan: Plan) -> dict[str, StateShape]:
    """Return the shape of fresh objects of each state, made by its class.

    A state whose class fails here is left out: whether it works for a record is another question.
    """
    shapes: dict[str, StateShape] = {}
    for name, state in plan.states.items():
        with contextlib.suppress(BaseException):  # a sys.exit() too: it is user code
            one, other = shape_of(state.create()), shape_of(state.create())
            shapes[name] = StateShape(one.kind, sorted({*one.names} & {*other.names}))
    return shapes


def changed_states(then: Mapping[str, StateShape], now: Mapping[str, StateShape]) -> frozenset[str]:
    """Return the states of `now` that `then` has in another shape, or of which it does not know."""
    return frozenset(name for name, shape in now.items() if then.get(name) != shape)


def change_of(then: StateShape, now: StateShape) -> str:
    """Return what has changed, to follow the state's name in a sentence; "" if nothing has."""
    parts = []
    if then.kind != now.kind:
        parts.append(f"its class was {then.kind} and is {now.kind}")
    new = [name for name in now.names if name not in then.names]
    gone = [name for name in then.names if name not in now.names]
    if any(not _is_order(name) for name in (*new, *gone)):
        # Where fields come and go, their order says nothing more.
        new, gone = ([name for name in names if not _is_order(name)] for names in (new, gone))
    if new:
        parts.append(f"a new {_short(now.kind)} has {_listed(new)}, which was not there")
    if gone:
        parts.append(f"{with_article(_short(then.kind))} had {_listed(gone)}, which is gone")
    return " and ".join(parts)


def misfit(value: object, then: StateShape, now: StateShape) -> str:
    """Return what keeps `value` from being what a fresh object is; "" if nothing does.

    It may lack what is within something that it does not have, and have more.
    """
    found = shape_of(value)
    if found.kind != now.kind:
        return f"is {with_article(found.kind)}, not {with_article(now.kind)}"
    has = {*found.names}
    awaited = [name for name in now.without_classes() if name not in has]
    missing = [name for name in awaited if _is_awaited(name, found.names)]
    if missing:
        return f"has no {_listed(missing)}"
    if left := [name for name in then.names if name in has and name not in now.names]:
        return f"still has {_listed(left)}"
    return ""


def _is_awaited(name: str, found: list[str]) -> bool:
    """Whether what `name` would be in is among the names `found`."""
    last = _LAST_PART.search(name)
    within = name[: last.start()] if last else ""
    return not within or any(each.startswith((f"{within}.", f"{within}[")) for each in found)


def restores_itself(value: object) -> bool:
    """Whether the class of `value`, or of something in it, has a ``__setstate__``.

    The one that frozen dataclasses with slots get does not count: it knows no other form.
    """
    methods = (getattr(type(each), "__setstate__", None) for each in _objects(value, 0, set()))
    return any(
        each is not None and getattr(each, "__module__", None) != dataclasses.__name__
        for each in methods
    )


def _look_into(value: object, path: str, depth: int, walk: _Walk) -> None:
    if depth > NESTING_MAX or id(value) in walk.seen:
        return
    walk.seen.add(id(value))
    if path and not _is_pythons(value):
        walk.names.add(f"{path}{_CLASS}{qualified_name(type(value))}")
    if fields := _ordered_fields(value):
        walk.names.add(f"{path}({', '.join(fields)}){_ORDER}")
    for name, inner in _content(value, path):
        if len(walk.names) >= NAMES_MAX:
            return
        if not _INDEX.search(name):
            walk.names.add(name)
        _look_into(inner, name, depth + 1, walk)


def _objects(value: object, depth: int, seen: set[int]) -> Iterator[object]:
    if depth > NESTING_MAX or id(value) in seen:
        return
    seen.add(id(value))
    yield value
    for _, inner in _content(value, ""):
        yield from _objects(inner, depth + 1, seen)


def _content(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield the names in `value`, with the path before them, and what is there.

    Of what is one of many, and has no name, there is the first.
    """
    if isinstance(value, dict):
        items = list(value.items())
        named = [(key, item) for key, item in items if _is_name(key)]
        for key, item in named:
            yield f"{path}[{key!r}]", item
        if items and not named:
            yield f"{path}[]", items[0][1]
    elif isinstance(value, list | collections.deque) and value:
        yield f"{path}[]", value[0]
    elif isinstance(value, tuple) and not hasattr(type(value), "_fields"):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    if not _is_pythons(value):
        for name, item in _attributes(value):
            yield f"{path}.{name}" if path else name, item


def _is_name(key: object) -> bool:
    """Whether a key of a dictionary is the name of a field: a date or a path is data."""
    return isinstance(key, str) and key.isidentifier()


def _is_pythons(value: object) -> bool:
    """Whether what is in `value` is Python's business, as in a lock, a date or an enumeration."""
    module = type(value).__module__.partition(".")[0]
    return isinstance(value, type | Enum) or module in sys.stdlib_module_names


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    kind = type(value)
    yield from (each for each in getattr(value, "__dict__", {}).items() if isinstance(each[0], str))
    names = [name for name in getattr(kind, "_fields", ()) if isinstance(name, str)]
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                is_private = name.startswith("__") and not name.endswith("__")
                names.append(f"_{base.__name__.lstrip('_')}{name}" if is_private else name)
    for name in names:
        with contextlib.suppress(Exception):  # a slot may be empty
            yield name, getattr(value, name)


def _ordered_fields(value: Any) -> Sequence[str]:
    """Return the fields of `value` if its pickle tells them apart by their order only."""
    kind = type(value)
    if isinstance(value, tuple) and not _is_pythons(value):
        return getattr(kind, "_fields", ())
    setstate = getattr(kind, "__setstate__", None)
    if dataclasses.is_dataclass(kind) and (
        getattr(setstate, "__module__", None) == dataclasses.__name__
    ):
        return [each.name for each in dataclasses.fields(kind)]
    return ()


def _is_class(name: str) -> bool:
    return _CLASS in name


def _is_order(name: str) -> bool:
    return name.endswith(_ORDER)


def _short(kind: str) -> str:
    return kind.rpartition(".")[2]


def _listed(names: list[str]) -> str:
    told = ", ".join(names[:NAMES_TOLD_MAX])
    more = len(names) - NAMES_TOLD_MAX
    return f"{told} and {more} more" if more > 0 else told
