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


class ReadBudget:
    """The readers of one worker and the bytes that wait for its engine."""

    def __init__(self) -> None:
        # In order of arrival and not in a set: a simulated run has to be the same each time.
        self._readers: dict[Reader, None] = {}
        self._pending_bytes = 0
        self._has_too_much = False
        self.is_shut = False
        self._is_resting = False

    @property
    def is_full(self) -> bool:
        """Whether nobody is to read on."""
        return self._has_too_much or self._is_held

    @property
    def _is_held(self) -> bool:
        """Whether nobody is to read on, however little waits."""
        return self.is_shut or self._is_resting

    @property
    def is_empty(self) -> bool:
        """Whether everything that was read is processed."""
        return not self._pending_bytes

    def add(self, reader: Reader) -> None:
        """A connection has come, or a listener; it reads as long as nobody pauses it."""
        self._readers[reader] = None
        if self._is_held:
            reader.pause()

    def rest(self) -> None:
        """Have nobody read until ``wake``: the readers may go elsewhere."""
        self._is_resting = True
        self._pause_all()

    def wake(self) -> None:
        """Have everybody read on who may."""
        self._is_resting = False
        self._resume_all()

    def shut(self) -> None:
        """Have nobody read: something else comes first."""
        self.is_shut = True
        self._pause_all()

    def open(self) -> None:
        """Have everybody read on who may."""
        self.is_shut = False
        self._resume_all()

    def remove(self, reader: Reader) -> None:
        """A connection is gone."""
        self._readers.pop(reader, None)

    def took(self, byte_count: int) -> None:
        """Bytes were read that wait to be processed."""
        self._pending_bytes += byte_count
        if not self._has_too_much and self._pending_bytes > PENDING_BYTES_MAX:
            self._has_too_much = True
            self._pause_all()

    def gave(self, byte_count: int) -> None:
        """Bytes that waited are processed."""
        self._pending_bytes -= byte_count
        if self._has_too_much and self._pending_bytes <= PENDING_BYTES_MAX // 2:
            self._has_too_much = False
            self._resume_all()

    def check(self) -> None:
        """Assert that readers are held up by what waits, and only by that much."""
        assert self._pending_bytes >= 0
        if self._has_too_much:
            assert self._pending_bytes > PENDING_BYTES_MAX // 2
        else:
            assert self._pending_bytes <= PENDING_BYTES_MAX

    def _pause_all(self) -> None:
        for reader in self._readers:
            reader.pause()

    def _resume_all(self) -> None:
        for reader in self._readers:
            reader.resume()
