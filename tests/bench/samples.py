"""Writes input for the measured applications: frames of one size, drawn with a fixed seed."""

import json
import random
import struct
from pathlib import Path

HEADER = struct.Struct(">I")
SEED = 1
FRAME_COUNT_MIN = 10_000
FILE_BYTES_ABOUT = 10 << 20


def write_keys(path: Path, payload_bytes: int, key_count: int, *, is_each_key_once: bool) -> None:
    """Write payloads of ``counters``: a u32 key and padding."""
    chance = random.Random(SEED)
    if is_each_key_once:
        keys = list(range(key_count))
    else:
        keys = [chance.randrange(key_count) for _ in range(max(FRAME_COUNT_MIN, 2 * key_count))]
    header = HEADER.pack(payload_bytes)
    padding = b"x" * (payload_bytes - HEADER.size)
    path.write_bytes(b"".join([header + HEADER.pack(key) + padding for key in keys]))


def write_stamped(path: Path, payload_bytes: int, key_count: int, record_count: int) -> None:
    """Write payloads of ``windows``: a u32 key and a u64 time, a millisecond later each."""
    chance = random.Random(SEED)
    frame = struct.Struct(">IIQ")
    assert payload_bytes == frame.size - HEADER.size
    with path.open("wb") as file:
        for number in range(record_count):
            file.write(frame.pack(payload_bytes, chance.randrange(key_count), number))


def count_keys(path: Path, frame_bytes: int) -> int:
    """Return how many different keys a file of ``write_keys`` has."""
    data, first = path.read_bytes(), HEADER.size
    starts = range(first, len(data), frame_bytes)
    return len({data[start : start + HEADER.size] for start in starts})


def write_documents(path: Path, payload_bytes: int, customer_count: int) -> None:
    """Write payloads of ``documents``: orders as JSON, each of exactly that size."""
    chance = random.Random(SEED)
    header = HEADER.pack(payload_bytes)
    frame_count = min(FRAME_COUNT_MIN, FILE_BYTES_ABOUT // payload_bytes)
    with path.open("wb") as file:
        for number in range(frame_count):
            customer = f"c{chance.randrange(customer_count):03}"
            file.write(header + _order(chance, number, customer, payload_bytes))


def _order(chance: random.Random, number: int, customer: str, size: int) -> bytes:
    """Return an order of as many items as fit; the note fills what is left."""
    items: list[str] = []
    shell = '{"id":%d,"customer":"%s","items":[%s],"note":"%s"}'
    item_bytes = size - len(shell % (number, customer, "", ""))
    while True:
        item = json.dumps(
            {
                "sku": f"s{chance.randrange(10_000)}",
                "count": chance.randrange(1, 10),
                "price": chance.randrange(100, 100_000),
            },
            separators=(",", ":"),
        )
        if len(item) + 1 > item_bytes:
            break
        items.append(item)
        item_bytes -= len(item) + 1
    document = shell % (number, customer, ",".join(items), "")
    note = "x" * (size - len(document))
    return (shell % (number, customer, ",".join(items), note)).encode()
