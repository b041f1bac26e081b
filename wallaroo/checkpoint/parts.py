"""A part file: keys of one state and their state objects, in chunks of about a thousand.

Each chunk is one block, whose body is::

    form of the keys (u8), how many (u32), bytes of the keys (u32), keys, state objects

Keys are a msgpack array: of texts if all keys are ``str`` (form 0), otherwise of canonical key
bytes (form 1). The state objects are one pickle of a list, so what they share is kept once.
``None`` instead of an object is a tombstone: the key was deleted, whatever older parts hold of it.

Chunks of windows that are stored by time say which pane they belong to (forms 2 and 3, with keys as
in 0 and 1)::

    form (u8), how many (u32), bytes of the keys (u32), time (i64), kind (u8), keys, state objects

The kind says how they go with older chunks of the pane, see ``wallaroo.timing.pane_saving``; keys
that are *done* have no objects.

Keys can be read without the pickle. Reading it creates objects of the application's classes, so it
is read only if these are needed, and only after the block's checksum has matched.
"""

import pickle
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from wallaroo.checkpoint.blocks import (
    HEADER_BYTES,
    HINT_RESTORE,
    Block,
    FileKind,
    encode_block,
    encode_header,
    read_blocks,
)
from wallaroo.checkpoint.manifest import PartRef
from wallaroo.checkpoint.pickling import (
    PICKLE_PROTOCOL,
    NotReadableError,
    PickledState,
    StatePickler,
)
from wallaroo.checkpoint.unpickling import unpickle_states
from wallaroo.describing import error_text
from wallaroo.errors import DamagedFileError, StateObjectError
from wallaroo.operators.saved_state import PaneTag
from wallaroo.routing.keys import Key, display_key, key_bytes, key_from_bytes, short_repr
from wallaroo.timing.pane_saving import ChunkKind

PART_HEADER = encode_header(FileKind.PART)
"""The first bytes of a part file; chunks follow."""

_TEXTS = 0
_KEY_BYTES = 1
_TAGGED = 2
"""Added to the form of the keys if there is a tag."""

_HEAD = struct.Struct(">BII")
_TAG = struct.Struct(">qB")


def encode_chunk(
    keys: Sequence[Key],
    states: Sequence[object],
    state: str,
    pickler: StatePickler,
    tag: PaneTag | None = None,
) -> bytes:
    """Return a chunk of canonical `keys` and their objects, as a block of a part file.

    Raises ``StateObjectError``, with the name of the `state` and the key, if an object cannot be
    pickled or not be read back.
    """
    head = _head(keys, tag)
    if tag is not None and tag.kind is ChunkKind.DONE:
        return encode_block(head)
    if len(keys) != len(states):
        raise ValueError(f"a chunk needs a state object for each of its {len(keys)} keys")
    try:
        pickled = pickler.pickle_together(list(states))
    except BaseException as error:
        # How objects pickle is user code, and so is a sys.exit() in it.
        raise _unsavable(keys, states, state, pickler, error) from error
    return encode_block(head + pickled)


def encode_copies(keys: Sequence[Key], copies: Sequence[bytes]) -> bytes:
    """Return a chunk of objects that ``pickle_state`` has pickled one by one."""
    pickled = pickle.dumps([PickledState(copy) for copy in copies], PICKLE_PROTOCOL)
    return encode_block(_head(keys) + pickled)


