"""Deliveries of a pushed source as frames of the journal.

A frame is a length of four bytes and a msgpack list: the form of the record, the record, and what
came with it: its key and its time. Payloads for a decoder, text and numbers are packed as they are;
other records are pickled.
"""

import pickle
import struct
from collections.abc import Iterable
from typing import Any

import msgpack

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
        if record.__class__ in _PLAIN_CLASSES:
            body = [PLAIN, record, key, time]
        else:
            body = [PICKLED, pickle.dumps(record, pickle.HIGHEST_PROTOCOL), key, time]
        packed: bytes = msgpack.packb(body)
    except Exception as error:
        kind = f"{type(record).__module__}.{type(record).__qualname__}"
        raise UnjournalableRecordError(
            f"a record of class {kind} cannot be written to the journal: {error_text(error)}"
        ) from error
    return _LENGTH.pack(len(packed)) + packed


def unpack_deliveries(frames: bytes) -> list[Any]:
    """Return the records of these frames. Raises ``ValueError`` for anything else."""
    return [_record(body) for body in _bodies(frames)]


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


def _record(body: bytes) -> Any:
    values = msgpack.unpackb(body)
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError("a frame is not a delivery")
    form, record = values[:2]
    return pickle.loads(record) if form == PICKLED else record
