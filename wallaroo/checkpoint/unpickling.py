"""Reads pickled state objects, and saves the readable ones if some cannot be read.

The objects of a chunk are one pickle, and the C unpickler stops at the first error. So a chunk that
fails is read again, slowly, in Python. An object that fails there is replaced by an ``Unreadable``.
An object of the chunk is good if nothing that it refers to is unreadable.
"""

import gc
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, ClassVar

from wallaroo.checkpoint.removed_class import RemovedClassObject, load, load_inner
from wallaroo.describing import error_text

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""Kinds of objects that an object may refer to without containing them."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Replaces a state object that cannot be unpickled."""

    error: str
    """The class of the error, and its message."""


def unpickle_states(
    data: bytes, key_count: int, *, may_be_removed: bool = False
) -> list[Any] | None:
    """Return the objects in the pickle of a list; those that fail are ``Unreadable``.

    Return ``None`` if it is not a pickle of `key_count` objects. With `may_be_removed`, objects of
    classes that do not exist any more are ``RemovedClassObject``; without it they are unreadable.
    """
    try:
        states = load(data, may_be_removed=may_be_removed)
    except BaseException as error:  # noqa: BLE001  how objects unpickle is user code
        states = _rescue(data, error_text(error), key_count, may_be_removed=may_be_removed)
    return states if isinstance(states, list) and len(states) == key_count else None


def _rescue(data: bytes, error: str, key_count: int, *, may_be_removed: bool) -> Any:
    reader = _SlowReader(BytesIO(data), may_be_removed=may_be_removed)
    try:
        states = reader.load()
    except BaseException:  # noqa: BLE001  more than single objects are broken
        return [Unreadable(error)] * key_count
    if type(states) is not list:
        return states
    clean: set[int] = set()
    return [reader.unreadable_in(state, clean) or state for state in states]


class _SlowReader(pickle._Unpickler):
    """Continues after errors of user code.

    User code is never called with something unreadable, because its result would look good.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {**pickle._Unpickler.dispatch}
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: BytesIO, *, may_be_removed: bool) -> None:
        super().__init__(file)
        self._may_be_removed = may_be_removed
        self._spoilt: dict[int, tuple[object, Unreadable]] = {}
        """Objects that could not be filled, by identity; they are kept alive, so it stays
        unique."""
        self._has_failed = False

    def find_class(self, module: str, name: str) -> Any:
        try:
            found = super().find_class(module, name)
        except BaseException as error:  # noqa: BLE001  an import runs any code
            if self._may_be_removed and isinstance(error, AttributeError | ImportError):
                return RemovedClassObject
            return self._failed(error)
        return load_inner if found is pickle.loads and self._may_be_removed else found

    def unreadable_in(self, value: object, clean: set[int] | None = None) -> Unreadable | None:
        """Return something unreadable that `value` refers to; ``None`` if all of it is readable.

        `clean` caches readable objects; pass it only once no object changes any more.
        """
        if not self._has_failed:
            return None
        seen = {id(value)}
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if type(one) is Unreadable:
                return one
            if id(one) in self._spoilt:
                return self._spoilt[id(one)][1]
            for other in gc.get_referents(one):
                is_known = id(other) in seen or (clean is not None and id(other) in clean)
                if not is_known and not isinstance(other, _SHARED):
                    seen.add(id(other))
                    waiting.append(other)
        if clean is not None:
            clean |= seen
        return None

    def _failed(self, error: BaseException) -> Unreadable:
        self._has_failed = True
        return Unreadable(error_text(error))

    def _make(self, call: Callable[[], Any], *needed: object) -> Any:
        """Return the result of `call`, or something unreadable among what it needs."""
        for each in needed:
            if unreadable := self.unreadable_in(each):
                return unreadable
        try:
            return call()
        except BaseException as error:  # noqa: BLE001  how objects unpickle is user code
            return self._failed(error)

    def _fill(self, target: object, fill: Callable[[], Any], needed: object) -> None:
        """Change `target` by calling `fill`; if that fails, `target` is unreadable."""
        if type(target) is Unreadable:
            return
        done = self._make(fill, needed)
        if type(done) is Unreadable:
            self._spoilt[id(target)] = (target, done)

    def _reduce(self) -> None:
        args, function = self.stack.pop(), self.stack[-1]
        self.stack[-1] = self._make(lambda: function(*args), function, args)

    def _new(self) -> None:
        args, kind = self.stack.pop(), self.stack[-1]
        self.stack[-1] = self._make(lambda: kind.__new__(kind, *args), kind, args)

    def _new_with_names(self) -> None:
        names, args, kind = self.stack.pop(), self.stack.pop(), self.stack[-1]
        self.stack[-1] = self._make(lambda: kind.__new__(kind, *args, **names), kind, args, names)

    def _build(self) -> None:
        state, target = self.stack[-1], self.stack[-2]
        depth = len(self.stack)
        build = pickle._Unpickler.load_build  # type: ignore[attr-defined]
        self._fill(target, lambda: build(self), state)
        del self.stack[depth - 1 :]

    def _set_items(self) -> None:
        self._set_all(self.pop_mark())

    def _set_all(self, items: list[Any]) -> None:
        target = self.stack[-1]
        needed = items if type(target) is not dict else items[::2]
        self._fill(target, lambda: _set_all(target, items), needed)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_all([key, value])

    def _append(self) -> None:
        self._append_all([self.stack.pop()])

    def _appends(self) -> None:
        self._append_all(self.pop_mark())

    def _append_all(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        else:
            self._fill(target, lambda: _for_each(target.append, items), items)

    def _add_items(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        self._fill(target, lambda: _for_each(target.add, items), items)

    def _frozen_set(self) -> None:
        items = self.pop_mark()
        self.stack.append(self._make(lambda: frozenset(items), items))

    dispatch.update(
        {
            pickle.REDUCE[0]: _reduce,
            pickle.NEWOBJ[0]: _new,
            pickle.NEWOBJ_EX[0]: _new_with_names,
            pickle.BUILD[0]: _build,
            pickle.SETITEM[0]: _set_item,
            pickle.SETITEMS[0]: _set_items,
            pickle.APPEND[0]: _append,
            pickle.APPENDS[0]: _appends,
            pickle.ADDITEMS[0]: _add_items,
            pickle.FROZENSET[0]: _frozen_set,
        }
    )


def _set_all(target: Any, items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key] = value


def _for_each(call: Callable[[Any], Any], items: Iterable[Any]) -> None:
    for item in items:
        call(item)
