"""What one worker tells another with the connections that it gives to it.

After the proof of the secret the giver sends an offer, then batches of connections, each part
behind a u32 big-endian length. The descriptors of a batch travel beside the first byte of its
length. The taker answers with one byte.
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
"""Connections in one batch; Linux takes no more than 253 descriptors at once."""
BATCH_BYTES = 1 << 20
"""A batch ends with the connection that brings it beyond this."""
OVERHEAD_BYTES = 64 << 10
CONNECTIONS_MAX = 1 << 17

HINT_RELEASE = "run the same release of wallaroo-streams in all workers"

ACCEPTED, REFUSED = b"\x01", b"\x00"


def encode_offer(resize: int, giver: WorkerName, attempt: int, count: int) -> bytes:
    """Return the offer of so many connections, its length before it."""
    return _framed([resize, giver, attempt, count])


def decode_offer(content: bytes) -> tuple[int, WorkerName, int, int]:
    """Return what ``encode_offer`` was given; ``ProtocolError`` for anything else."""
    match _unpacked(content):
        case [int(resize), str(giver), int(attempt), int(count)] if 0 <= count <= CONNECTIONS_MAX:
            return resize, WorkerName(giver), attempt, count
    raise _unreadable("an offer of connections", content)


def batches(begins: Sequence[bytes]) -> list[slice]:
    """Return how connections that hold these unfinished frames are to be sent together."""
    found: list[slice] = []
    first, byte_count = 0, 0
    for number, begin in enumerate(begins):
        byte_count += len(begin)
        if byte_count > BATCH_BYTES or number + 1 - first == BATCH_COUNT_MAX:
            found.append(slice(first, number + 1))
            first, byte_count = number + 1, 0
    if first < len(begins):
        found.append(slice(first, len(begins)))
    return found


def batch_bytes_max(frame_bytes_max: int) -> int:
    """Return how long a batch can be where payloads are no longer than that."""
    return BATCH_BYTES + frame_bytes_max + OVERHEAD_BYTES


def encode_batch(connections: Sequence[tuple[int, bytes]]) -> bytes:
    """Return pipeline and unfinished frame of each, the length of all before it."""
    return _framed([list(each) for each in connections])


def decode_batch(content: bytes, pipelines: frozenset[int]) -> list[tuple[int, bytes]]:
    """Return what ``encode_batch`` was given; ``ProtocolError`` for anything else."""
    values = _unpacked(content)
    found: list[tuple[int, bytes]] = []
    for value in values if isinstance(values, list) else [None]:
        match value:
            case [int(pipeline), bytes(begin)] if pipeline in pipelines:
                found.append((pipeline, begin))
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
