"""Connections to one of our ports whose other side has not proven the secret yet.

Anybody who can reach the port can open one. How many there are at a time is bounded, and so is what
each of them holds and how long; the log of those who fail is bounded too.
"""

from wallaroo_workers.bounded_log import BoundedLog
from wallaroo_workers.network.frames import FrameConnection

STRANGERS_MAX = 256
"""At one listening port. A member of the cluster is a stranger for some milliseconds only."""


class Strangers:
    """The strangers at one port; beyond the limit the one that has waited longest has to go.

    Not the newest: then a crowd that says nothing would keep members of the cluster out.
    """

    def __init__(self, refusals: BoundedLog, count_max: int = STRANGERS_MAX) -> None:
        self._refusals = refusals
        self._count_max = count_max
        self._waiting: dict[FrameConnection, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def came(self, connection: FrameConnection) -> None:
        """Somebody has connected; its ``on_open`` is to call ``proven``."""
        if len(self._waiting) >= self._count_max:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.abort(f"more than {self._count_max} connections wait for their proof")
        self._waiting[connection] = None

    def proven(self, connection: FrameConnection) -> None:
        """It is no stranger any more."""
        self._waiting.pop(connection, None)

    def refused(self, connection: FrameConnection, reason: str) -> None:
        """It is gone without having become part of the cluster."""
        self._waiting.pop(connection, None)
        self._refusals.add(peer=connection.peer, reason=reason)
