"""Assigns partitions to workers by a consistent-hash ring with bounded loads.

Workers have points on a circle of 64-bit hashes. A partition has one point, and belongs to the
first worker clockwise from it (D. Karger et al., "Consistent hashing and random trees", STOC 1997).
A worker that is full is skipped (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with
bounded loads", SODA 2018). Their bound leaves some slack; here the balance is exact: of P
partitions each of W workers owns P // W, and P % W of them own one more.

Partitions are identified by labels, which must differ. Everything is computed from labels and
names, with the same result in every process; the order of workers does not matter.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from wallaroo.names import WorkerName
from wallaroo.routing.hashing import HASH_BITS, hash_text

POINTS_PER_WORKER = 128
"""Enough for shares of the circle that differ by about a tenth."""

_CIRCLE = 1 << HASH_BITS


def assign(labels: Sequence[str], workers: Collection[WorkerName]) -> list[WorkerName]:
    """Return an owner for each of the partitions `labels`, which have none yet.

    Raises ``ValueError`` if there are no workers, or a name occurs twice.
    """
    return rebalance(labels, [None] * len(labels), workers)


def rebalance(
    labels: Sequence[str],
    owners: Sequence[WorkerName | None],
    workers: Collection[WorkerName],
) -> list[WorkerName]:
    """Return the owner of each partition when `workers` are the members.

    A partition leaves its owner in `owners` only if that worker is not a member, or owns too many.
    If there is a choice, the partitions closest before a worker with room move. So from balanced
    owners nothing moves between workers that stay, a worker that joins takes P // W partitions from
    the others, and a worker that leaves distributes its own.
    """
    loads = _Loads(len(labels), workers)
    kept = [owner if owner in loads.counts else None for owner in owners]
    for owner in kept:
        if owner is not None:
            loads.add(owner)
    ring = Ring(loads.workers_with_room())
    _release_surplus(labels, kept, loads, ring)
    return [
        _first_with_room(ring.clockwise_from(label), loads) if owner is None else owner
        for label, owner in zip(labels, kept, strict=True)
    ]


def _release_surplus(
    labels: Sequence[str], owners: list[WorkerName | None], loads: "_Loads", ring: "Ring"
) -> None:
    """Remove the owners of surplus partitions, in place."""
    if not any(map(loads.has_surplus, loads.counts)):
        return
    distances = [ring.distance_to_worker(label) for label in labels]
    for partition in sorted(range(len(labels)), key=distances.__getitem__):
        owner = owners[partition]
        if owner is not None and loads.has_surplus(owner):
            owners[partition] = None
            loads.remove(owner)


def _first_with_room(walk: Iterator[WorkerName], loads: "_Loads") -> WorkerName:
    owner = next(filter(loads.has_room, walk))
    loads.add(owner)
    return owner


class Ring:
    """The points of one or more workers on the circle."""

    def __init__(self, workers: Collection[WorkerName]) -> None:
        points = sorted(
            (hash_text(f"{number}/{worker}"), worker)
            for worker in workers
            for number in range(POINTS_PER_WORKER)
        )
        self._hashes = [point for point, _ in points]
        self._workers = [worker for _, worker in points]

    def clockwise_from(self, label: str) -> Iterator[WorkerName]:
        """Yield the workers by their points, once around the circle from the point of `label`."""
        first = bisect_left(self._hashes, hash_text(label))
        points = chain(range(first, len(self._hashes)), range(first))
        return map(self._workers.__getitem__, points)

    def distance_to_worker(self, label: str) -> int:
        """Return the distance clockwise from `label` to the next worker, in hash units."""
        start = hash_text(label)
        first = bisect_left(self._hashes, start) % len(self._hashes)
        return (self._hashes[first] - start) % _CIRCLE


class _Loads:
    """The number of partitions of each worker, and of those it should own.

    Each worker should own ``_share`` partitions, and some of them one more. ``_spare`` is the
    number of workers that may still exceed the share; if it is negative, too many have.
    """

    def __init__(self, partition_count: int, workers: Collection[WorkerName]) -> None:
        self.counts = dict.fromkeys(sorted(workers), 0)
        if not workers or len(self.counts) != len(workers):
            raise ValueError(f"workers must be one or more different names, not {list(workers)}")
        self._share, self._spare = divmod(partition_count, len(workers))

    def add(self, worker: WorkerName) -> None:
        self.counts[worker] += 1
        self._spare -= self.counts[worker] == self._share + 1

    def remove(self, worker: WorkerName) -> None:
        self._spare += self.counts[worker] == self._share + 1
        self.counts[worker] -= 1

    def workers_with_room(self) -> list[WorkerName]:
        return list(filter(self.has_room, self.counts))

    def has_room(self, worker: WorkerName) -> bool:
        limit = self._share + (self._spare > 0)
        return self.counts[worker] < limit

    def has_surplus(self, worker: WorkerName) -> bool:
        limit = self._share + (self._spare >= 0)
        return self.counts[worker] > limit
