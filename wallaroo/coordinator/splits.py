"""Decides which worker reads which split of a source: a partition of a topic, a file of a folder.

A source that is read by split names its splits itself: one worker of the cluster asks it, at the
start and from time to time, and reports all names. The ledger here is the one place that knows
which of them were seen before and who reads each. It is pure, and has one life for each run.

What can go wrong, and what the ledger does about it:

* *A split is read twice*, because two discoveries find it before either is answered. The ledger
  takes one report at a time, and what it knows already is not new.
* *Records between two discoveries are lost*, because a split that was found later began at "now".
  Only the splits of the first discovery of a pipeline get a first position from the source. A split
  found later starts at its beginning.
* *A split loses its place*, because the source did not name it for a while. The ledger forgets no
  split: it has an owner and a position from the first discovery on, for ever.
* *A run that goes on where an earlier one has ended reads nothing*, because all its splits have
  ended. The workers of a new run ask the source where it goes on, until a checkpoint of this run
  has the answer: a loss behind it must not move "now". So splits are ``EARLIER`` only as long as
  no checkpoint of this run is committed.
  A checkpoint says of a split that was not asked yet that it is ``EARLIER``.
* *A loss moves splits for nothing.* Owners are names of workers. The process that replaces a lost
  one has its name, and continues with its splits.

Splits move only if the members change, and then as few as possible, see ``deal``.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace
from types import MappingProxyType
from typing import Any

from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.split_positions import SplitKind, split_values
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text

NOBODY = WorkerName("")
"""The owner of a split that has none yet; not a possible name of a worker."""

NO_SOURCES: Mapping[int, bool] = MappingProxyType({})

SPLITS_A_SHARE_MAX = 10_000
"""A worker that reads more splits of a source gets them in several shares, so in several frames."""


def deal(
    splits: Collection[str],
    workers: Collection[WorkerName],
    owners: Mapping[str, WorkerName],
    salt: str = "",
) -> dict[str, WorkerName]:
    """Return an owner for each split: as many for each worker, give or take one.

    ``owners`` has the present owners, members or not. As few splits as possible leave an owner that
    is among ``workers``. The result does not depend on the order of any argument. ``salt`` decides
    between workers that have equal claims, so that sources with few splits use different workers.
    """
    kept: dict[WorkerName, list[str]] = {worker: [] for worker in sorted(workers)}
    free: list[str] = []
    for split in splits:
        kept.get(owners.get(split, NOBODY), free).append(split)
    # Those that have most get the larger shares, so that they give up as few as possible.
    order = sorted(kept, key=lambda worker: (-len(kept[worker]), hash_text(f"{salt}/{worker}")))
    least, larger_count = divmod(len(splits), len(order))
    dealt: dict[str, WorkerName] = {}
    counts: dict[WorkerName, int] = {}
    for place, worker in enumerate(order):
        share, mine = least + (place < larger_count), kept[worker]
        if len(mine) > share:
            mine.sort(key=lambda split: (hash_text(f"{salt}/{split}"), split))
            free += mine[share:]
        dealt.update(dict.fromkeys(mine[:share], worker))
        counts[worker] = min(len(mine), share)
    return dealt | _spread(free, counts, salt)


def _spread(
    splits: Iterable[str], counts: Mapping[WorkerName, int], salt: str
) -> dict[str, WorkerName]:
    """Return an owner for each split: always the worker that has fewest; ``counts`` says how many.

    Neighbours by name go to different workers: they are often alike in what they bring.
    """
    heap = [(count, hash_text(f"{salt}/{worker}"), worker) for worker, count in counts.items()]
    heapify(heap)
    owners: dict[str, WorkerName] = {}
    for split in sorted(splits):
        count, mark, worker = heap[0]
        owners[split] = worker
        heapreplace(heap, (count + 1, mark, worker))
    return owners


@dataclass(frozen=True, slots=True)
class SplitShare:
    """Some splits of one pipeline that one worker is to read from now on."""

    worker: WorkerName
    pipeline: int
    kind: SplitKind
    splits: list[str]
    positions: list[Any] = field(default_factory=list)
    """One for each split if the kind has positions and it is known here, otherwise none."""

    @property
    def asks_for_start(self) -> bool:
        """Whether the worker has to ask the source where these splits start."""
        return self.kind is SplitKind.INITIAL and bool(self.splits)


@dataclass(slots=True)
class _Source:
    """What is known of the splits of one source."""

    finds_more: bool
    """Whether the source is asked again and again, so that it never ends."""
    owners: dict[str, WorkerName] = field(default_factory=dict)
    found_later: set[str] = field(default_factory=set)
    """Splits that start at their beginning if no checkpoint has a position of them."""
    ended: dict[str, str] = field(default_factory=dict)
    """The splits that have ended: why each broke off, empty if it did not."""
    is_known: bool = False
    """Whether its splits were discovered once; all that are found afterwards are new."""
    has_answered: bool = False
    """Whether it was asked in this epoch."""

    @property
    def has_ended(self) -> bool:
        return not self.finds_more and self.has_answered and len(self.ended) == len(self.owners)

    def deal(self, pipeline: int, workers: Collection[WorkerName]) -> None:
        """Balance over these workers."""
        self.owners = deal(self.owners, workers, self.owners, salt=str(pipeline))

    def add(self, pipeline: int, splits: Iterable[str], workers: Collection[WorkerName]) -> None:
        """Give further splits to these workers, which have equal shares; nothing moves."""
        counts = Counter(dict.fromkeys(workers, 0))
        counts.update(self.owners.values())
        self.owners.update(_spread(splits, counts, salt=str(pipeline)))


class SplitLedger:
    """All splits of an application, by the index of their pipeline."""

    def __init__(
        self, finds_more: Mapping[int, bool] = NO_SOURCES, *, is_durable: bool = False
    ) -> None:
        """``finds_more`` says of each pipeline that is read by split if it may find more splits.

        Without checkpoints (``is_durable``), a split whose reader was lost asks its source for a
        first position again.
        """
        self._sources = {pipeline: _Source(more) for pipeline, more in finds_more.items()}
        self._is_durable = is_durable

    @property
    def are_known(self) -> bool:
        """Whether the splits of all sources were discovered once."""
        return all(source.is_known for source in self._sources.values())

    @property
    def owners(self) -> dict[int, dict[str, WorkerName]]:
        """The reader of each split, by pipeline."""
        return {pipeline: source.owners for pipeline, source in self._sources.items()}

    def restore(self, shares: Iterable[WorkerCheckpoint]) -> None:
        """Take over the splits that any share of a checkpoint names, with their readers."""
        for share in shares:
            for pipeline, value in share.sources.items():
                splits, source = split_values(value), self._sources.get(pipeline)
                if splits is None or source is None:
                    continue
                source.is_known = True
                source.owners.update(dict.fromkeys(splits, share.worker))

    def for_members(self, workers: Collection[WorkerName]) -> None:
        """Give the splits of all others to these workers, and balance."""
        for pipeline, source in self._sources.items():
            source.deal(pipeline, workers)

    def begin_epoch(self, *, goes_back: bool = False) -> None:
        """Ask all sources again; with ``goes_back``, ended splits are not known to have ended."""
        for source in self._sources.values():
            source.has_answered = False
            if goes_back:
                source.ended.clear()

    def discovered(
        self, pipeline: int, splits: Iterable[str], workers: Collection[WorkerName]
    ) -> list[SplitShare]:
        """Note splits that a source has now; return which worker reads those that are new.

        ``splits`` may leave out those that are known. After the first discovery every worker gets
        a share, which may be empty.
        """
        source = self._sources[pipeline]
        is_first, source.is_known, source.has_answered = not source.is_known, True, True
        found = [split for split in dict.fromkeys(splits) if split not in source.owners]
        if not found and not is_first:
            return []
        source.add(pipeline, found, workers)
        kind = SplitKind.INITIAL if is_first else SplitKind.NEW
        if not is_first and self._is_durable:
            source.found_later.update(found)
        by_worker: dict[WorkerName, list[str]] = {worker: [] for worker in workers}
        for split in found:
            by_worker[source.owners[split]].append(split)
        return [
            share
            for worker, new in by_worker.items()
            if new or is_first
            for share in _shares(worker, pipeline, kind, new)
        ]

    def assigned(
        self, workers: Collection[WorkerName], *, starts_run: bool = False
    ) -> Iterator[SplitShare]:
        """Return all splits of these workers, which read none yet.

        A position in the checkpoint that they go back to comes before what a share says.
        ``starts_run`` says that an earlier run has written this checkpoint.
        """
        first = SplitKind.EARLIER if starts_run else SplitKind.INITIAL
        for pipeline, source in self._sources.items():
            if not source.is_known:
                continue
            by_kind: dict[WorkerName, dict[SplitKind, list[str]]]
            by_kind = {worker: {first: []} for worker in workers}
            for split, worker in source.owners.items():
                if worker in by_kind:
                    by_kind[worker].setdefault(self._kind(source, split, first), []).append(split)
            for worker, splits_of_kind in by_kind.items():
                for kind, splits in splits_of_kind.items():
                    positions = [source.ended[split] for split in splits if split in source.ended]
                    yield from _shares(worker, pipeline, kind, splits, positions)

    @staticmethod
    def _kind(source: _Source, split: str, first: SplitKind) -> SplitKind:
        if split in source.ended:
            return SplitKind.ENDED
        return SplitKind.NEW if split in source.found_later else first

    # A resize

    def planned(self, workers: Collection[WorkerName]) -> "SplitLedger":
        """Return the ledger as it will be with these members; this one stays as it is."""
        planned = SplitLedger(is_durable=self._is_durable)
        for pipeline, source in self._sources.items():
            # What has ended until the change is shared by both; owners are made anew by ``deal``.
            planned._sources[pipeline] = replace(source)
        planned.for_members(workers)
        return planned

    def moves_to(self, planned: "SplitLedger") -> list[list[Any]]:
        """Return the splits that move, as ``Gather`` has them: pipeline, giver, and names."""
        moves: defaultdict[tuple[int, WorkerName], list[str]] = defaultdict(list)
        for pipeline, source in self._sources.items():
            then = planned._sources[pipeline].owners
            for split, worker in source.owners.items():
                if then[split] != worker:
                    moves[pipeline, worker].append(split)
        return [[pipeline, giver, splits] for (pipeline, giver), splits in moves.items()]

    def moved(
        self, held: Mapping[int, Any], joining: Collection[WorkerName]
    ) -> Iterator[SplitShare]:
        """Return the shares of those that take splits; ``held`` has the positions from ``Held``.

        Each worker that joins gets a share of each pipeline, which may be empty.
        """
        for pipeline, source in self._sources.items():
            if not source.is_known:
                continue
            shares: defaultdict[tuple[WorkerName, SplitKind], tuple[list[str], list[Any]]]
            shares = defaultdict(lambda: ([], []))
            for worker in joining:
                shares[worker, SplitKind.INITIAL]  # an empty one, unless it gets splits
            for split, (kind, position) in (split_values(held.get(pipeline)) or {}).items():
                splits, positions = shares[source.owners[split], SplitKind(kind)]
                splits.append(split)
                positions.append(position)
            for (worker, kind), (splits, positions) in shares.items():
                yield from _shares(worker, pipeline, kind, splits, positions)

    # Ends

    def ended(self, pipeline: int, ended: Mapping[str, str]) -> None:
        """Note splits that have ended, and why each broke off, empty if it did not."""
        self._sources[pipeline].ended.update(ended)

    @property
    def ended_pipelines(self) -> list[int]:
        """The pipelines that can bring no more records."""
        return [pipeline for pipeline, source in self._sources.items() if source.has_ended]

    def check(self, workers: Collection[WorkerName]) -> None:
        """Assert that each split has a reader among these workers, and that shares are equal."""
        for source in self._sources.values():
            counts = Counter(dict.fromkeys(workers, 0))
            counts.update(source.owners.values())
            assert counts.keys() == set(workers)
            assert max(counts.values()) - min(counts.values()) <= 1
            assert source.ended.keys() <= source.owners.keys()


def _shares(
    worker: WorkerName,
    pipeline: int,
    kind: SplitKind,
    splits: list[str],
    positions: Sequence[Any] = (),
) -> Iterator[SplitShare]:
    """Yield these splits in shares that are small enough for one frame; one if there are none."""
    with_positions = kind in (SplitKind.AT, SplitKind.ENDED, SplitKind.EARLIER)
    for start in range(0, max(len(splits), 1), SPLITS_A_SHARE_MAX):
        end = start + SPLITS_A_SHARE_MAX
        at = [*positions[start:end]] if with_positions else []
        yield SplitShare(worker, pipeline, kind, splits[start:end], at)
