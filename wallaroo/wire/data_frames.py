"""Frames between two workers. Each travels behind a u32 big-endian length.

    dialer -> listener   LinkHello    u8 1 | msgpack [sender, incarnation, receiver, incarnation]
    listener -> dialer   LinkWelcome  u8 2 | u64 last sequence processed | u8 is under pressure
    dialer -> listener   BatchFrame   u8 3 | u64 sequence | u32 edge | u8 form | u32 records
                                      | u64 delivered, unix ns | body
    dialer -> listener   Barrier      u8 4 | u64 sequence | u64 epoch | u64 checkpoint | u32 edge
    listener -> dialer   Ack          u8 5 | u64 last sequence processed
    listener -> dialer   Pressure     u8 6 | u8 is under pressure
    dialer -> listener   MovedStates  u8 7 | u64 sequence | u64 resize | u32 state | body
    dialer -> listener   MovedAll     u8 8 | u64 sequence | u64 resize | u64 keys
                                      | msgpack {state: [clock, fired]} if states have times
    dialer -> listener   ClockFrame   u8 9 | u64 sequence | u32 edge | i64 watermark, unix ns
                                      | u8 status

The frames that the dialer sends after its hello are numbered by one sequence, without gaps, as long
as both ends are the same incarnations. An incarnation is the epoch at which a process of that name
was started. ``data_link.py`` explains the protocol.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgpack

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName

FRAME_BYTES_MAX = (1 << 31) - 1
CLOCK_STATUSES = range(3)

_LENGTH = struct.Struct(">I")
_BATCH = struct.Struct(">BQIBIQ")
_BARRIER = struct.Struct(">BQQQI")
_WELCOME = struct.Struct(">BQ?")
_ACK = struct.Struct(">BQ")
_PRESSURE = struct.Struct(">B?")
_MOVED_STATES = struct.Struct(">BQQI")
_MOVED_ALL = struct.Struct(">BQQQ")
_CLOCK = struct.Struct(">BQIqB")


@dataclass(frozen=True, slots=True)
class LinkHello:
    """Names both ends and their incarnations."""

    sender: WorkerName
    sender_incarnation: Epoch
    receiver: WorkerName
    receiver_incarnation: Epoch


@dataclass(frozen=True, slots=True)
class LinkWelcome:
    """Says where the sender continues, and whether its sources must pause."""

    processed_sequence: int
    is_under_pressure: bool


@dataclass(frozen=True, slots=True)
class BatchFrame:
    """Records for one edge; ``body`` is what ``wallaroo.operators.batches`` packed."""

    sequence: int
    edge: EdgeId
    form: int
    record_count: int
    body: bytes
    delivered_ns: int = 0
    """When the source received the oldest of these records, in nanoseconds since 1970 by the clock
    of its host; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """Follows everything that its sender had for ``edge`` before this checkpoint."""

    sequence: int
    epoch: Epoch
    checkpoint: CheckpointId
    edge: EdgeId


@dataclass(frozen=True, slots=True)
class Ack:
    """Acknowledges that all frames up to ``sequence`` are processed."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Pressure:
    """Says whether sources that feed this link must pause."""

    is_under_pressure: bool


@dataclass(frozen=True, slots=True)
class MovedStates:
    """Keys of a state that move to the receiver; ``body`` has the format of a part file."""

    sequence: int
    resize: int
    state: int
    """Position of the state in the plan."""
    body: bytes


@dataclass(frozen=True, slots=True)
class MovedAll:
    """Ends the states that move from the sender to the receiver, with the number of all keys."""

    sequence: int
    resize: int
    key_count: int
    clocks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By timed state: the sender's clock, and up to when it has fired."""


@dataclass(frozen=True, slots=True)
class ClockFrame:
    """The sender's watermark over an edge: nothing with an earlier time follows."""

    sequence: int
    edge: EdgeId
    time: int
    status: int
    """A value of ``wallaroo.timing.clocks.Status``."""


MovingFrame = MovedStates | MovedAll

NumberedFrame = BatchFrame | Barrier | MovedStates | MovedAll | ClockFrame
"""Frames that the sender keeps until the receiver has processed them."""

DataFrame = LinkHello | LinkWelcome | NumberedFrame | Ack | Pressure


def payload_bytes(frame: NumberedFrame) -> int:
    """Return the number of bytes of records or states in a frame."""
    return len(frame.body) if isinstance(frame, BatchFrame | MovedStates) else 0


