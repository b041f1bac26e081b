"""From a key to the list of records that travel to its worker."""

from collections.abc import Callable, Sequence
from typing import Any

from wallaroo.routing.partition_map import PartitionMap

try:
    from wallaroo.routing import _compiled
except ImportError:
    _compiled = None  # type: ignore[assignment]  # built without a compiler

KEYS_CACHED_MAX = 4096
"""Beyond a few thousand keys a dict's cache misses cost more than hashing again (measured)."""


def is_compiled() -> bool:
    """Whether owners are looked up by compiled code."""
    return _compiled is not None


class Routes:
    """Key to the outgoing list of its worker, ``None`` for this worker.

    The frequent keys are found by one look into a plain dict, which is a fifth faster than into a
    subclass with ``__missing__``. ``find`` hashes all others.
    """

    __slots__ = ("_lists", "_map", "find", "known", "owners")

    def __init__(self, partition_map: PartitionMap, lists: Sequence[list[Any] | None]) -> None:
        """``lists`` holds, by partition, the outgoing list of its owner."""
        self._map = partition_map
        self._lists = lists
        self.known: dict[Any, list[Any] | None] = {}
        """Chains look here first."""
        self.owners: _compiled.Owners | None = None
        """The compiled look-up, if there is one."""
        self.find: Callable[[Any], list[Any] | None] = self._find
        """Finds the owner of a key that is not in ``known``, and keeps the first few there."""
        if _compiled is not None:
            hashed = partition_map.hashed_partition_count
            declared = dict.fromkeys(partition_map.declared_keys)
            self.owners = _compiled.Owners(
                list(lists), hashed, declared, self.known, KEYS_CACHED_MAX, self._find
            )
            self.find = self.owners.find

    def _find(self, key: Any) -> list[Any] | None:
        out = self._lists[self._map.partition_of(key)]
        if len(self.known) < KEYS_CACHED_MAX:
            self.known[key] = out
        return out
