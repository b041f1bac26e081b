"""Finds, for a key, where a record of it goes: to the list of records for its worker, mostly."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from wallaroo.routing.partition_map import PartitionMap
from wallaroo.routing.payload_keys import PayloadKey

try:
    from wallaroo.routing import _compiled
except ImportError:
    _compiled = None  # type: ignore[assignment]  # built without a compiler

KEYS_CACHED_MAX = 4096
"""With more keys, the cache misses of a dict cost more than hashing again (measured)."""


def is_compiled() -> bool:
    """Return whether compiled code looks up owners."""
    return _compiled is not None


T = TypeVar("T")
"""What stands for a worker."""


class Routes(Generic[T]):
    """Maps a key to what stands for its worker, and to ``None`` for this worker.

    Frequent keys are found in a plain dict, which is a fifth faster than a subclass with
    ``__missing__``. ``find`` hashes all others.
    """

    __slots__ = ("_map", "_owners", "_targets", "find", "known")

    def __init__(self, partition_map: PartitionMap, targets: Sequence[T | None]) -> None:
        """``targets`` holds what stands for the owner of each partition."""
        self._map = partition_map
        self._targets = targets
        self.known: dict[Any, T | None] = {}
        """The frequent keys; chains look here first."""
        self._owners: _compiled.Owners | None = None
        self.find: Callable[[Any], T | None] = self._find
        """Returns the target of a key that is not in ``known``, and adds the first keys there."""
        if _compiled is not None:
            hashed = partition_map.hashed_partition_count
            declared = dict.fromkeys(partition_map.declared_keys)
            self._owners = _compiled.Owners(
                list(targets), hashed, declared, self.known, KEYS_CACHED_MAX, self._find
            )
            self.find = self._owners.find

    def compiled_splitter(
        self, key: PayloadKey, slow: Callable[[bytes, list[Any], list[bytes]], None]
    ) -> "_compiled.Splitter | None":
        """Return a splitter by these routes; ``None`` if there is no compiled code for the key.

        It calls ``slow`` for each payload that is not plain.
        """
        if self._owners is None or key.compiled_rule is None:
            return None
        return _compiled.Splitter(*key.compiled_rule, self._owners, slow)

    def _find(self, key: Any) -> T | None:
        out = self._targets[self._map.partition_of(key)]
        if len(self.known) < KEYS_CACHED_MAX:
            self.known[key] = out
        return out
