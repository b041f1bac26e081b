"""Maps keys of a state to partitions, and partitions to the workers that own them.

A key always stays in its partition. Partitions change their owners when workers join or leave. A
state has a number of partitions that keys are hashed into, and then, in the same numbering, one
partition for each key that the application declares beforehand, so that these are spread evenly
even if they are few. The two kinds are balanced separately.

States of one *space* have the same owners: their maps are made and rebalanced by the name of the
space instead of their own.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wallaroo.names import PartitionId, WorkerName
from wallaroo.routing import ring
from wallaroo.routing.hashing import hash_key
from wallaroo.routing.keys import Key, display_key, key_bytes, key_from_bytes, short_repr


@dataclass(frozen=True, slots=True)
class PartitionMap:
    """The partitions of one state and their owners, for one set of members.

    ``declared_keys`` are canonical keys; ``owners`` has an entry for each ``PartitionId``. Raises
    ``ValueError`` if these are inconsistent, or there are no partitions.
    """

    state: str
    hashed_partition_count: int
    declared_keys: tuple[Key, ...]
    owners: tuple[WorkerName, ...]
    shared_space: str = ""
    """The space, if it is not named as the state."""
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
        shared_space: str = "",
    ) -> "PartitionMap":
        """Return the initial map of `workers`, one or more in any order."""
        keys = tuple(declared_keys)
        space = shared_space or state
        hashed = ring.assign(_hashed_labels(space, hashed_partition_count), workers)
        declared = ring.assign(_declared_labels(space, keys), workers)
        return cls(state, hashed_partition_count, keys, (*hashed, *declared), shared_space)

    @property
    def space(self) -> str:
        """The name of its partitions."""
        return self.shared_space or self.state

    def of_state(self, state: str) -> "PartitionMap":
        """Return the same partitions as those of another state of the space."""
        shared_space = "" if state == self.space else self.space
        return replace(self, state=state, shared_space=shared_space)

    def partition_of(self, key: Key) -> PartitionId:
        """Return the partition of canonical `key`.

        Raises ``ValueError`` if the state has declared keys only and `key` is not one of them.
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
        """Return the worker that owns canonical `key`; raises what ``partition_of`` raises."""
        return self.owners[self.partition_of(key)]

    def rebalance(self, workers: Collection[WorkerName]) -> "PartitionMap":
        """Return the map for the new members `workers`, with as few moves as balance allows.

        Raises ``ValueError`` if there are no workers, or a name occurs twice.
        """
        first = self.hashed_partition_count
        hashed = ring.rebalance(_hashed_labels(self.space, first), self.owners[:first], workers)
        declared = ring.rebalance(
            _declared_labels(self.space, self.declared_keys), self.owners[first:], workers
        )
        return replace(self, owners=(*hashed, *declared))

    def counts(self) -> dict[WorkerName, int]:
        """Return the number of partitions of each worker that owns any."""
        return dict(Counter(self.owners))

    def to_wire(self) -> list[Any]:
        """Return the map as lists, strings, numbers and bytes, for msgpack."""
        names = sorted(set(self.owners))
        positions = {name: position for position, name in enumerate(names)}
        return [
            self.state,
            self.hashed_partition_count,
            [key_bytes(key) for key in self.declared_keys],
            names,
            [positions[owner] for owner in self.owners],
            *([self.shared_space] if self.shared_space else []),
        ]

    @classmethod
    def from_wire(cls, wire: Any) -> "PartitionMap":
        """Return the map from ``to_wire``; ``ValueError`` for anything else."""
        try:
            state, hashed_partition_count, keys, names, positions, *more = wire
            (shared_space,) = more or [""]
            if not all(isinstance(name, str) for name in (state, shared_space, *names)):
                raise ValueError("a name is not text")
            # Drop negative positions, which would count from the end; then the lengths differ.
            owners = tuple([names[position] for position in positions if position >= 0])
            keys = tuple(map(key_from_bytes, keys))
            return cls(state, hashed_partition_count, keys, owners, shared_space)
        except (TypeError, IndexError, ValueError) as error:
            raise ValueError(f"this is not a partition map: {error}") from error


def moves(old: PartitionMap, new: PartitionMap) -> dict[PartitionId, tuple[WorkerName, WorkerName]]:
    """Return the old and the new owner of each partition that moves.

    Raises ``ValueError`` if the maps are not of the same state with the same partitions.
    """
    if _partitioning(old) != _partitioning(new):
        raise ValueError(f"states {old.state!r} and {new.state!r} are not partitioned alike")
    return {
        PartitionId(partition): (old_owner, new_owner)
        for partition, (old_owner, new_owner) in enumerate(zip(old.owners, new.owners, strict=True))
        if old_owner != new_owner
    }


def _partitioning(partition_map: PartitionMap) -> tuple[object, ...]:
    return (
        partition_map.state,
        partition_map.hashed_partition_count,
        partition_map.declared_keys,
    )


# The space's name is part of each label, so that equal keys of several states are not all assigned
# to the same worker.


def _hashed_labels(space: str, count: int) -> list[str]:
    return [f"{space}/hashed/{partition}" for partition in range(count)]


def _declared_labels(space: str, keys: Sequence[Key]) -> list[str]:
    return [f"{space}/declared/{key_bytes(key).hex()}" for key in keys]
