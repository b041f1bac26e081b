"""What a stranger says over one connection, and the source of such things."""

import random
import ssl
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Said:
    """An input: bytes as they are, or ``tls`` first and the bytes inside of it."""

    kind: str
    data: bytes
    tls: ssl.SSLContext | None = None


class Inputs(Protocol):
    """Draws inputs for one kind of port."""

    def draw(self) -> Said:
        """Return the next one."""
        ...


def flipped(chance: random.Random, data: bytes) -> bytes:
    """Return ``data`` with up to three bits changed."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)
