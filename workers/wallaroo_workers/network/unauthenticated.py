"""Connections to one of our ports whose other side has not proven the secret yet.

Anybody who can reach the port can open one. How many there are at a time is bounded, and so is what
each of them holds and how long; the log of those who fail is bounded too.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.rate_limited_log import BoundedLog

STRANGERS_MAX = 256
"""At one listening port. A member of the cluster is a stranger for some milliseconds only."""


T = TypeVar("T")


class Waiting(Generic[T]):
    """So many at most; beyond the limit the one that has waited longest has to go.

    Not the newest: then a crowd that says nothing would keep members of the cluster out.
    """

    def __init__(self, count_max: int) -> None:
        self.count_max = count_max
        self._waiting: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        return iter([*self._waiting])

    def came(self, one: T) -> T | None:
        """Somebody waits from now on; return who has to go for that, if anybody has to."""
        oldest = next(iter(self._waiting)) if len(self) >= self.count_max else None
        if oldest is not None:
            self.gone(oldest)
        self._waiting[one] = None
        return oldest

    def gone(self, one: T) -> None:
        """It waits no more."""
        self._waiting.pop(one, None)


class Strangers:
    """The strangers at one port."""

    def __init__(self, refusals: BoundedLog, count_max: int = STRANGERS_MAX) -> None:
        self._refusals = refusals
        self._waiting: Waiting[FrameConnection] = Waiting(count_max)

    def __len__(self) -> int:
        return len(self._waiting)

    def came(self, connection: FrameConnection) -> None:
        """Somebody has connected; its ``on_open`` is to call ``proven``."""
        if (oldest := self._waiting.came(connection)) is not None:
            oldest.abort(f"more than {self._waiting.count_max} connections wait for their proof")

    def proven(self, connection: FrameConnection) -> None:
        """It is no stranger any more."""
        self._waiting.gone(connection)

    def refused(self, connection: FrameConnection, reason: str) -> None:
        """It is gone without having become part of the cluster."""
        self._waiting.gone(connection)
        self._refusals.add(peer=connection.peer, reason=reason)
