"""Which partition of a state a key belongs to, and which worker owns that partition.

A key always stays in its partition; partitions change their owner when workers join or leave.
A state has a number of partitions that keys are hashed into, then, in the same numbering, one
partition for each key that the application declared beforehand, so that these spread evenly
however few they are. The two kinds are balanced apart from each other.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.names import PartitionId, WorkerName
from wallaroo.routing import ring
from wallaroo.routing.hashing import hash_key
from wallaroo.routing.keys import Key, display_key, key_bytes, key_from_bytes, short_repr


@dataclass(frozen=True, slots=True)
class PartitionMap:
    """The partitions of one state, and who owns them while a membership lasts.

    ``declared_keys`` are canonical keys; ``owners`` has an entry for each ``PartitionId``.
    Raises ``ValueError`` if these do not fit together, or there is no partition at all.
    """

    state: str
    hashed_partition_count: int
    declared_keys: tuple[Key, ...]
    owners: tuple[WorkerName, ...]
    _declared: dict[Key, PartitionId] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        first = self.hashed_partition_count
        if first < 0:
            raise ValueError(f"state {self.state!r} cannot have {first} hashed partitions")
        declared = {
            key: PartitionId(first + position) for position, key in enumerate(self.declared_keys)
        }
        if len(declared) != len(self.declared_keys):
            raise ValueError(f"state {self.state!r} declares a key twice")
        if not 0 < first + len(declared) == len(self.owners):
            raise ValueError(
                f"state {self.state!r} has {first} hashed partitions and {len(declared)} declared "
                f"keys, but {len(self.owners)} owners"
            )
        object.__setattr__(self, "_declared", declared)

    @classmethod
    def initial(
        cls,
        state: str,
        hashed_partition_count: int,
        declared_keys: Sequence[Key],
        workers: Collection[WorkerName],
    ) -> "PartitionMap":
        """Return the map that `workers`, one or more in any order, begin with."""
        keys = tuple(declared_keys)
        hashed = ring.place(_hashed_labels(state, hashed_partition_count), workers)
        declared = ring.place(_declared_labels(state, keys), workers)
        return cls(state, hashed_partition_count, keys, (*hashed, *declared))

    def partition_of(self, key: Key) -> PartitionId:
        """Return the partition of canonical `key`.

        Raises ``ValueError`` if the state takes declared keys only and `key` is none of them.
        """
        if self._declared:
            declared = self._declared.get(key)
            if declared is not None:
                return declared
        if self.hashed_partition_count:
            return PartitionId(hash_key(key) % self.hashed_partition_count)
        raise ValueError(
            f"state {self.state!r} has no partition for the key {short_repr(display_key(key))}: "
            f"it takes only the {len(self.declared_keys)} declared beforehand"
        )

    def owner_of(self, key: Key) -> WorkerName:
        """Return the worker that holds the state of canonical `key`; errors: ``partition_of``."""
        return self.owners[self.partition_of(key)]

    def rebalance(self, workers: Collection[WorkerName]) -> "PartitionMap":
        """Return the map for the new members `workers`, moving as little as balance allows.

        Raises ``ValueError`` if there are none, or one is named twice.
        """
        first = self.hashed_partition_count
        hashed = ring.rebalance(_hashed_labels(self.state, first), self.owners[:first], workers)
        declared = ring.rebalance(
            _declared_labels(self.state, self.declared_keys), self.owners[first:], workers
        )
        return PartitionMap(self.state, first, self.declared_keys, (*hashed, *declared))

    def counts(self) -> dict[WorkerName, int]:
        """Return how many partitions each worker owns; one that owns none is not in it."""
        return dict(Counter(self.owners))

    def to_wire(self) -> list[Any]:
        """Return the map as lists, strings, numbers and bytes, as msgpack packs them."""
        names = sorted(set(self.owners))
        positions = {name: position for position, name in enumerate(names)}
        return [
            self.state,
            self.hashed_partition_count,
            [key_bytes(key) for key in self.declared_keys],
            names,
            [positions[owner] for owner in self.owners],
        ]

    @classmethod
    def from_wire(cls, wire: Any) -> "PartitionMap":
        """Return the map that ``to_wire`` turned into `wire`; ``ValueError`` if none did."""
        try:
            state, hashed_partition_count, keys, names, positions = wire
            if not all(isinstance(name, str) for name in (state, *names)):
                raise ValueError("a name is not text")
            # A position below zero would count from the end: without it the numbers do not fit.
            owners = tuple([names[position] for position in positions if position >= 0])
            return cls(state, hashed_partition_count, tuple(map(key_from_bytes, keys)), owners)
        except (TypeError, IndexError, ValueError) as error:
            raise ValueError(f"this is no partition map: {error}") from error


def moves(old: PartitionMap, new: PartitionMap) -> dict[PartitionId, tuple[WorkerName, WorkerName]]:
    """Return the old and the new owner of each partition that changes hands.

    Raises ``ValueError`` if the maps are not of the same state with the same partitions.
    """
    if _partitioning(old) != _partitioning(new):
        raise ValueError(f"states {old.state!r} and {new.state!r} are not partitioned alike")
    return {
        PartitionId(partition): (giver, taker)
        for partition, (giver, taker) in enumerate(zip(old.owners, new.owners, strict=True))
        if giver != taker
    }


def _partitioning(partition_map: PartitionMap) -> tuple[object, ...]:
    return (
        partition_map.state,
        partition_map.hashed_partition_count,
        partition_map.declared_keys,
    )


# The state's name is part of each label: the single keys of several states, say, need not meet
# on one worker.


def _hashed_labels(state: str, count: int) -> list[str]:
    return [f"{state}/hashed/{partition}" for partition in range(count)]


def _declared_labels(state: str, keys: Sequence[Key]) -> list[str]:
    return [f"{state}/declared/{key_bytes(key).hex()}" for key in keys]
