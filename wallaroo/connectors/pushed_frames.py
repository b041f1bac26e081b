"""Deliveries of a pushed source as frames of the journal.

A frame is a length of four bytes and a msgpack list: the form of the record, the record, and what
came with it: its key and its time. Payloads for a decoder, text and numbers are packed as they are;
other records are pickled.
"""

import pickle
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgpack

from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.describing import error_text

_LENGTH = struct.Struct("!I")

PLAIN = 0
PICKLED = 1

_PLAIN_CLASSES = frozenset({bytes, str, int, float, bool, type(None)})


class UnjournalableRecordError(Exception):
    """A record that cannot be written to the journal."""


def pack_delivery(record: Any, key: Any, time: float | None) -> bytes:
    """Return the frame of one delivery. Raises ``UnjournalableRecordError``."""
    try:
        packed = _packed(record, key, time)
    except Exception as error:
        kind = f"{type(record).__module__}.{type(record).__qualname__}"
        raise UnjournalableRecordError(
            f"a record of class {kind} cannot be written to the journal: {error_text(error)}"
        ) from error
    return _LENGTH.pack(len(packed)) + packed


def _packed(record: Any, key: Any, time: float | None) -> bytes:
    if record.__class__ in _PLAIN_CLASSES:
        # Text with a lone surrogate, and integers of more than 64 bits, are not in msgpack.
        with suppress(OverflowError, UnicodeEncodeError):
            plain: bytes = msgpack.packb([PLAIN, record, key, time])
            return plain
    pickled = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
    packed: bytes = msgpack.packb([PICKLED, pickled, key, time])
    return packed


def unpack_deliveries(frames: bytes) -> KeyedRecords:
    """Return the records of these frames, with keys and times. Raises ``ValueError`` otherwise."""
    values = [_delivery(body) for body in _bodies(frames)]
    return KeyedRecords(
        [record for record, _, _ in values],
        [key for _, key, _ in values],
        [time for _, _, time in values],
    )


def _bodies(frames: bytes) -> Iterable[bytes]:
    offset = 0
    while offset < len(frames):
        begin = offset + _LENGTH.size
        if begin > len(frames):
            raise ValueError("a frame has no length")
        offset = begin + _LENGTH.unpack_from(frames, begin - _LENGTH.size)[0]
        if offset > len(frames):
            raise ValueError("a frame is shorter than its length")
        yield frames[begin:offset]


def _delivery(body: bytes) -> tuple[Any, Any, float | None]:
    try:
        form, record, key, time, *_ = msgpack.unpackb(body)
        return pickle.loads(record) if form == PICKLED else record, key, time
    except Exception as error:
        raise ValueError(f"a frame is not a delivery: {error_text(error)}") from error
