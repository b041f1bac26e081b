"""What a fresh object of each state looks like, to notice that its class has changed.

An object of a checkpoint unpickles with the attributes that it had, whatever its class has become.
Code that counts on another one then fails for every record. So each manifest keeps the names that a
fresh object had, and a start compares them with those of a fresh object now: names that user code
adds later, to some objects and not to others, are in neither.
"""

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wallaroo.topology.function_names import qualified_name
from wallaroo.topology.plan import Plan

_LAST_PART = re.compile(r"""(\.?\w+|\[(?:'[^']*'|"[^"]*")\])$""")

NESTING_MAX = 6
NAMES_MAX = 1000
NAMES_TOLD_MAX = 5


@dataclass(frozen=True, slots=True)
class StateShape:
    """The class of a fresh object, and the names of what is in it."""

    kind: str
    """``module.qualname``."""
    names: list[str]
    """Attributes, slots, fields and keys that are texts, sorted; of nested objects with the path:
    ``window.start``, ``totals['n']``, ``days[].count``."""


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
    """Return the shape of a fresh object of each state, made by its class.

    A state whose class fails here is left out: whether it works for a record is another question.
    """
    shapes: dict[str, StateShape] = {}
    for name, state in plan.states.items():
        with contextlib.suppress(BaseException):  # a sys.exit() too: it is user code
            shapes[name] = shape_of(state.create())
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
    if new:
        parts.append(f"a new {_short(now.kind)} has {_listed(new)}, which was not there")
    if gone:
        parts.append(f"a {_short(then.kind)} had {_listed(gone)}, which is gone")
    return " and ".join(parts)


def misfit(value: object, then: StateShape, now: StateShape) -> str:
    """Return what keeps `value` from being what a fresh object is; "" if nothing does.

    It may lack what is within something that it does not have, and have more.
    """
    found = shape_of(value)
    if found.kind != now.kind:
        return f"is a {found.kind}, not a {now.kind}"
    has = {*found.names}
    missing = [name for name in now.names if name not in has and _is_awaited(name, found.names)]
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
    """Whether the class of `value`, or of something in it, has a ``__setstate__``."""
    return any(hasattr(type(each), "__setstate__") for each in _objects(value, 0, set()))


def _look_into(value: object, path: str, depth: int, walk: _Walk) -> None:
    if depth > NESTING_MAX or id(value) in walk.seen:
        return
    walk.seen.add(id(value))
    for name, inner in _content(value, path):
        if len(walk.names) >= NAMES_MAX:
            return
        if not name.endswith("[]"):
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
    """Yield the names in `value`, with the path before them, and what is there."""
    kind = type(value)
    if isinstance(value, dict):
        for key, item in list(value.items()):
            if isinstance(key, str):
                yield f"{path}[{key!r}]", item
    elif isinstance(value, list | tuple) and value and not hasattr(kind, "_fields"):
        yield f"{path}[]", value[0]
    if (
        isinstance(value, type | Enum)
        or kind.__module__.partition(".")[0] in sys.stdlib_module_names
    ):
        return  # what is in a lock, a date or an enumeration is Python's business
    for name in _attributes(value):
        # A slot may be empty, and a property may be called like one of a base class.
        with contextlib.suppress(Exception):
            yield f"{path}.{name}" if path else name, getattr(value, name, None)


def _attributes(value: Any) -> Iterator[str]:
    kind = type(value)
    yield from (name for name in getattr(value, "__dict__", ()) if isinstance(name, str))
    yield from (name for name in getattr(kind, "_fields", ()) if isinstance(name, str))
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                is_private = name.startswith("__") and not name.endswith("__")
                yield f"_{base.__name__.lstrip('_')}{name}" if is_private else name


def _short(kind: str) -> str:
    return kind.rpartition(".")[2]


def _listed(names: list[str]) -> str:
    told = ", ".join(names[:NAMES_TOLD_MAX])
    more = len(names) - NAMES_TOLD_MAX
    return f"{told} and {more} more" if more > 0 else told
