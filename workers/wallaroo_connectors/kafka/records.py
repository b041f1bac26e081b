"""What encoders of a Kafka sink return, and what becomes of it.

* ``bytes`` or a text: the value of a message without a key;
* ``(value, key)`` or ``(value, key, partition)``;
* a ``KafkaRecord``, which also has headers and a time.

A row that cannot become a message is refused before anything is written.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import wallaroo

Text: TypeAlias = bytes | str
Headers: TypeAlias = Mapping[str, Text | None] | Sequence[tuple[str, Text | None]]

ANY_PARTITION = -1
"""The partitioner chooses it by the key."""
NOW = 0
OVERHEAD_BYTES = 100
"""More than a message and its batch need beside key, value and headers."""
HEADER_BYTES = 10


class KafkaRecord(NamedTuple):
    """One message for a topic. Texts are encoded as UTF-8."""

    value: Text | None
    """``None`` writes a tombstone, which deletes the key in a compacted topic."""
    key: Text | None = None
    headers: Headers = ()
    timestamp_ms: int | None = None
    """Unix time in milliseconds; by default the time at which it is written."""
    partition: int | None = None
    """By default the key decides, as in Java's clients."""


class Message(NamedTuple):
    """What the client library is called with."""

    value: bytes | None
    key: bytes | None = None
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW
    headers: list[tuple[str, bytes | None]] | None = None


Fields: TypeAlias = tuple[
    bytes | None, bytes | None, int, int, list[tuple[str, bytes | None]] | None
]
"""A ``Message``, or its fields alone."""


def messages_of(rows: Sequence[Any], partition_count: int, bytes_max: int) -> list[Fields]:
    """Return the messages of all rows; raise ``wallaroo.Rejected`` if some cannot be messages."""
    messages: list[Fields] = []
    reasons: dict[int, str] = {}
    plain_bytes_max = bytes_max - OVERHEAD_BYTES
    for index, row in enumerate(rows):
        # Most rows are of these two kinds, and to look at one costs more than to write it.
        kind = type(row)
        if kind is bytes and len(row) <= plain_bytes_max:
            messages.append((row, None, ANY_PARTITION, NOW, None))
            continue
        if kind is tuple and len(row) == 2:
            value, key = row
            is_plain = type(value) is bytes and type(key) is bytes
            if is_plain and len(value) + len(key) <= plain_bytes_max:
                messages.append((value, key, ANY_PARTITION, NOW, None))
                continue
        try:
            message = _message_of(row)
            _check(message, partition_count, bytes_max)
        except _RefusedError as refused:
            reasons[index] = str(refused)
        else:
            messages.append(message)
    if reasons:
        raise wallaroo.Rejected(reasons)
    return messages


class _RefusedError(ValueError):
    """A row cannot be a message."""


def _message_of(row: Any) -> Message:
    if type(row) is not KafkaRecord:
        row = _record_of(row)
    timestamp_ms, partition = row.timestamp_ms, row.partition
    if timestamp_ms is not None and (type(timestamp_ms) is not int or timestamp_ms <= 0):
        raise _RefusedError(f"timestamp_ms is {timestamp_ms!r}; give Unix time in milliseconds")
    if partition is not None and type(partition) is not int:
        raise _RefusedError(f"the partition is {partition!r}; give its number")
    return Message(
        _as_bytes("value", row.value),
        _as_bytes("key", row.key),
        ANY_PARTITION if partition is None else partition,
        NOW if timestamp_ms is None else timestamp_ms,
        _headers_of(row.headers) if row.headers else None,
    )


def _record_of(row: Any) -> KafkaRecord:
    if isinstance(row, tuple):
        if len(row) == 2:
            return KafkaRecord(*row)
        if len(row) == 3:
            return KafkaRecord(row[0], row[1], partition=row[2])
        raise _RefusedError(
            f"the encoder returned a tuple of {len(row)}; return (value, key), (value, key, "
            "partition) or a KafkaRecord"
        )
    return KafkaRecord(row)


def _as_bytes(what: str, given: Any) -> bytes | None:
    if given is None or type(given) is bytes:
        return given
    if isinstance(given, str):
        return given.encode("utf-8", "surrogatepass")
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    kind = type(given).__name__
    raise _RefusedError(f"the {what} is an object of {kind}; return bytes or a text")


def _headers_of(given: Any) -> list[tuple[str, bytes | None]]:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        found = [(name, value) for name, value in pairs]
    except (TypeError, ValueError) as error:
        raise _RefusedError(f"headers are {given!r}; give a dict or pairs") from error
    for name, _ in found:
        if not isinstance(name, str):
            raise _RefusedError(f"the name of the header {name!r} is not a text")
    return [(name, _as_bytes(f"header {name!r}", value)) for name, value in found]


def _check(message: Message, partition_count: int, bytes_max: int) -> None:
    value, key, partition, _, headers = message
    size = OVERHEAD_BYTES + len(value or b"") + len(key or b"")
    for name, content in headers or ():
        size += HEADER_BYTES + len(name.encode("utf-8", "surrogatepass")) + len(content or b"")
    if size > bytes_max:
        raise _RefusedError(
            f"the message has about {size} bytes, and at most {bytes_max} can be written; raise "
            'max.message.bytes of the topic and "message.max.bytes" in options'
        )
    if partition != ANY_PARTITION and not 0 <= partition < partition_count:
        raise _RefusedError(
            f"there is no partition {partition}; the topic has {partition_count}, counted from 0"
        )
