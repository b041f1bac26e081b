"""Pickles a plan by reference, so that workers import the code that it uses; none is ever sent.

Functions and classes are named by their module. A plan has the functions that are within
decorators, so they are found through the decorated objects of their modules. A lambda, or a
function inside another one, has no name that can be imported: it is found in the source of its
module by its position, and what it remembers of the function around it is pickled.

A script is ``__main__`` in the process that it starts. Workers, and the initializer too, import it
again under the name of its file, as ``wallaroo-run`` would. So all of them have the same names.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import os
import pickle
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, cast

from wallaroo.describing import error_text, text_of
from wallaroo.errors import ConfigError
from wallaroo.topology.plan import Application

MAIN = "__main__"
WITHOUT_WORKERS = (
    "define it in a module, which is a .py file, and import it; or give workers=0, which runs "
    "everything in this process"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlanPickle:
    """A plan, and the modules that it refers to."""

    data: bytes
    main: str
    """The name under which to import the script of the process; empty if there is none."""
    files: dict[str, str]
    """The file of each module: not all of them are found by their names."""


class _Importing(threading.local):
    """The module that this thread imports for a plan."""

    name = ""

    @contextlib.contextmanager
    def module(self, name: str) -> Iterator[None]:
        """Import a module in this block."""
        outer, self.name = self.name, name
        try:
            yield
        finally:
            self.name = outer


_importing = _Importing()


def refuse_while_importing() -> None:
    """Raise ``ConfigError`` if a module that is imported for a plan starts a run of its own."""
    if _importing.name:
        raise ConfigError(
            f"the module {_importing.name!r} starts a run when it is imported, and every worker "
            "imports it",
            hint='put the call under `if __name__ == "__main__":`',
        )


def pickled_plan(plan: Application) -> PlanPickle:
    """Return ``plan`` by reference. Raises ``ConfigError`` that names what cannot be imported."""
    main, main_file = _script()
    try:
        data, files = _pickled(plan, main)
    except Exception as error:
        raise _unpicklable(plan, main) from error
    return PlanPickle(data=data, main=main, files=files | ({main: main_file} if main else {}))


def unpickled_plan(pickled: PlanPickle) -> object:
    """Import what a plan refers to, and return it; errors of the imports are raised as they are."""
    return _PlanUnpickler(pickled).load()


def unpickled_rows(data: bytes, main: str) -> Any:
    """Return objects of a worker; classes of the script are those of ``__main__`` here."""
    return _RowsUnpickler(io.BytesIO(data), main).load()


# Pickling


def _script() -> tuple[str, str]:
    """Return the name by which the script of this process can be imported, and its file."""
    main = sys.modules.get(MAIN)
    file = getattr(main, "__file__", None)
    if file is None or not os.path.isfile(file):
        return "", ""
    spec = getattr(main, "__spec__", None)
    name = os.path.basename(file).removesuffix(".py") if spec is None else str(spec.name)
    return name, os.path.abspath(file)


def _pickled(value: object, main: str) -> tuple[bytes, dict[str, str]]:
    buffer = io.BytesIO()
    pickler = _PlanPickler(buffer, has_main=bool(main))
    pickler.dump(value)
    return buffer.getvalue(), pickler.files


class _PlanPickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, *, has_main: bool) -> None:
        super().__init__(buffer, 5)
        self.files: dict[str, str] = {}
        self._has_main = has_main

    def persistent_id(self, value: Any) -> Any:
        """Return where a function is that pickle cannot name; ``None`` for anything else."""
        is_function = isinstance(value, FunctionType)
        if not is_function and not isinstance(value, type):
            return None
        module = value.__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if module == MAIN and not self._has_main:
            raise pickle.PicklingError("it is defined in a notebook or a session, not in a file")
        if file is not None and module != MAIN:
            self.files[module] = os.path.abspath(file)
        if not is_function or _named(sys.modules.get(module), value.__qualname__) is value:
            return None
        name = _name_of_holder(value)
        if name is not None:
            return "within", module, name
        if file is None or not os.path.isfile(file):
            raise pickle.PicklingError(f"its module {module!r} has no file")
        values = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return (
            "at",
            module,
            _position(value.__code__),
            value.__defaults__,
            value.__kwdefaults__,
            values,
        )


def _named(module: ModuleType | None, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _name_of_holder(function: FunctionType) -> str | None:
    """Return the name in its module of the object that is, or decorates, ``function``."""
    module = sys.modules.get(function.__module__)
    for name, value in [] if module is None else [*vars(module).items()]:
        if _within(value) is function:
            return name
    return None


def _within(value: Any) -> Any:
    """Return the function that an object decorates, or the object."""
    # Not by isinstance() or getattr(), since a module may hold objects that pretend to be anything.
    attributes = object.__getattribute__(value, "__dict__") if _has_attributes(value) else {}
    return attributes.get("function", value)


def _has_attributes(value: Any) -> bool:
    return not issubclass(type(value), type) and "__dict__" in dir(type(value))


def _position(code: CodeType) -> tuple[str, int, int]:
    """Return the qualified name of a function, its line, and a checksum of its columns.

    Two lambdas of one line differ in their columns.
    """
    columns = repr([*code.co_positions()]).encode()
    return code.co_qualname, code.co_firstlineno, zlib.crc32(columns)


# Unpickling


class _PlanUnpickler(pickle.Unpickler):
    def __init__(self, pickled: PlanPickle) -> None:
        super().__init__(io.BytesIO(pickled.data))
        self._main = pickled.main
        self._files = pickled.files

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means, imported from where it is in the program."""
        found: Any = self._imported(module)
        for part in name.split("."):
            found = self._attribute(module, found, part)
        return found

    def persistent_load(self, place: Any) -> Any:
        """Return the function at a place."""
        kind, module, where, *more = place
        home = self._imported(module)
        if kind == "within":
            return _within(self._attribute(module, home, where))
        return _function_at(home, where, *more)

    def _attribute(self, module: str, owner: Any, name: str) -> Any:
        if module == MAIN and not hasattr(owner, name):
            raise ConfigError(
                f"workers import {self._main!r}, and find no {name!r} there: it is defined under "
                '`if __name__ == "__main__":`, which is not true in a worker',
                hint="define it above that line, in no block",
            )
        return getattr(owner, name)

    def _imported(self, module: str) -> ModuleType:
        name = self._main if module == MAIN else module
        with _importing.module(name):
            return _imported(name, self._files.get(name))


