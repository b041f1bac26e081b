"""The shape of a fresh object of each state, to notice that its class has changed.

An object of a checkpoint unpickles with the attributes that it had, even if its class has changed.
Code that relies on a new attribute then fails for every record. So each manifest keeps the names in
a fresh object, and a start compares them with the names in a fresh object of its own. Names that
user code adds later, to some objects and not to others, are in neither. Names that only one of two
fresh objects has, such as a random key, say nothing about the class either, and are left out.
"""

import collections
import contextlib
import dataclasses
import dis
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from wallaroo.describing import with_article
from wallaroo.function_names import qualified_name
from wallaroo.topology.plan import Application

_LAST_PART = re.compile(r"""(\.?\w+|\[(?:'[^']*'|"[^"]*")\])$""")
_INDEX = re.compile(r"\[\d*\]$")
_CLASS = ": "
_ORDER = " in this order"

NESTING_MAX = 6
NAMES_MAX = 1000
NAMES_LISTED_MAX = 5


@dataclass(frozen=True, slots=True)
class StateShape:
    """The class of a fresh object, and the names of its content."""

    kind: str
    """``module.qualname``."""
    names: list[str]
    """Attributes, slots and fields, and keys that could be attributes, sorted; of nested objects
    with the path: ``window.start``, ``totals['n']``, ``days[].count``, ``pair[1].left``. The class
    of a nested object is a name too, ``window: app.Window``, and so is the order of fields that are
    pickled without their names: ``(first, second) in this order``."""

    def without_classes(self) -> list[str]:
        """Return the names that stay the same if a class is only renamed."""
        return [name for name in self.names if not _is_class(name)]


@dataclass(slots=True)
class _Walk:
    names: set[str] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)


def shape_of(value: object) -> StateShape:
    """Return the shape of `value`; raises what the user's code raises."""
    walk = _Walk()
    _inspect(value, "", 0, walk)
    return StateShape(qualified_name(type(value)), sorted(walk.names))


def fresh_shapes(plan: Application) -> dict[str, StateShape]:
    """Return the shape of fresh objects of each state, created by its class.

    A state whose class fails here is left out, because it may still work for a record.
    """
    shapes: dict[str, StateShape] = {}
    for name, state in plan.states.items():
        with contextlib.suppress(BaseException):  # a sys.exit() too: it is user code
            one, other = shape_of(state.create()), shape_of(state.create())
            shapes[name] = StateShape(one.kind, sorted({*one.names} & {*other.names}))
    return shapes


def changed_states(
    saved: Mapping[str, StateShape], current: Mapping[str, StateShape]
) -> frozenset[str]:
    """Return the states of `current` that `saved` has in another shape, or does not have."""
    return frozenset(name for name, shape in current.items() if saved.get(name) != shape)


def change_of(saved: StateShape, current: StateShape) -> str:
    """Return what has changed, to follow the state's name in a sentence; "" if nothing has."""
    parts = []
    if saved.kind != current.kind:
        parts.append(f"its class was {saved.kind} and is {current.kind}")
    new = [name for name in current.names if name not in saved.names]
    removed = [name for name in saved.names if name not in current.names]
    if any(not _is_order(name) for name in (*new, *removed)):
        # If fields were added or removed, their order says nothing more.
        new, removed = ([name for name in names if not _is_order(name)] for names in (new, removed))
    if new:
        parts.append(f"a new {_short(current.kind)} has {_listed(new)}, which was not there")
    if removed:
        parts.append(f"{with_article(_short(saved.kind))} had {_listed(removed)}, which is gone")
    return " and ".join(parts)


def misfit(value: object, saved: StateShape, current: StateShape) -> str:
    """Return how the shape of `value` differs from a fresh object; "" if it fits.

    `value` may have more, and may lack names within something that it does not have.
    """
    found = shape_of(value)
    if found.kind != current.kind:
        return f"is {with_article(found.kind)}, not {with_article(current.kind)}"
    has = {*found.names}
    absent = [name for name in current.without_classes() if name not in has]
    missing = [name for name in absent if _is_required(name, found.names)]
    if missing:
        return f"has no {_listed(missing)}"
    if left := [name for name in saved.names if name in has and name not in current.names]:
        return f"still has {_listed(left)}"
    return ""


