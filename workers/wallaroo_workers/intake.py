"""How much all connections of a worker's sources may have read and not yet processed.

One connection holds what one read of its socket gave. A thousand of them together would hold far
more than any backlog the cluster allows, just when a sink stands still: so beyond a limit none of
them reads on.
"""

from typing import Protocol

PENDING_BYTES_MAX = 4 << 20


class Reader(Protocol):
    """What can be held up: a connection in its reading, a listener in its accepting."""

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def resume(self) -> None:
        """Read on, if nothing else speaks against it."""
        ...


class Intake:
    """The readers of one worker and the bytes that wait for its engine."""

    def __init__(self) -> None:
        self._readers: set[Reader] = set()
        self._pending_bytes = 0
        self.is_full = False

    def add(self, reader: Reader) -> None:
        """A connection has come, or a listener; it reads as long as nobody pauses it."""
        self._readers.add(reader)

    def remove(self, reader: Reader) -> None:
        """A connection is gone."""
        self._readers.discard(reader)

    def took(self, byte_count: int) -> None:
        """Bytes were read that wait to be processed."""
        self._pending_bytes += byte_count
        if not self.is_full and self._pending_bytes > PENDING_BYTES_MAX:
            self.is_full = True
            for reader in self._readers:
                reader.pause()

    def gave(self, byte_count: int) -> None:
        """Bytes that waited are processed."""
        self._pending_bytes -= byte_count
        if self.is_full and self._pending_bytes <= PENDING_BYTES_MAX // 2:
            self.is_full = False
            for reader in self._readers:
                reader.resume()
