"""Messages with which one worker hands its senders' connections over to another.

After the handshake the departing worker sends an offer, then batches of connections, each with a
u32 big-endian length first. The descriptors of a batch travel beside the first byte of its length.
The receiver answers with one byte.
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgpack

from wallaroo.errors import ProtocolError
from wallaroo.names import WorkerName

LENGTH = struct.Struct(">I")
OFFER_BYTES_MAX = 64 << 10
BATCH_COUNT_MAX = 200
"""Connections in one batch; Linux passes at most 253 descriptors in one message."""
BATCH_BYTES = 1 << 20
"""A batch ends with the connection that exceeds this."""
OVERHEAD_BYTES = 64 << 10
CONNECTIONS_MAX = 1 << 17

HINT_RELEASE = "run the same release of wallaroo-streams in all workers"

ACCEPTED, REFUSED = b"\x01", b"\x00"


def encode_offer(resize: int, giver: WorkerName, attempt: int, count: int) -> bytes:
    """Return the offer of ``count`` connections, with its length first."""
    return _framed([resize, giver, attempt, count])


def decode_offer(content: bytes) -> tuple[int, WorkerName, int, int]:
    """Return what ``encode_offer`` was given; ``ProtocolError`` for anything else."""
    match _unpacked(content):
        case [int(resize), str(giver), int(attempt), int(count)] if 0 <= count <= CONNECTIONS_MAX:
            return resize, WorkerName(giver), attempt, count
    raise _unreadable("an offer of connections", content)


def batches(unfinished: Sequence[bytes]) -> list[slice]:
    """Return the batches of connections with these unfinished frames, as slices."""
    found: list[slice] = []
    first, byte_count = 0, 0
    for number, frame in enumerate(unfinished):
        byte_count += len(frame)
        if byte_count > BATCH_BYTES or number + 1 - first == BATCH_COUNT_MAX:
            found.append(slice(first, number + 1))
            first, byte_count = number + 1, 0
    if first < len(unfinished):
        found.append(slice(first, len(unfinished)))
    return found


def batch_bytes_max(frame_bytes_max: int) -> int:
    """Return the longest possible batch if no frame is longer than ``frame_bytes_max``."""
    return BATCH_BYTES + frame_bytes_max + OVERHEAD_BYTES


def encode_batch(connections: Sequence[tuple[int, bytes]]) -> bytes:
    """Return pipeline and unfinished frame of each connection, with the length first."""
    return _framed([list(each) for each in connections])


def decode_batch(content: bytes, pipelines: frozenset[int]) -> list[tuple[int, bytes]]:
    """Return what ``encode_batch`` was given; ``ProtocolError`` for anything else."""
    values = _unpacked(content)
    found: list[tuple[int, bytes]] = []
    for value in values if isinstance(values, list) else [None]:
        match value:
            case [int(pipeline), bytes(unfinished)] if pipeline in pipelines:
                found.append((pipeline, unfinished))
            case _:
                raise _unreadable("a batch of connections", content)
    return found


def _framed(values: list[Any]) -> bytes:
    content: bytes = msgpack.packb(values)
    return LENGTH.pack(len(content)) + content


def _unpacked(content: bytes) -> Any:
    try:
        return msgpack.unpackb(content)
    except (ValueError, msgpack.UnpackException):
        return None


def _unreadable(what: str, content: bytes) -> ProtocolError:
    return ProtocolError(f"{what} of {len(content)} bytes cannot be read", hint=HINT_RELEASE)
