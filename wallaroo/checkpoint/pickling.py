"""Pickles state objects, and proves that what was written can be read again.

An object may pickle and yet not unpickle: an exception whose class takes other arguments than it
passes on, an unguarded ``__getattr__``, a class that exists in this process only. So nothing counts
as written before it was read back. Reading back everything would cost about as much as writing it,
therefore each class is judged once:

* A class that unpickles without running code of its own cannot fail for one object and succeed for
  another. It is proven by the first chunk that has an object of it, and costs nothing from then on.
* For any other class success may depend on what the object holds, so everything that was written
  together with an object of it is read back, each time.

The classes of nested objects count as well. They are found by the C pickler itself, which looks up
the class of every object it meets in a dispatch table: proven classes are in the table. Most states
need not even that. A pickle names each class once, so one that names a single class, and has an
object of a proven class in it, holds nothing else.
"""

import copyreg
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from copyreg import _extension_registry  # type: ignore[attr-defined]
from operator import methodcaller
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MethodDescriptorType,
    ModuleType,
    NoneType,
    SimpleNamespace,
    WrapperDescriptorType,
)
from typing import Any

from wallaroo.describing import error_text

PICKLE_PROTOCOL = 5

_GLOBAL = pickle.STACK_GLOBAL + pickle.MEMOIZE
"""What follows each name of a class or function in a pickle; a text may have it too, by chance."""

KEPT_MEMO_BYTES = 1 << 14
"""After so many bytes a new pickler is cheaper than emptying the memo of the old one."""

Reduce = Callable[[Any], Any]

_REDUCE: Reduce = methodcaller("__reduce_ex__", PICKLE_PROTOCOL)

_RUN_BY_PICKLE = (
    "__new__",
    "__setstate__",
    "__getstate__",
    "__reduce__",
    "__reduce_ex__",
    "__getnewargs__",
    "__getnewargs_ex__",
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__setitem__",
    "__hash__",
    "__eq__",
    "append",
    "extend",
    "add",
)
"""Methods that are called while an object is unpickled, or that decide what is called then."""

_WRITTEN_IN_C = (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MethodDescriptorType,
    NoneType,
    SimpleNamespace,
    WrapperDescriptorType,
)


class NotReadableError(Exception):
    """What was pickled cannot be read back."""


