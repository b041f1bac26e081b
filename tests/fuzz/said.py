"""What one client sends over one connection, and the source of such inputs."""

import random
import socket
import ssl
from dataclasses import dataclass
from typing import Protocol

from wallaroo_workers.network.unix_paths import socket_path


@dataclass(frozen=True, slots=True)
class Said:
    """An input: bytes as they are, or ``tls`` first and the bytes inside of it."""

    kind: str
    data: bytes
    tls: ssl.SSLContext | None = None
    file_count: int = 0
    """Descriptors that go beside the first byte, over a Unix socket."""


Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def dialed(address: Address) -> socket.socket:
    """Return a connection; raises ``OSError``."""
    if isinstance(address, tuple):
        return socket.create_connection(address, 10)
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    with socket_path(address) as path:
        line.connect(path)
    return line


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
