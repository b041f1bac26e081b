"""Reads a pickle that has unreadable parts, and identifies these parts.

``pickle.loads`` stops at the first error, and everything in the same pickle is lost. Here a pickle
is split into its opcodes, and pickle itself executes each one alone, so that it keeps its meaning.
A graph records which values were made of which. An opcode that fails breaks the value that it would
have made, and every value that this one is or becomes a part of. Inspecting the objects would not
do instead, because their classes decide what they show.

This costs some microseconds for each opcode, and calls constructors again that ``pickle.loads`` has
called before. It is meant for pickles that could not be read. It supports what ``pickle.dumps``
writes from protocol 4 on.
"""

import functools
import io
import itertools
import pickle
import pickletools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_HEADER = b"\x80\x05"
_SKIPPED = {"PROTO", "FRAME"}
_FROM_MEMO = {"BINGET", "LONG_BINGET"}
_IN_PLACE = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
"""Opcodes that change their first operand and leave it on the stack."""
_CALLS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX"}


@dataclass(slots=True, eq=False)
class Part:
    """A value in a pickle. If ``error`` is set, it could not be made or is incomplete."""

    value: Any = None
    error: BaseException | None = None
    parts: list["Part"] = field(default_factory=list)
    """The values that it was made of, in order."""
    _owners: list["Part"] = field(default_factory=list)

    def add(self, part: "Part") -> None:
        """Make ``part`` a part of this one; if it is broken, now or later, so is this one."""
        self.parts.append(part)
        part._owners.append(self)
        if part.error is not None:
            self.break_with(part.error)

    def break_with(self, error: BaseException) -> None:
        """Set ``error`` on this part and on everything that contains it."""
        reached = [self]
        while reached:
            part = reached.pop()
            if part.error is None:
                part.error = error
                reached.extend(part._owners)


class _Shape(NamedTuple):
    """What an opcode takes from the stack, and what it puts there."""

    operands: int
    """Number of operands, without the values above the mark."""
    takes_to_mark: bool
    results: int


class _Instruction(NamedTuple):
    """One opcode with its argument."""

    name: str
    arg: Any
    code: bytes
    """The bytes of both in the pickle."""


def _shape(opcode: pickletools.OpcodeInfo) -> _Shape:
    takes_to_mark = pickletools.markobject in opcode.stack_before
    operands = len(opcode.stack_before) - (2 if takes_to_mark else 0)
    return _Shape(operands, takes_to_mark, len(opcode.stack_after))


_SHAPES = {opcode.name: _shape(opcode) for opcode in pickletools.opcodes}


def read_parts(data: bytes) -> Part:
    """Return the pickled value, readable or not. Raises if ``data`` is not a pickle."""
    reader = _Reader()
    for instruction, following in itertools.pairwise(_instructions(data)):
        reader.follow(instruction, following)
    return reader.stack.pop()


def _instructions(data: bytes) -> Iterable[_Instruction]:
    opcodes = [*pickletools.genops(data)]
    starts = [position or 0 for _, _, position in opcodes]
    for (opcode, arg, _), start, end in zip(opcodes, starts, [*starts[1:], None], strict=True):
        yield _Instruction(opcode.name, arg, data[start:end])


class _Reader:
    """Pickle's stack machine, with a graph of parts instead of a stack of values."""

    def __init__(self) -> None:
        self.stack: list[Part] = []
        self._marks: list[int] = []
        self._memo: list[Part] = []
        self._called: Part | None = None
        """The result of the last instruction, if it was a call."""

    def follow(self, instruction: _Instruction, following: _Instruction) -> None:
        """Execute ``instruction``; ``following`` is the one after it."""
        name = instruction.name
        called, self._called = self._called, None
        if name in _SKIPPED:
            pass
        elif name == "MARK":
            self._marks.append(len(self.stack))
        elif name == "POP_MARK":
            del self.stack[self._marks.pop() :]
        elif name == "POP":
            self.stack.pop()
            if called is not None:
                self._owner_of_dropped(called, following).add(called)
        elif name == "MEMOIZE":
            self._memo.append(self.stack[-1])
        elif name in _FROM_MEMO:
            self.stack.append(self._memo[instruction.arg])
        elif _SHAPES[name].results == 1:
            self._compute(instruction)
        else:
            raise pickle.UnpicklingError(f"{name} is not for protocols from 4 on")

    def _owner_of_dropped(self, called: Part, following: _Instruction) -> Part:
        """Return the value that a call belongs to if its result is dropped.

        Either the same object was made within itself, and is now read from the memo, or the call
        was to a function that sets the state of the object on the stack.
        """
        if following.name in _FROM_MEMO:
            again: Part = self._memo[following.arg]
            if again.parts and again.parts[0] is called.parts[0]:
                return again
        return self.stack[-1]

    def _compute(self, instruction: _Instruction) -> None:
        shape = _SHAPES[instruction.name]
        items = self._take(self._marks.pop()) if shape.takes_to_mark else None
        operands = self._take(len(self.stack) - shape.operands)
        is_in_place = instruction.name in _IN_PLACE
        result = operands[0] if is_in_place else Part()
        for part in itertools.chain(operands[1:] if is_in_place else operands, items or ()):
            result.add(part)
        if result.error is None:
            try:
                result.value = _run(instruction.code, operands, items)
            except BaseException as error:  # noqa: BLE001  most opcodes run user code
                result.break_with(error)
        if instruction.name in _CALLS:
            self._called = result
        self.stack.append(result)

    def _take(self, start: int) -> list[Part]:
        if start < 0:
            raise pickle.UnpicklingError("the pickle takes more than it has made")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken


def _run(code: bytes, operands: list[Part], items: list[Part] | None) -> Any:
    """Return the result of one instruction, executed in a pickle of its own."""
    if not operands and items is None:
        return pickle.loads(b"".join((_HEADER, code, pickle.STOP)))
    program = _program(code, len(operands), None if items is None else len(items))
    return _OneStep(program, [part.value for part in (*operands, *(items or ()))]).load()


@functools.lru_cache(maxsize=32)
def _program(code: bytes, operand_count: int, item_count: int | None) -> bytes:
    """Return a pickle that applies ``code`` to this many values."""
    pushes = [
        pickle.BININT + index.to_bytes(4, "little") + pickle.BINPERSID
        for index in range(operand_count + (item_count or 0))
    ]
    if item_count is not None:
        pushes.insert(operand_count, pickle.MARK)
    return b"".join((_HEADER, *pushes, code, pickle.STOP))


class _OneStep(pickle.Unpickler):
    """Provides existing values to a pickle, which refers to them by index."""

    def __init__(self, program: bytes, values: list[Any]) -> None:
        super().__init__(io.BytesIO(program))
        self._values = values

    def persistent_load(self, pid: Any) -> Any:
        return self._values[pid]
