"""Connections to one of our ports whose other side has not proven the secret yet.

Any process that can reach the port can open one. Their number, their buffers and their lifetime are
limited, and so is what they can write into the log.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.rate_limited_log import RateLimitedLog

UNAUTHENTICATED_MAX = 256
"""For each listening port. A member of the cluster needs only milliseconds to prove the secret."""


T = TypeVar("T")


class Waiting(Generic[T]):
    """A limited number of entries; adding one beyond the limit removes the oldest.

    The oldest is removed, not the newest refused: otherwise idle clients could keep members of the
    cluster out.
    """

    def __init__(self, count_max: int) -> None:
        self.count_max = count_max
        self._waiting: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        return iter([*self._waiting])

    def add(self, one: T) -> T | None:
        """Add ``one``; return the entry that was removed to make room, if any."""
        oldest = next(iter(self._waiting)) if len(self) >= self.count_max else None
        if oldest is not None:
            self.remove(oldest)
        self._waiting[one] = None
        return oldest

    def remove(self, one: T) -> None:
        """Remove ``one`` if it is there."""
        self._waiting.pop(one, None)


class UnauthenticatedPeers:
    """The connections at one port that have not proven the secret yet."""

    def __init__(self, refusals: RateLimitedLog, count_max: int = UNAUTHENTICATED_MAX) -> None:
        self._refusals = refusals
        self._waiting: Waiting[FrameConnection] = Waiting(count_max)

    def __len__(self) -> int:
        return len(self._waiting)

    def connected(self, connection: FrameConnection) -> None:
        """Add a new connection; its ``on_open`` has to call ``authenticated``."""
        if (oldest := self._waiting.add(connection)) is not None:
            limit = self._waiting.count_max
            oldest.abort(f"more than {limit} connections have not proven the secret")

    def authenticated(self, connection: FrameConnection) -> None:
        """Stop counting a connection that has proven the secret."""
        self._waiting.remove(connection)

    def rejected(self, connection: FrameConnection, reason: str) -> None:
        """Log a connection that was lost before it proved the secret."""
        self._waiting.remove(connection)
        self._refusals.add(peer=connection.peer, reason=reason)
