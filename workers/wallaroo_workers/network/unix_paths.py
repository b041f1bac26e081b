"""Paths of Unix sockets in folders of any depth."""

import contextlib
import os
from collections.abc import Iterator

ADDRESS_BYTES_MAX = 103
"""The longest address of a Unix socket on every system; Linux allows 107."""
NAME_BYTES_MAX = ADDRESS_BYTES_MAX - len("/proc/self/fd/1234567/")


@contextlib.contextmanager
def socket_path(path: str) -> Iterator[str]:
    """Yield a path that leads to ``path`` and is short enough to bind or connect a Unix socket.

    A path that is too long is shortened: it goes through an open descriptor of a parent folder, so
    it is valid in this process only, and until the block ends. It keeps the name of its own folder
    if that fits, so that lists of open sockets stay readable. Raises ``OSError`` if the folder does
    not exist.
    """
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield path
        return
    folder, name = os.path.split(path)
    above, own = os.path.split(folder)
    if len(os.fsencode(longer := os.path.join(own, name))) <= NAME_BYTES_MAX:
        folder, name = above, longer
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
