"""Brings one worker back to a checkpoint: its state, and where its sources go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.blocks import HINT_RESTORE
from wallaroo.checkpoint.journal import parse_journal_name, replay_position
from wallaroo.checkpoint.legacy import heir_of
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, PartRef, WorkerCheckpoint
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.store import PartStore, Pause
from wallaroo.errors import MissingObjectError
from wallaroo.metrics.tally import Counts, add_counts
from wallaroo.names import NO_BARRIER, CheckpointId, WorkerName
from wallaroo.routing.partition_map import PartitionMap


@dataclass(frozen=True, slots=True)
class Restored:
    """What a worker goes on with, besides its states."""

    parts: list[PartRef] | None
    """That make up exactly its states; ``None`` where others hold keys of these parts too."""
    sources: dict[int, Any]
    """The position of each source that was somewhere, by pipeline."""
    gave_at: CheckpointId = NO_BARRIER
    """As ``WorkerCheckpoint`` has it, for these parts."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """Fills the empty ``states`` of one worker, for a membership with these partition maps."""

    me: WorkerName
    states: dict[str, dict[Any, Any]]
    maps: dict[str, PartitionMap]
    store: PartStore
    pause: Pause

    async def restore(self, manifest: Manifest) -> Restored:
        """Take from ``manifest`` what is this worker's.

        Raises ``StoreError``, ``DamagedFileError`` or ``StateObjectError``.
        """
        then = [PartitionMap.from_wire(wire) for wire in manifest.partition_maps]
        sources: dict[int, Any] = {}
        for worker in manifest.workers.values():
            sources.update(worker.sources)
        if then == list(self.maps.values()) and self.me in manifest.workers:
            mine = manifest.workers[self.me]
            await self._load(mine, then, is_all_mine=True)
            return Restored(mine.parts, sources, mine.gave_at)
        # Others own the partitions now: each looks through all parts for what is its own.
        for worker in manifest.workers.values():
            await self._load(worker, then, is_all_mine=False)
        return Restored(None, sources)

    async def _load(
        self, share: WorkerCheckpoint, then: list[PartitionMap], *, is_all_mine: bool
    ) -> None:
        for part in share.parts:
            state = then[part.state].state
            states = self.states.get(state)
            if states is None:
                continue  # the application has no such state any more, and was told to drop it
            # A part from before keys were given away may hold what is newer at another worker.
            was_mixed = part.checkpoint < share.gave_at
            is_taken = self._filter(then[part.state], share.worker, was_mixed, is_all_mine)
            try:
                data = await self.store.get(part.name)
            except MissingObjectError as error:
                raise MissingObjectError(error.what, HINT_RESTORE) from error
            for chunk in read_part(data, part, self.store.describe(part.name)):
                for key, value in zip(chunk.keys(), chunk.states(), strict=True):
                    if is_taken is None or is_taken(key):
                        states[key] = value
                await self.pause(0)

    def _filter(
        self, then: PartitionMap, worker: WorkerName, was_mixed: bool, is_all_mine: bool
    ) -> Callable[[Any], bool] | None:
        """Return what tells which keys of a part are to be taken; ``None`` for all."""
        me, owner_of, owner_then = self.me, self.maps[then.state].owner_of, then.owner_of
        if not was_mixed:
            return None if is_all_mine else lambda key: owner_of(key) == me
        if is_all_mine:
            return lambda key: owner_then(key) == worker
        return lambda key: owner_then(key) == worker and owner_of(key) == me


def replayer_of(journal: str, members: Sequence[WorkerName]) -> WorkerName:
    """Return the member that replays `journal`: its writer, or one that stands in for it."""
    worker = WorkerName(_parsed(journal)[0])
    return worker if worker in members else heir_of(journal, members)


def journals_of(
    me: WorkerName,
    members: tuple[WorkerName, ...],
    journals: list[str],
    positions: list[JournalPosition],
) -> list[JournalPosition]:
    """Return where this worker has to replay which of all ``journals``, oldest first.

    A worker replays its own, of all its lives; those of a worker that is no member any more are
    dealt out by their names.
    """
    mine: list[JournalPosition] = []
    for journal in sorted(journals, key=_age):
        position = replay_position(journal, positions)
        if position is not None and replayer_of(journal, members) == me:
            mine.append(position)
    return mine


def counts_of(
    me: WorkerName, members: tuple[WorkerName, ...], manifest: Manifest
) -> dict[str, Counts]:
    """Return the counts that this worker carries on with, by worker.

    Its own, and those of workers that are no members any more, which are dealt out by their names.
    """
    mine: dict[str, Counts] = {}
    for share in manifest.workers.values():
        for worker, counts in share.counts.items():
            is_member = worker in members
            carrier = worker if is_member else heir_of(worker, members)
            if carrier == me:
                add_counts(mine.setdefault(worker, {}), counts)
    return mine


def _age(journal: str) -> tuple[int, str]:
    worker, epoch = _parsed(journal)
    return epoch, worker


def _parsed(journal: str) -> tuple[str, int]:
    parsed = parse_journal_name(journal)
    assert parsed is not None
    return parsed