def _is_required(name: str, found: list[str]) -> bool:
    """Return whether the object that should contain `name` is among the names `found`."""
    last = _LAST_PART.search(name)
    within = name[: last.start()] if last else ""
    return not within or any(each.startswith((f"{within}.", f"{within}[")) for each in found)


def missing_attributes(value: object) -> list[str]:
    """Return what `value` lacks of that which its class sets in each new object.

    No new object is made. Only the fields of a dataclass are known then, or what an ``__init__``
    sets before it decides anything.
    """
    kind = type(value)
    if _is_pythons(value) or _is_pickled_in_its_own_way(kind):
        return []
    if dataclasses.is_dataclass(kind):
        names = [each.name for each in dataclasses.fields(kind) if each.init]
    else:
        names = _set_in_each(kind)
    return [name for name in names if _lacks(value, name)]


def _lacks(value: object, name: str) -> bool:
    with contextlib.suppress(Exception):  # it may be a property, which is user code
        return not hasattr(value, name)
    return False


def _is_pickled_in_its_own_way(kind: type) -> bool:
    names = ["__reduce__", "__reduce_ex__"]
    if not dataclasses.is_dataclass(kind):
        names.append("__getstate__")  # frozen dataclasses with slots have one
    return any(getattr(kind, name) is not getattr(object, name) for name in names)


def _set_in_each(kind: type) -> list[str]:
    """Return the attributes that ``__init__`` sets before its first branch."""
    code = getattr(kind.__init__, "__code__", None)  # type: ignore[misc]
    names: list[str] = []
    if code is None or code.co_exceptiontable:
        return names
    target: object = None
    for each in dis.get_instructions(code):
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            break
        if each.opname == "STORE_ATTR" and target == code.co_varnames[0]:
            names.append(each.argval)
        loaded = each.argval if each.opname.startswith("LOAD_FAST") else None
        target = loaded[-1] if isinstance(loaded, tuple) else loaded  # newer Pythons load pairs
    return names


def restores_itself(value: object) -> bool:
    """Return whether the class of `value`, or of something in it, has a ``__setstate__``.

    The generated method of frozen dataclasses with slots does not count: it accepts one form only.
    """
    methods = (getattr(type(each), "__setstate__", None) for each in _objects(value, 0, set()))
    return any(
        each is not None and getattr(each, "__module__", None) != dataclasses.__name__
        for each in methods
    )


def _inspect(value: object, path: str, depth: int, walk: _Walk) -> None:
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
        _inspect(inner, name, depth + 1, walk)


def _objects(value: object, depth: int, seen: set[int]) -> Iterator[object]:
    if depth > NESTING_MAX or id(value) in seen:
        return
    seen.add(id(value))
    yield value
    for _, inner in _content(value, ""):
        yield from _objects(inner, depth + 1, seen)


def _content(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield the names in `value`, with the path before them, and their objects.

    Of a list or a similar collection, only the first item is yielded.
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
    """Return whether a key of a dictionary names a field; a date or a path, for example, is
    data."""
    return isinstance(key, str) and key.isidentifier()


def _is_pythons(value: object) -> bool:
    """Return whether the content of `value` belongs to Python, as in a lock, a date or an enum."""
    module = type(value).__module__.partition(".")[0]
    return isinstance(value, type | Enum) or module in sys.stdlib_module_names


def _attributes(value: object) -> Iterator[tuple[str, object]]:
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


def _ordered_fields(value: object) -> Sequence[str]:
    """Return the fields of `value` if its pickle identifies them by their order only."""
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
    listed = ", ".join(names[:NAMES_LISTED_MAX])
    more = len(names) - NAMES_LISTED_MAX
    return f"{listed} and {more} more" if more > 0 else listed
