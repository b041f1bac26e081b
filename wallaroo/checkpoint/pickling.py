"""Pickles state objects, and proves that what was written can be read again.

An object may pickle and yet not unpickle: an exception whose class takes other arguments than it
passes on, an unguarded ``__getattr__``, a class that exists in this process only. So objects are
read back before they count as written. Reading everything back would cost about as much as writing
it, therefore each class is judged once:

* A class that unpickles without code of its own cannot fail for one object and succeed for another.
  It is proven by the first chunk with an object of it, and costs nothing from then on.
* For any other class success may depend on the content of the object. So everything that was
  written together with an object of it is read back, each time.

The classes of nested objects count as well. The C pickler finds them: it looks up the class of each
object in a dispatch table, and proven classes are in that table. Most states do not even need this.
A pickle names each class once, so a pickle with a single name and an object of a proven class holds
nothing else.
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
"""Follows each name of a class or function in a pickle; a text may contain it by chance."""

KEPT_MEMO_BYTES = 1 << 14
"""After this many bytes, a new pickler is cheaper than clearing the memo of the old one."""

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
"""Methods that are called while an object is unpickled, or that decide which ones are."""

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
    """A pickled object cannot be read back."""


class PickledState:
    """Represents, in a chunk, a state object that was pickled by itself; unpickles as that
    object."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return pickle.loads, (self._data,)


class ImportedClasses:
    """The classes of all modules at the start of a process, before its first record.

    A process that is started later has these, too. A class that user code creates after the start
    and puts into one of these modules exists in this process only.
    """

    def __init__(self, modules: Mapping[str, Mapping[str, type]]) -> None:
        self._modules = modules

    @classmethod
    def of_this_process(cls) -> "ImportedClasses":
        """Return the classes that are in the modules of this process."""
        modules = [*sys.modules.items()]
        return cls({name: dict(_classes(each)) for name, each in modules if _is_plain(each)})

    def has(self, kind: type) -> bool:
        """Return whether a new process finds `kind` by its name."""
        module = sys.modules.get(kind.__module__)
        known = self._modules.get(kind.__module__)
        if known is None:
            # Imported after the start. A new process can do that unless the module was made by
            # hand.
            return getattr(module, "__spec__", None) is not None
        name, *inner = kind.__qualname__.split(".")
        if "__getattr__" in vars(module):
            return True  # the module creates its names on demand
        return name in known if inner else known.get(name) is kind


def _is_plain(module: object) -> bool:
    # An entry of sys.modules may be any object, and reading an attribute may import more.
    return type(module).__getattribute__ is ModuleType.__getattribute__


def _classes(module: ModuleType) -> Iterator[tuple[str, type]]:
    for name, value in list(vars(module).items()):
        if issubclass(type(value), type):
            yield name, value


class StatePickler:
    """Pickles the state objects of a process.

    ``imported`` holds the classes that a new process would have; ``None`` skips that check.
    """

    def __init__(self, imported: ImportedClasses | None = None) -> None:
        self._imported = imported
        self._table = _Proven()
        self._simple: dict[type, int] = {}
        """For chunks whose first object is of a class: how many names a pickle of that class alone
        has."""
        self._pieces: list[bytes]
        self._pickler: pickle.Pickler
        self._renew()

    def _renew(self) -> None:
        # For small objects a list takes half the time of a BytesIO.
        self._pieces = []
        file: Any = SimpleNamespace(write=self._pieces.append)
        self._pickler = pickle.Pickler(file, PICKLE_PROTOCOL)
        self._pickler.dispatch_table = self._table

    def pickle_together(self, values: list[Any]) -> bytes:
        """Return one pickle of many objects; raises what ``pickle`` raises."""
        kind: type = next((type(value) for value in values if value is not None), list)
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
        """Return a pickle of `value` that can be read again.

        Raises ``NotReadableError`` if it cannot be read, and what the user's code raises if `value`
        cannot be pickled.
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
            # The pickle lacks its name if a function recreates the object.
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
    """A dispatch table with all classes that are proven by their first object.

    ``met`` holds the other classes that the pickler has looked up.
    """

    def __init__(self) -> None:
        super().__init__({PickledState: _REDUCE})
        self.met: set[type] = set()

    def __missing__(self, kind: type) -> Reduce:
        # A class that is itself part of a state is pickled by its name.
        if not issubclass(kind, type):
            self.met.add(kind)
            # The pickler uses this table instead of the global one.
            reduce = copyreg.dispatch_table.get(kind)
            if reduce is not None:
                return reduce
        raise KeyError(kind)


def runs_own_code(kind: type) -> bool:
    """Return whether code other than Python's own runs when an object of `kind` is unpickled."""
    if _is_own(copyreg.dispatch_table.get(kind)):
        return True
    if any(_is_own(_method(kind, name)) for name in _RUN_BY_PICKLE):
        return True
    is_default = all(
        _method(kind, name) is vars(object)[name] for name in ("__reduce__", "__reduce_ex__")
    )
    # Most classes with their own way of pickling are called when they are unpickled.
    return not is_default and _is_own(_method(kind, "__init__"), may_be_generated=False)


def _method(kind: type, name: str) -> object:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_own(method: object, *, may_be_generated: bool = True) -> bool:
    """Return whether `method` is code of the application or of a library.

    Generated methods, such as those of dataclasses and named tuples, do not count.
    """
    if isinstance(method, staticmethod | classmethod):
        method = method.__func__
    if not isinstance(method, FunctionType):
        return not isinstance(method, _WRITTEN_IN_C)
    if may_be_generated and method.__code__.co_filename.startswith("<"):
        return False
    return str(method.__module__).partition(".")[0] not in sys.stdlib_module_names
