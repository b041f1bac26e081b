"""Restores one worker to a checkpoint: its states, and the positions of its sources."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.blocks import HINT_RESTORE
from wallaroo.checkpoint.departure import successor_of
from wallaroo.checkpoint.journal import parse_journal_name, replay_position
from wallaroo.checkpoint.manifest import (
    JournalPosition,
    Manifest,
    OutboxBatch,
    PartRef,
    WorkerCheckpoint,
)
from wallaroo.checkpoint.parts import Chunk, read_part
from wallaroo.checkpoint.shapes import StateShape, changed_states, misfit, missing_attributes
from wallaroo.checkpoint.split_positions import merged
from wallaroo.checkpoint.store import PartStore, Pause
from wallaroo.checkpoint.unpickling import Unreadable
from wallaroo.describing import error_text
from wallaroo.errors import MissingObjectError, StateObjectError
from wallaroo.metrics.tally import Counts, add_counts
from wallaroo.names import NO_BARRIER, CheckpointId, WorkerName
from wallaroo.operators.saved_state import PaneTag, Progress, SavedState, StateChunk
from wallaroo.routing.keys import Key, display_key, short_repr
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.topology.plan import Application, held_states

UPGRADE_BATCH_KEYS = 500
"""Keys that are upgraded before the process does anything else."""


@dataclass(frozen=True, slots=True)
class UnreadableKey:
    """A key whose state object cannot be unpickled or upgraded."""

    state: str
    key: Key
    problem: str

    def __str__(self) -> str:
        return f"key {short_repr(display_key(self.key))} of state {self.state!r}"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a worker continues with, besides its states."""

    parts: list[PartRef] | None
    """The parts that hold exactly its states; ``None`` if they also hold keys of other workers."""
    sources: dict[int, Any]
    """The position of each source that had one, by pipeline."""
    gave_at: CheckpointId = NO_BARRIER
    """The value of ``WorkerCheckpoint.gave_at`` for these parts."""
    took: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    """The value of ``WorkerCheckpoint.took`` for these parts."""
    unreadable: list[UnreadableKey] = field(default_factory=list)
    """Keys of this worker whose objects could not be restored; the states do not have them."""