class _RowsUnpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, main: str) -> None:
        super().__init__(buffer)
        self._main = main

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means here."""
        return super().find_class(MAIN if module == self._main else module, name)


def _imported(name: str, file: str | None) -> ModuleType:
    """Import a module by its name; from its file if nothing has that name."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if file is None or error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        return _imported_file(name, file)
    found = getattr(module, "__file__", None)
    if file is not None and found is not None and not os.path.samefile(found, file):
        raise ConfigError(
            f"the name {name!r} means {found} in a worker, not {file}", hint="rename your file"
        )
    return module


def _imported_file(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _function_at(
    home: ModuleType,
    position: tuple[str, int, int],
    defaults: tuple[Any, ...] | None,
    keyword_defaults: dict[str, Any] | None,
    values: tuple[Any, ...],
) -> FunctionType:
    """Return the function at a position of a module's source."""
    assert home.__file__ is not None
    with open(home.__file__, "rb") as source:
        whole = compile(source.read(), home.__file__, "exec", dont_inherit=True)
    for code in _codes_in(whole):
        if _position(code) == position and len(code.co_freevars) == len(values):
            cells = tuple(map(CellType, values))
            function = FunctionType(code, vars(home), code.co_name, defaults, cells)
            # A constructor takes these only from Python 3.13 on.
            object.__setattr__(function, "__kwdefaults__", keyword_defaults)
            return function
    raise ConfigError(
        f"the function {position[0]} is not in line {position[1]} of {home.__file__} any more",
        hint="start the program again: the file was changed after it was imported",
    )


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)


# What cannot be pickled


def _unpicklable(plan: Application, main: str) -> ConfigError:
    """Return an error that names the smallest part of a plan that cannot be pickled."""
    owner, part, error = "", cast("Any", plan), None
    while (found := _unpicklable_child(part, main)) is not None:
        part, error = found
        name = getattr(part, "name", None)
        if isinstance(name, str):
            owner = f" of {type(part).__name__.lower()} {name!r}"
    shown = text_of(part)
    if isinstance(part, FunctionType):
        code = part.__code__
        shown = f"the function {part.__qualname__} at {code.co_filename}:{code.co_firstlineno}"
    why = "" if error is None else f": {error_text(error)}"
    return ConfigError(f"workers cannot import {shown}{owner}{why}", hint=WITHOUT_WORKERS)


def _unpicklable_child(part: object, main: str) -> tuple[Any, BaseException] | None:
    for child in _children(part):
        try:
            _pickled(child, main)
        except Exception as error:  # noqa: BLE001  pickling calls the user's code
            return child, error
    return None


def _children(part: object) -> Iterable[Any]:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return [getattr(part, each.name) for each in dataclasses.fields(part)]
    if isinstance(part, dict):
        return [*part, *part.values()]
    if isinstance(part, FunctionType):
        return [cell.cell_contents for cell in part.__closure__ or ()]
    return part if isinstance(part, tuple | list | set | frozenset) else ()
