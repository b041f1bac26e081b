"""From a key to the list of records that travel to its worker."""

from collections.abc import Sequence
from typing import Any

from wallaroo.routing.partition_map import PartitionMap

KEYS_CACHED_MAX = 4096
"""Beyond a few thousand keys a dict's cache misses cost more than hashing again (measured)."""


class Routes(dict[Any, list[Any] | None]):
    """Key to the outgoing list of its worker, ``None`` for this worker; finds what it lacks.

    The frequent keys are found by one dict look-up. A key that is not there is hashed; it is kept
    while there is room.
    """

    __slots__ = ("_lists", "_map")

    def __init__(self, partition_map: PartitionMap, lists: Sequence[list[Any] | None]) -> None:
        """``lists`` holds, by partition, the outgoing list of its owner."""
        super().__init__()
        self._map = partition_map
        self._lists = lists

    def __missing__(self, key: Any) -> list[Any] | None:
        out = self._lists[self._map.partition_of(key)]
        if len(self) < KEYS_CACHED_MAX:
            self[key] = out
        return out
