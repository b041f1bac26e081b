"""Pickles records of one plain class as columns, at a fifth of the cost of pickling each record.

Pickle asks every object how to rebuild it. If all objects of a batch are of one class that leaves
this to Python, and have the same attributes, the class and the names are sent once, with a list of
values for each name. Measured for two attributes, both ends: 500 instead of 2,900 ns a record with
``__slots__``, 650 instead of 2,450 without. Everything else is pickled as it is.

The result is the same as with pickle, with one exception: if two records of a batch refer to each
other, they arrive as copies.
"""

import copyreg
import functools
import keyword
import pickle
from collections.abc import Callable, Iterable
from operator import attrgetter, itemgetter
from typing import Any

from wallaroo.operators.pickle_salvage import Part, read_parts

Rows = Iterable[Any]

_HOOKS = (
    "__new__", "__setattr__", "__getattribute__", "__reduce__", "__reduce_ex__",
    "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__",
)  # fmt: skip
"""Methods with which a class changes how its objects are read, pickled or built."""


def dump_records(records: list[Any]) -> bytes:
    """Return ``records`` as bytes. Raises what pickling one of them raises."""
    columns = _columns(records)
    return pickle.dumps(records if columns is None else columns, 5)


def load_records(data: bytes) -> list[Any]:
    """Return the records that ``dump_records`` encoded."""
    loaded = pickle.loads(data)
    if isinstance(loaded, list):
        return loaded
    kind, names, columns = loaded
    return _builder(kind, names)(columns)


def rescue_records(data: bytes) -> list[tuple[Any, BaseException | None]]:
    """Return each record that ``dump_records`` encoded, or why it cannot be read. Slow."""
    root = read_parts(data)
    if isinstance(root.value, list):
        return [(part.value, part.error) for part in root.parts]
    kind, names, columns = root.parts
    rows = zip(*(column.parts for column in columns.parts), strict=True)
    return [_rescued(kind, names.value, row) for row in rows]


def _rescued(
    kind: Part, names: tuple[str, ...], row: tuple[Part, ...]
) -> tuple[Any, BaseException | None]:
    for part in (kind, *row):
        if part.error is not None:
            return None, part.error
    try:
        (record,) = _builder(kind.value, names)([[part.value] for part in row])
        return record, None
    except BaseException as error:  # noqa: BLE001  the class may differ on this worker
        return None, error


def _columns(records: list[Any]) -> tuple[type, tuple[str, ...], list[Any]] | None:
    """Return class, names and a column for each name; ``None`` if records do not fit."""
    if not records:
        return None
    kind = type(records[0])
    plain = _plain(kind)  # type: ignore[arg-type]  # mypy doubts that classes are hashable
    if plain is None or set(map(type, records)) != {kind}:
        return None
    names, slots = plain
    if slots is not None:
        rows: Rows = map(slots, records)
    else:
        values = [record.__dict__ for record in records]
        names = tuple(values[0])
        if not names or sum(map(len, values)) != len(names) * len(values):
            return None
        if any(hasattr(kind, name) or not _is_attribute(name) for name in names):
            return None
        rows = map(itemgetter(*names), values)
    try:
        return kind, names, [list(rows)] if len(names) == 1 else list(zip(*rows, strict=True))
    except (AttributeError, KeyError):
        # Pickle handles unset slots and attributes that differ.
        return None


@functools.lru_cache(maxsize=256)
def _plain(kind: type) -> tuple[tuple[str, ...], Callable[[Any], Any] | None] | None:
    """Return the slots of ``kind`` and a function that reads them, if Python pickles it."""
    is_untouched = all(getattr(kind, name, None) is getattr(object, name, None) for name in _HOOKS)
    if kind is object or not is_untouched or kind in copyreg.dispatch_table:
        return None
    has_dict = kind.__dictoffset__ != 0
    slots = tuple(copyreg._slotnames(kind))  # type: ignore[attr-defined]  # pickle uses the same
    if has_dict:
        return None if slots else ((), None)
    return (slots, attrgetter(*slots)) if slots and all(map(_is_attribute, slots)) else None


def _is_attribute(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)


@functools.lru_cache(maxsize=256)
def _builder(kind: type, names: tuple[str, ...]) -> Callable[[list[Any]], list[Any]]:
    """Return a function from columns to objects, written for these names."""
    assert all(map(_is_attribute, names))
    values = [f"value_{index}" for index in range(len(names))]
    source = "".join(
        [
            "def build(columns):\n",
            "    built = []\n",
            f"    for ({', '.join(values)},) in zip(*columns):\n",
            "        record = new(kind)\n",
            *(
                f"        record.{name} = {value}\n"
                for name, value in zip(names, values, strict=True)
            ),
            "        built.append(record)\n",
            "    return built\n",
        ]
    )
    scope: dict[str, Any] = {"new": object.__new__, "kind": kind}
    exec(compile(source, f"<records of {kind.__qualname__}>", "exec"), scope)
    build: Callable[[list[Any]], list[Any]] = scope["build"]
    return build
