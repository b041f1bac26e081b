"""How much all connections of a worker's sources may have read and not yet processed.

Each connection holds what one read of its socket returned. A thousand connections together would
hold far more than the backlog that the cluster allows, just when a sink does not accept anything.
So above a limit none of them is read. All readers can also be paused for a reason that has nothing
to do with the amount.
"""

from enum import Enum
from typing import Protocol

PENDING_BYTES_MAX = 4 << 20


class HoldReason(Enum):
    """Why no connection may be read, however small the backlog is."""

    REPLAY = "a journal has to be replayed first"
    HAND_OVER = "the connections may go to other workers"


class Reader(Protocol):
    """What can be paused: a connection that is read, a listener that accepts connections."""

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def resume(self) -> None:
        """Read on, unless something else holds this reader back."""
        ...


class ReadBudget:
    """The readers of one worker and the bytes that wait for its engine."""

    def __init__(self) -> None:
        # In order of arrival and not in a set: a simulated run has to be the same each time.
        self._readers: dict[Reader, None] = {}
        self._pending_bytes = 0
        self._channel_count = 0
        self._has_too_much = False
        self._holds: set[HoldReason] = set()

    def new_channel(self) -> int:
        """Return a number for a channel, which no other channel here has."""
        self._channel_count += 1
        return self._channel_count

    @property
    def is_full(self) -> bool:
        """Whether no reader may read on."""
        return self._has_too_much or bool(self._holds)

    def is_held_for(self, reason: HoldReason) -> bool:
        """Return whether all readers are held for this reason."""
        return reason in self._holds

    @property
    def is_empty(self) -> bool:
        """Whether everything that was read is processed."""
        return not self._pending_bytes

    def add(self, reader: Reader) -> None:
        """Add a connection or a listener, which reads until it is paused."""
        self._readers[reader] = None
        if self._holds:
            reader.pause()

    def remove(self, reader: Reader) -> None:
        """Forget a reader that has ended."""
        self._readers.pop(reader, None)

    def hold(self, reason: HoldReason) -> None:
        """Pause all readers until ``release`` is called with the same reason."""
        self._holds.add(reason)
        self._pause_all()

    def release(self, reason: HoldReason) -> None:
        """Resume every reader that nothing else holds back."""
        self._holds.discard(reason)
        self._resume_all()

    def reserve(self, byte_count: int) -> None:
        """Count bytes that were read and wait to be processed."""
        self._pending_bytes += byte_count
        if not self._has_too_much and self._pending_bytes > PENDING_BYTES_MAX:
            self._has_too_much = True
            self._pause_all()

    def free(self, byte_count: int) -> None:
        """Count bytes as processed."""
        self._pending_bytes -= byte_count
        if self._has_too_much and self._pending_bytes <= PENDING_BYTES_MAX // 2:
            self._has_too_much = False
            self._resume_all()

    def check(self) -> None:
        """Assert that readers are paused above the limit, and only above it."""
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
