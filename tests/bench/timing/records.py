"""Records for windows: a key and a time, nearly in order."""

import random
from collections.abc import Callable, Sequence

SECOND = 1_000_000_000
SIZE = 10 * SECOND
GAP = 5 * SECOND
BOUND = SECOND
"""By how much records are out of order."""

PER_SECOND = 20_000
CHUNK = 2_000

Run = Callable[[Sequence[bytes]], None]


def decode(payload: bytes) -> tuple[str, int]:
    key, time = payload.split()
    return key.decode(), int(time)


def encode(key: str, count: int) -> bytes:
    return b"%s %d\n" % (key.encode(), count)


def chunks_of(count: int, key_count: int) -> list[list[bytes]]:
    chance = random.Random(1)
    payloads = []
    for number in range(count):
        time = 1_700_000_000 * SECOND + number * SECOND // PER_SECOND
        time -= chance.randrange(BOUND)
        payloads.append(b"user%d %d" % (chance.randrange(key_count), time))
    return [payloads[start : start + CHUNK] for start in range(0, count, CHUNK)]
