"""Paths of Unix sockets, however long the name of the folder is that they are in."""

import contextlib
import os
from collections.abc import Iterator

ADDRESS_BYTES_MAX = 103
"""What the address of a Unix socket takes on every system; Linux takes 107."""
NAME_BYTES_MAX = ADDRESS_BYTES_MAX - len("/proc/self/fd/1234567/")


@contextlib.contextmanager
def socket_path(path: str) -> Iterator[str]:
    """Yield a path to bind or to connect a Unix socket by, that leads to ``path``.

    A path that is too long for an address is shortened: it goes through an open descriptor of a
    folder above, so it holds in this process and until the block ends. It keeps the name of its own
    folder if that fits, by which lists of open sockets tell them apart. Raises ``OSError`` if there
    is no such folder.
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