def encode_data_frame(frame: DataFrame) -> bytes:
    """Return ``frame`` as bytes, with its length first."""
    match frame:
        case BatchFrame(sequence, edge, form, record_count, body, delivered_ns):
            head = _BATCH.pack(3, sequence, edge, form, record_count, delivered_ns)
            return b"".join((_LENGTH.pack(len(head) + len(body)), head, body))
        case Barrier(sequence, epoch, checkpoint, edge):
            content = _BARRIER.pack(4, sequence, epoch, checkpoint, edge)
        case MovedStates(sequence, resize, state, body):
            head = _MOVED_STATES.pack(7, sequence, resize, state)
            return b"".join((_LENGTH.pack(len(head) + len(body)), head, body))
        case MovedAll(sequence, resize, key_count, clocks):
            content = _MOVED_ALL.pack(8, sequence, resize, key_count) + _pack_clocks(clocks)
        case ClockFrame(sequence, edge, time, status):
            content = _CLOCK.pack(9, sequence, edge, time, status)
        case Ack(sequence):
            content = _ACK.pack(5, sequence)
        case Pressure(is_under_pressure):
            content = _PRESSURE.pack(6, is_under_pressure)
        case LinkWelcome(processed_sequence, is_under_pressure):
            content = _WELCOME.pack(2, processed_sequence, is_under_pressure)
        case LinkHello(sender, sender_incarnation, receiver, receiver_incarnation):
            values = [sender, sender_incarnation, receiver, receiver_incarnation]
            content = b"\x01" + msgpack.packb(values)
    return _LENGTH.pack(len(content)) + content


def decode_data_frame(content: bytes) -> DataFrame:
    """Return the frame in ``content``, which excludes the length."""
    try:
        match content[0]:
            case 3:
                _, sequence, edge, form, record_count, delivered_ns = _BATCH.unpack_from(content)
                body = content[_BATCH.size :]
                return BatchFrame(sequence, EdgeId(edge), form, record_count, body, delivered_ns)
            case 4:
                _, sequence, epoch, checkpoint, edge = _BARRIER.unpack(content)
                return Barrier(sequence, Epoch(epoch), CheckpointId(checkpoint), EdgeId(edge))
            case 7 | 8:
                return _decode_moving(content)
            case 9:
                return _decode_clock(content)
            case 5:
                return Ack(_ACK.unpack(content)[1])
            case 6:
                return Pressure(_PRESSURE.unpack(content)[1])
            case 2:
                return LinkWelcome(*_WELCOME.unpack(content)[1:])
            case 1:
                return _decode_hello(content[1:])
            case tag:
                raise ValueError(f"no frame has tag {tag}")
    except (IndexError, ValueError, TypeError, struct.error) as error:
        raise ProtocolError(
            f"a data frame of {len(content)} bytes cannot be read: {error}",
            hint="run the same release of wallaroo-streams on every host",
        ) from error


def _pack_clocks(clocks: Mapping[str, tuple[int, int]]) -> bytes:
    if not clocks:
        return b""
    # Names are the user's and may hold lone surrogates.
    values = {name: [*each] for name, each in clocks.items()}
    packed: bytes = msgpack.packb(values, unicode_errors="surrogatepass")
    return packed


def _decode_moved_all(content: bytes) -> MovedAll:
    _, sequence, resize, key_count = _MOVED_ALL.unpack_from(content)
    packed = content[_MOVED_ALL.size :]
    saved = msgpack.unpackb(packed, unicode_errors="surrogatepass") if packed else {}
    if not isinstance(saved, dict):
        raise TypeError("clocks must be numbers by name")
    clocks = {}
    for name, (clock, fired) in saved.items():
        if not (isinstance(name, str) and isinstance(clock, int) and isinstance(fired, int)):
            raise TypeError("clocks must be numbers by name")
        clocks[name] = clock, fired
    return MovedAll(sequence, resize, key_count, clocks)


def _decode_moving(content: bytes) -> MovingFrame:
    if content[0] == 8:
        return _decode_moved_all(content)
    _, sequence, resize, state = _MOVED_STATES.unpack_from(content)
    return MovedStates(sequence, resize, state, content[_MOVED_STATES.size :])


def _decode_clock(content: bytes) -> ClockFrame:
    _, sequence, edge, time, status = _CLOCK.unpack(content)
    if status not in CLOCK_STATUSES:
        raise ValueError(f"no clock has status {status}")
    return ClockFrame(sequence, EdgeId(edge), time, status)


def _decode_hello(packed: bytes) -> LinkHello:
    sender, sender_incarnation, receiver, receiver_incarnation = msgpack.unpackb(packed)
    if not (isinstance(sender, str) and isinstance(receiver, str)):
        raise TypeError("names of workers must be text")
    if not (isinstance(sender_incarnation, int) and isinstance(receiver_incarnation, int)):
        raise TypeError("incarnations must be numbers")
    return LinkHello(
        WorkerName(sender),
        Epoch(sender_incarnation),
        WorkerName(receiver),
        Epoch(receiver_incarnation),
    )
