"""Brings one worker back to a checkpoint: its state, and where its sources go on."""

from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.blocks import HINT_RESTORE
from wallaroo.checkpoint.journal import parse_journal_name, replay_position
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, PartRef
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.store import PartStore, Pause
from wallaroo.errors import MissingObjectError
from wallaroo.metrics.tally import Counts, add_counts
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text
from wallaroo.routing.partition_map import PartitionMap


@dataclass(frozen=True, slots=True)
class Restored:
    """What a worker goes on with, besides its states."""

    parts: list[PartRef] | None
    """That make up exactly its states; ``None`` where others hold keys of these parts too."""
    sources: dict[int, Any]
    """The position of each source that was somewhere, by pipeline."""


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
            parts = manifest.workers[self.me].parts
            await self._load(parts, then, is_all_mine=True)
            return Restored(parts, sources)
        # Others own the partitions now: each looks through all parts for what is its own.
        for worker in manifest.workers.values():
            await self._load(worker.parts, then, is_all_mine=False)
        return Restored(None, sources)

    async def _load(
        self, parts: list[PartRef], then: list[PartitionMap], *, is_all_mine: bool
    ) -> None:
        for part in parts:
            state = then[part.state].state
            states = self.states.get(state)
            if states is None:
                continue  # the application has no such state any more, and was told to drop it
            owner_of = self.maps[state].owner_of
            try:
                data = await self.store.get(part.name)
            except MissingObjectError as error:
                raise MissingObjectError(error.what, HINT_RESTORE) from error
            for chunk in read_part(data, part, self.store.describe(part.name)):
                for key, value in zip(chunk.keys(), chunk.states(), strict=True):
                    if is_all_mine or owner_of(key) == self.me:
                        states[key] = value
                await self.pause(0)


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
        worker, _ = _parsed(journal)
        owner = worker if worker in members else members[hash_text(journal) % len(members)]
        position = replay_position(journal, positions)
        if owner == me and position is not None:
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
            carrier = worker if is_member else members[hash_text(worker) % len(members)]
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