def pickle_state(key: Key, value: object, state: str, pickler: StatePickler) -> bytes:
    """Return a pickle of one state object; raises what ``encode_chunk`` raises."""
    try:
        return pickler.pickle(value)
    except BaseException as error:
        raise _unsavable([key], [value], state, pickler, error) from error


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that was read; its checksum has matched."""

    file: str
    offset: int
    key_count: int
    tag: PaneTag | None
    """What its keys mean if they are windows stored by time."""
    _form: int = field(repr=False)
    _keys: bytes = field(repr=False)
    _states: bytes = field(repr=False)

    def keys(self) -> list[Key]:
        """Return the canonical keys; ``DamagedFileError`` if the bytes do not hold keys."""
        try:
            packed: list[Any] = msgpack.unpackb(self._keys)
            keys = packed if self._form == _TEXTS else [key_from_bytes(item) for item in packed]
            if len(keys) != self.key_count:
                raise ValueError(f"there are {len(keys)}, written were {self.key_count}")
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise self._damage(f"the keys of a chunk cannot be read: {error}") from error
        return keys

    def states(self, *, may_be_removed: bool = False) -> list[Any]:
        """Return the state objects, one for each key in the same order.

        This runs code of the application, since its classes decide how they unpickle. An object
        that fails is an ``Unreadable``; with `may_be_removed`, a ``RemovedClassObject`` if its
        class does not exist. There are none if its keys are done.
        """
        if self.tag is not None and self.tag.kind is ChunkKind.DONE:
            return []
        states = unpickle_states(self._states, self.key_count, may_be_removed=may_be_removed)
        if states is None:
            raise self._damage(f"a chunk does not have {self.key_count} state objects")
        return states

    def _damage(self, what: str) -> DamagedFileError:
        return DamagedFileError(self.file, self.offset, what, HINT_RESTORE)


def read_chunks(data: bytes, file: str) -> Iterator[Chunk]:
    """Yield the chunks of the part in `file`; ``DamagedFileError`` at the first not whole."""
    for block in read_blocks(data, FileKind.PART, file):
        yield _chunk(block, file)


def read_part(data: bytes, part: PartRef, file: str) -> Iterator[Chunk]:
    """Yield the chunks of `part` in `file`, and check that it has all its bytes and keys."""
    if len(data) != part.byte_count:
        raise DamagedFileError(
            file,
            min(len(data), part.byte_count),
            f"it has {len(data)} bytes, the manifest knows {part.byte_count}",
            HINT_RESTORE,
        )
    key_count = 0
    for chunk in read_chunks(data, file):
        key_count += chunk.key_count
        yield chunk
    if key_count != part.key_count:
        raise DamagedFileError(
            file,
            HEADER_BYTES,
            f"it has {key_count} keys, the manifest knows {part.key_count}",
            HINT_RESTORE,
        )


def _chunk(block: Block, file: str) -> Chunk:
    body = block.body
    if len(body) < _HEAD.size:
        raise DamagedFileError(file, block.offset, "a block is not a chunk", HINT_RESTORE)
    form, key_count, keys_bytes = _HEAD.unpack_from(body)
    start, tag = _HEAD.size, None
    try:
        if form >= _TAGGED:
            time, kind = _TAG.unpack_from(body, start)
            form, start, tag = form - _TAGGED, start + _TAG.size, PaneTag(ChunkKind(kind), time)
    except (struct.error, ValueError) as error:
        raise DamagedFileError(
            file, block.offset, "a block is not a chunk", HINT_RESTORE
        ) from error
    end = start + keys_bytes
    if form not in (_TEXTS, _KEY_BYTES) or end > len(body):
        raise DamagedFileError(file, block.offset, "a block is not a chunk", HINT_RESTORE)
    return Chunk(file, block.offset, key_count, tag, form, body[start:end], body[end:])


def _head(keys: Sequence[Key], tag: PaneTag | None = None) -> bytes:
    """Return what a chunk has before its state objects."""
    form, packed = _pack_keys(keys)
    if tag is None:
        return _HEAD.pack(form, len(keys), len(packed)) + packed
    head = _HEAD.pack(form + _TAGGED, len(keys), len(packed))
    return head + _TAG.pack(tag.time, tag.kind) + packed


def _pack_keys(keys: Sequence[Key]) -> tuple[int, bytes]:
    if set(map(type, keys)) == {str}:
        try:
            return _TEXTS, msgpack.packb(keys)
        except UnicodeEncodeError:
            pass  # a lone surrogate; the bytes of a key take these
    return _KEY_BYTES, msgpack.packb([key_bytes(key) for key in keys])


def _unsavable(
    keys: Sequence[Key],
    states: Sequence[object],
    state: str,
    pickler: StatePickler,
    error: BaseException,
) -> StateObjectError:
    """Return the error for the first key whose object cannot be saved even by itself."""
    where = f"the objects of {len(keys)} keys together"
    for key, value in zip(keys, states, strict=True):
        try:
            pickler.pickle(value)
        except BaseException as single_error:  # noqa: BLE001  # as above
            error = single_error
            where = f"the object of key {short_repr(display_key(key))}"
            break
    if isinstance(error, NotReadableError):
        return StateObjectError(
            f"state {state!r} cannot be saved: {where} can be pickled, but not unpickled: {error}",
            hint="make its class, or the class of something in it, unpickle what it pickles: an "
            "exception must pass all its arguments to super().__init__(), __getattr__ must raise "
            "AttributeError for names with two underscores, and classes must be at the top of a "
            "module",
        )
    return StateObjectError(
        f"state {state!r} cannot be saved: {where} cannot be pickled: {error_text(error)}",
        hint="keep plain values and objects of importable classes in states; open files, locks, "
        "sockets and lambdas cannot be saved",
    )