class Restorer:
    """Fills the empty ``states`` of one worker, for members with these partition maps.

    ``shapes`` are the shapes of fresh objects in this process, see ``wallaroo.checkpoint.shapes``.
    """

    def __init__(
        self,
        me: WorkerName,
        plan: Application,
        states: Mapping[str, SavedState],
        maps: dict[str, PartitionMap],
        shapes: dict[str, StateShape],
        store: PartStore,
        pause: Pause,
    ) -> None:
        self._me = me
        self._plan = plan
        self._states = states
        self._maps = maps
        self._shapes = shapes
        self._store = store
        self._pause = pause
        self._held = held_states(plan)
        self._changed: frozenset[str] = frozenset()
        """States whose fresh objects have another shape than in the manifest."""
        self._unreadable: dict[tuple[str, Key], UnreadableKey] = {}

    async def restore(self, manifest: Manifest) -> Restored:
        """Restore what ``manifest`` has for this worker.

        Raises ``StoreError`` or ``DamagedFileError``.
        """
        saved_maps = [PartitionMap.from_wire(wire) for wire in manifest.partition_maps]
        self._changed = changed_states(manifest.shapes, self._shapes) - self._held
        sources = merged(share.sources for share in manifest.workers.values())
        mine = manifest.workers.get(self._me)
        if saved_maps != list(self._maps.values()):
            mine = None
        # If partitions have other owners now, each worker reads all parts and keeps its own keys.
        shares = [*manifest.workers.values()]
        loaded = shares if mine is None else [mine]
        for name, each in self._states.items():
            each.begin_restore(progress_of(name, shares), progress_of(name, loaded))
        for worker in loaded:
            await self._load(worker, saved_maps, is_all_mine=mine is not None)
        for each in self._states.values():
            each.end_restore()
        for state in self._changed:
            await self._upgrade(state, self._converted)
        for state in self._held:
            await self._upgrade(state, self._converted_held)
        unreadable = [*self._unreadable.values()]
        if mine is None or unreadable or self._changed:
            # Everything is written again: the next start must not meet the same objects again, and
            # a manifest has objects of one form only.
            return Restored(None, sources, unreadable=unreadable)
        return Restored(mine.parts, sources, mine.gave_at, mine.took)

    async def _load(
        self, share: WorkerCheckpoint, saved_maps: list[PartitionMap], *, is_all_mine: bool
    ) -> None:
        for part in share.parts:
            state = saved_maps[part.state].state
            if state not in self._states:
                continue  # the application has no such state now, and its user lets it be dropped
            # A part from before keys moved away may hold keys that are newer at another worker.
            is_mixed = part.checkpoint < share.gave_at
            took_later = taken_since(part, share.took.get(state, {}))
            is_wanted = self._filter(
                saved_maps[part.state], share.worker, is_mixed, took_later, is_all_mine
            )
            try:
                data = await self._store.get(part.name)
            except MissingObjectError as error:
                raise MissingObjectError(error.what, HINT_RESTORE) from error
            clock = share.clocks.get(state)
            fired = BEFORE_ALL if clock is None else max(clock.fired, part.fired)
            for chunk in read_part(data, part, self._store.describe(part.name)):
                self._load_chunk(state, chunk, is_wanted, fired)
                await self._pause(0)

    def _load_chunk(
        self, state: str, chunk: Chunk, is_wanted: Callable[[Any, Any], bool] | None, fired: int
    ) -> None:
        states, keys = self._states[state], chunk.keys()
        may_have_changed = state in self._changed or state in self._held
        may_be_removed = may_have_changed and self._plan.states[state].upgrade is not None
        values = chunk.states(may_be_removed=may_be_removed)
        if not values:
            done = [key for key in keys if is_wanted is None or is_wanted(key, chunk.tag)]
            states.fill(StateChunk(done, [], chunk.tag), fired)
            return
        wanted: dict[Any, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if is_wanted is not None and not is_wanted(key, value):
                continue
            if type(value) is Unreadable:
                problem = f"{value.error} ({chunk.file}, byte {chunk.offset})"
                self._drop_unreadable(state, key, problem, chunk.tag)
                continue
            if chunk.tag is not None and state in self._changed and value is not None:
                # Now, since what older chunks have of the key is merged with it.
                value = self._converted(state, key, value)
                if value is None:
                    self._states[state].drop_restored(key, chunk.tag)
                    continue
            wanted[key] = value
            if self._unreadable and chunk.tag is None:
                self._unreadable.pop((state, key), None)
        for key, error in states.fill(StateChunk([*wanted], [*wanted.values()], chunk.tag), fired):
            problem = f"its windows cannot be merged: {error_text(error)}"
            self._unreadable[state, key] = UnreadableKey(state, key, problem)

    def _drop_unreadable(self, state: str, key: Any, problem: str, tag: PaneTag | None) -> None:
        """Note a key that cannot be read; an older object of it must not replace it."""
        self._states[state].drop_restored(key, tag)
        self._unreadable[state, key] = UnreadableKey(state, key, problem)

    def _converted(self, state: str, key: Any, old: Any) -> Any:
        """Return what the upgrade function makes of an object; ``None`` if it fails, which is
        noted."""
        upgrade = self._plan.states[state].upgrade
        if upgrade is None:
            return old
        try:
            new = upgrade(old)
            problem = misfit(new, StateShape("", []), self._shapes[state])
            problem = problem and f"what its upgrade function returned {problem}"
        except BaseException as error:  # noqa: BLE001  it is the user's, and so is a sys.exit()
            problem = f"its upgrade function raised {error_text(error)}"
        if problem:
            self._unreadable[state, key] = UnreadableKey(state, key, problem)
            return None
        return new

    def _converted_held(self, state: str, key: Any, waiting: list[Any]) -> Any:
        """Convert each record that waits, since nothing tells old records from new ones."""
        upgrade = self._plan.states[state].upgrade
        assert upgrade is not None
        problem = ""
        try:
            for held in waiting:
                held.upgrade(upgrade)
                if missing := missing_attributes(held.record):
                    problem = f"its upgrade function returned a record without {missing[0]}"
        except BaseException as error:  # noqa: BLE001  it is the user's, and so is a sys.exit()
            problem = f"its upgrade function raised {error_text(error)}"
        if problem:
            self._unreadable[state, key] = UnreadableKey(state, key, problem)
            return None
        return waiting

    async def _upgrade(self, state: str, convert: Callable[[str, Any, Any], Any]) -> None:
        if self._plan.states[state].upgrade is None:
            return
        converted = self._states[state].convert(lambda key, old: convert(state, key, old))
        for index, _ in enumerate(converted):
            if index % UPGRADE_BATCH_KEYS == 0:
                await self._pause(0)

    def _filter(
        self,
        saved_map: PartitionMap,
        worker: WorkerName,
        is_mixed: bool,
        took_later: frozenset[int],
        is_all_mine: bool,
    ) -> Callable[[Any, Any], bool] | None:
        """Return a function that selects what to load from a part of `worker`, given a key and its
        object; ``None`` for all."""
        if is_all_mine and not is_mixed and not took_later:
            return None
        me, owner_of = self._me, self._maps[saved_map.state].owner_of
        saved_owner_of, saved_partition_of = saved_map.owner_of, saved_map.partition_of

        def is_wanted(key: Any, value: Any) -> bool:
            if not is_all_mine and owner_of(key) != me:
                return False
            # A key that was deleted just before its partition moved may exist again elsewhere.
            may_be_elsewhere = is_mixed or (value is None and not is_all_mine)
            if may_be_elsewhere and saved_owner_of(key) != worker:
                return False
            return not took_later or saved_partition_of(key) not in took_later

        return is_wanted


def progress_of(state: str, shares: Sequence[WorkerCheckpoint]) -> list[Progress]:
    """Return how far a state was on each worker; none if it has no time."""
    clocks = (share.clocks.get(state) for share in shares)
    return [Progress(clock.clock, clock.fired) for clock in clocks if clock is not None]


def taken_since(part: PartRef, took: dict[int, list[int]]) -> frozenset[int]:
    """Return the partitions that moved back to the worker since it wrote ``part``."""
    later = (partitions for at, partitions in took.items() if at > part.checkpoint)
    return frozenset(partition for partitions in later for partition in partitions)


def replayer_of(journal: str, members: Sequence[WorkerName]) -> WorkerName:
    """Return the member that replays `journal`: its writer, or else its writer's successor."""
    worker = WorkerName(_parsed(journal)[0])
    return worker if worker in members else successor_of(journal, members)


def unreadable_error(checkpoint: int, keys: list[UnreadableKey]) -> StateObjectError:
    """Return the error that ends a run if it must not go on without `keys`."""
    first, more = keys[0], len(keys) - 1
    others = (
        ""
        if not more
        else f"; the same holds for {more} other key{'s' * (more > 1)} of this worker"
    )
    return StateObjectError(
        f"{first} cannot be restored from checkpoint {checkpoint}: {first.problem}{others}",
        hint="the checkpoint is as it was: correct the class and start again, or give "
        "--skip-unreadable-keys to go on without such keys, which are then listed",
    )


def journals_of(
    me: WorkerName,
    members: tuple[WorkerName, ...],
    journals: list[str],
    positions: list[JournalPosition],
) -> list[JournalPosition]:
    """Return the positions from which this worker has to replay its share of ``journals``.

    They are sorted, oldest first. A worker replays the journals of all its processes. Those of a
    worker that is not a member any more are distributed by their names.
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
    """Return the counts that this worker carries on, by worker.

    These are its own, and those of workers that are not members any more and whose names are
    assigned to it.
    """
    mine: dict[str, Counts] = {}
    for share in manifest.workers.values():
        for worker, counts in share.counts.items():
            is_member = worker in members
            carrier = worker if is_member else successor_of(worker, members)
            if carrier == me:
                add_counts(mine.setdefault(worker, {}), counts)
    return mine


def outbox_of(
    me: WorkerName, members: tuple[WorkerName, ...], manifest: Manifest
) -> list[OutboxBatch]:
    """Return the batches that this worker delivers: those of its slot, and of slots of workers that
    are not members any more and whose names are assigned to it."""
    return [
        batch
        for batch in manifest.outbox()
        if (batch.slot if batch.slot in members else successor_of(batch.slot, members)) == me
    ]


def _age(journal: str) -> tuple[int, str]:
    worker, epoch = _parsed(journal)
    return epoch, worker


def _parsed(journal: str) -> tuple[str, int]:
    parsed = parse_journal_name(journal)
    assert parsed is not None
    return parsed
