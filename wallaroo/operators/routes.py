"""From a key to the list of records that travel to its worker."""

from collections.abc import Sequence
from typing import Any

from wallaroo.routing.partition_map import PartitionMap

KEYS_CACHED_MAX = 4096
"""Beyond a few thousand keys a dict's cache misses cost more than hashing again (measured)."""


class Routes:
    """Key to the outgoing list of its worker, ``None`` for this worker.

    The frequent keys are found by one look into a plain dict, which is a fifth quicker than into a
    subclass with ``__missing__``. A key that is not there is hashed, and kept while there is room.
    """

    __slots__ = ("_lists", "_map", "known")

    def __init__(self, partition_map: PartitionMap, lists: Sequence[list[Any] | None]) -> None:
        """``lists`` holds, by partition, the outgoing list of its owner."""
        self._map = partition_map
        self._lists = lists
        self.known: dict[Any, list[Any] | None] = {}
        """Chains look here first."""

    def find(self, key: Any) -> list[Any] | None:
        """Return what is not in ``known``."""
        out = self._lists[self._map.partition_of(key)]
        if len(self.known) < KEYS_CACHED_MAX:
            self.known[key] = out
        return out