class PickledState:
    """Stands in a chunk for the state object that was pickled; read, it is that object."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return pickle.loads, (self._data,)


class ImportedClasses:
    """The classes of all modules at the start of a process, before it has seen a record.

    A process that is started later has these too. A class that user code made since then and put
    into one of these modules exists in this process only.
    """

    def __init__(self, modules: Mapping[str, Mapping[str, type]]) -> None:
        self._modules = modules

    @classmethod
    def now(cls) -> "ImportedClasses":
        """Return the classes that are in modules now."""
        modules = [*sys.modules.items()]
        return cls({name: dict(_classes(each)) for name, each in modules if _is_plain(each)})

    def has(self, kind: type) -> bool:
        """Whether a new process finds `kind` by its name."""
        module = sys.modules.get(kind.__module__)
        known = self._modules.get(kind.__module__)
        if known is None:
            # Imported since, as a new process can do unless the module was made by hand.
            return getattr(module, "__spec__", None) is not None
        name, *inner = kind.__qualname__.split(".")
        if "__getattr__" in vars(module):
            return True  # it makes its names when they are asked for
        return name in known if inner else known.get(name) is kind


def _is_plain(module: object) -> bool:
    # What stands in sys.modules may be anything, and may import more when asked for an attribute.
    return type(module).__getattribute__ is ModuleType.__getattribute__


def _classes(module: ModuleType) -> Iterator[tuple[str, type]]:
    for name, value in list(vars(module).items()):
        if issubclass(type(value), type):
            yield name, value


class StatePickler:
    """Pickles state objects for as long as a process lives.

    ``imported`` is what a new process would have; without it that is not checked.
    """

    def __init__(self, imported: ImportedClasses | None = None) -> None:
        self._imported = imported
        self._table = _Proven()
        self._simple: dict[type, int] = {}
        """By the class of the first of many: how many classes are named, if none but itself is."""
        self._pieces: list[bytes]
        self._pickler: pickle.Pickler
        self._renew()

    def _renew(self) -> None:
        # For small objects a list takes half as long as a BytesIO.
        self._pieces = []
        file: Any = SimpleNamespace(write=self._pieces.append)
        self._pickler = pickle.Pickler(file, PICKLE_PROTOCOL)
        self._pickler.dispatch_table = self._table

    def pickle_together(self, values: list[Any]) -> bytes:
        """Return the pickle of many objects, as ``pickle`` does."""
        kind = type(values[0]) if values else list
        count_max = self._simple.get(kind)
        if count_max is not None and not _extension_registry:
            data = pickle.dumps(values, PICKLE_PROTOCOL)
            if data.count(_GLOBAL) <= count_max:
                return data
        data = self.pickle(values)
        count_max = int(kind in self._table)
        if data.count(_GLOBAL) <= count_max:
            self._simple[kind] = count_max
        else:
            self._simple.pop(kind, None)
        return data

    def pickle(self, value: object) -> bytes:
        """Return the pickle of `value`, which can be read again.

        Raises ``NotReadableError`` if it cannot, and whatever the code of the user raises if
        `value` cannot be pickled.
        """
        pieces, pickler, met = self._pieces, self._pickler, self._table.met
        try:
            pickler.dump(value)
        except BaseException:
            met.clear()
            self._renew()
            raise
        data = b"".join(pieces)
        if len(data) > KEPT_MEMO_BYTES:
            self._renew()
        else:
            pieces.clear()
            pickler.clear_memo()
        if met:
            kinds = [*met]
            met.clear()
            self._read_back(data, kinds)
        return data

    def _read_back(self, data: bytes, kinds: list[type]) -> None:
        for kind in kinds:
            # Its name is not there if a function makes the object again.
            if kind.__qualname__.encode() in data and not self._is_found_later(kind):
                name = f"{kind.__module__}.{kind.__qualname__}"
                raise NotReadableError(
                    f"class {name} was made while the application ran, so a process that is "
                    "started later does not have it"
                )
        try:
            pickle.loads(data)
        except BaseException as error:
            # How objects unpickle is user code, and so is a sys.exit() in it.
            raise NotReadableError(error_text(error)) from error
        for kind in kinds:
            if not runs_own_code(kind):
                self._table[kind] = _REDUCE

    def _is_found_later(self, kind: type) -> bool:
        return self._imported is None or self._imported.has(kind)


class _Proven(dict[type, Reduce]):
    """A dispatch table: all classes of which the first object was enough.

    ``met`` are the others that the pickler has asked for.
    """

    def __init__(self) -> None:
        super().__init__({PickledState: _REDUCE})
        self.met: set[type] = set()

    def __missing__(self, kind: type) -> Reduce:
        # A class that is itself part of a state is pickled by its name.
        if not issubclass(kind, type):
            self.met.add(kind)
            # The pickler asks this table instead of the one that everybody shares.
            reduce = copyreg.dispatch_table.get(kind)
            if reduce is not None:
                return reduce
        raise KeyError(kind)


def runs_own_code(kind: type) -> bool:
    """Whether code that is not Python's own runs when an object of `kind` is unpickled."""
    if _is_own(copyreg.dispatch_table.get(kind)):
        return True
    if any(_is_own(_method(kind, name)) for name in _RUN_BY_PICKLE):
        return True
    is_default = all(
        _method(kind, name) is vars(object)[name] for name in ("__reduce__", "__reduce_ex__")
    )
    # Most classes that are not pickled the usual way are called when they are unpickled.
    return not is_default and _is_own(_method(kind, "__init__"), may_be_generated=False)


def _method(kind: type, name: str) -> object:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_own(method: object, *, may_be_generated: bool = True) -> bool:
    """Whether `method` is code of the application or of a library.

    Methods that were generated, as dataclasses and named tuples have them, are not.
    """
    if isinstance(method, staticmethod | classmethod):
        method = method.__func__
    if not isinstance(method, FunctionType):
        return not isinstance(method, _WRITTEN_IN_C)
    if may_be_generated and method.__code__.co_filename.startswith("<"):
        return False
    return str(method.__module__).partition(".")[0] not in sys.stdlib_module_names
