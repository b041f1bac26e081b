"""The simulation finds what it is there for: each of these switches off one thing that protects."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.seeds import run_seed
from wallaroo.checkpoint import restorer
from wallaroo.checkpoint.departure import Departure, successor_of
from wallaroo.checkpoint.journal import replay_position
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.checkpoint.manifest import JournalPosition, PartRef
from wallaroo.checkpoint.restorer import Restorer, journals_of
from wallaroo.checkpoint.share_writer import ShareWriter, _ChunkWriter
from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.coordinator.coordinator import Coordinator
from wallaroo.coordinator.events import Effect, ResizeRequested
from wallaroo.coordinator.kept_input import KeptInput
from wallaroo.coordinator.pool import Pool, PoolAgent
from wallaroo.coordinator.resize import ResizeCoordinator
from wallaroo.coordinator.result_deliveries import ResultDeliveries
from wallaroo.ingest.connection_handover import ConnectionCopy, StagedConnections
from wallaroo.ingest.listening_sources import ListeningSources
from wallaroo.ingest.read_budget import HoldReason, ReadBudget
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import Totals
from wallaroo.names import CheckpointId, WorkerName
from wallaroo.operators.changes import StateChanges
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.inbox import Inbox
from wallaroo.testing.store import Objects
from wallaroo.wire.control import ControlFrame, Failed, Join, RequestStop
from wallaroo.worker import restoration
from wallaroo.worker.barriers import Barriers
from wallaroo.worker.state_transfer import StateTransfer

SEEDS = range(100)
"""One of these shows each bug, however the code around it changes."""


def without_hold_back(patch: Patch) -> None:
    """What is behind a barrier is processed before the barrier is through."""
    patch.setattr(Inbox, "hold_back", lambda *_: None)


def without_epoch_check(patch: Patch) -> None:
    """What a worker says of an older epoch counts."""
    received = Coordinator._received

    def any_epoch(self: Coordinator, worker: WorkerName, frame: ControlFrame) -> object:
        if isinstance(frame, Join | Failed | RequestStop):
            return received(self, worker, frame)
        return self._reported(worker, frame)

    patch.setattr(Coordinator, "_received", any_epoch)


def without_replay(patch: Patch) -> None:
    """Journals are written, and nobody reads them."""
    patch.setattr(restoration, "journals_of", lambda *_: [])


def without_counts_going_back(patch: Patch) -> None:
    """After a recovery what was counted before the checkpoint is forgotten."""
    patch.setattr(restoration, "counts_of", lambda *_: {})


def without_atomic_manifests(patch: Patch) -> None:
    """A write that breaks off leaves a part of a manifest to be seen."""
    patch.setattr(Objects, "is_atomic", False)


def without_create_if_absent(patch: Patch) -> None:
    """Two initializers can both write a manifest of one number."""

    def overwrite(self: Objects, name: str, data: bytes) -> str:
        self.by_name[name] = data
        return ""

    patch.setattr(Objects, "create", overwrite)


def without_copy_on_write(patch: Patch) -> None:
    """A checkpoint has some keys as they were later."""
    patch.setattr(StateChanges, "copy_first", lambda *_: None)


def without_memory_of_abandoned(patch: Patch) -> None:
    """What an abandoned checkpoint had written is not written by the next one."""

    def forget(self: StateChanges) -> None:
        self.frozen.clear()
        self._copies.clear()
        self._written = []

    patch.setattr(StateChanges, "abandon", forget)


def without_skipping(patch: Patch) -> None:
    """Of an entry that was processed in part all is replayed."""

    def position(self: JournalProgress) -> JournalPosition:
        return JournalPosition(self.journal, next(iter(self._entries), self._end), {})

    patch.setattr(JournalProgress, "position", position)


def without_holding_sources(patch: Patch) -> None:
    """Sources go on between the barrier that they sent and the checkpoint."""
    patch.setattr(Engine, "hold_sources", lambda _: None)


def without_young_journals(patch: Patch) -> None:
    """A journal that no checkpoint names yet is not replayed."""

    def named(journal: str, positions: list[JournalPosition]) -> JournalPosition | None:
        is_named = any(each.journal == journal for each in positions)
        return replay_position(journal, positions) if is_named else None

    patch.setattr(restorer, "replay_position", named)


def without_moved_keys(patch: Patch) -> None:
    """What a worker has taken over from others it does not write itself."""
    patch.setattr(ShareWriter, "mark_all_changed", lambda _: None)


def without_marks_on_received_keys(patch: Patch) -> None:
    """Keys received from a live worker are written only once they change."""

    def install(self: KeyedState, objects: Mapping[Any, Any]) -> None:
        self.objects.update(objects)

    patch.setattr(KeyedState, "install", install)


def without_filter_for_old_parts(patch: Patch) -> None:
    """A restore takes keys from parts of a worker that gave them away later."""
    filtered = Restorer._filter

    def all_alike(
        self: Restorer,
        then: PartitionMap,
        worker: WorkerName,
        _: bool,
        took_later: frozenset[int],
        is_all_mine: bool,
    ) -> object:
        return filtered(self, then, worker, False, took_later, is_all_mine)

    patch.setattr(Restorer, "_filter", all_alike)


def without_tombstones(patch: Patch) -> None:
    """No checkpoint holds that a key was deleted."""
    write = _ChunkWriter.write

    def write_others(self: _ChunkWriter, keys: list[Any], states: list[Any]) -> None:
        live = {key: state for key, state in zip(keys, states, strict=True) if state is not None}
        write(self, [*live], [*live.values()])

    patch.setattr(_ChunkWriter, "write", write_others)


def without_memory_of_what_moved_back(patch: Patch) -> None:
    """A key that was deleted elsewhere comes back from a part from before its partition moved."""
    patch.setattr(restorer, "taken_since", lambda *_: frozenset())


def without_order_of_compaction(patch: Patch) -> None:
    """The newest parts are dropped first, though a tombstone in them removes what is in others."""
    surplus = ShareWriter._surplus

    def newest(self: ShareWriter) -> list[PartRef]:
        dropped = self._superseded | self._leaving
        parts = [part for part in self._parts if part.name not in dropped]
        return parts[len(parts) - len(surplus(self)) :]

    patch.setattr(ShareWriter, "_surplus", newest)


def without_successors_of_output(patch: Patch) -> None:
    """What a worker that left has staged is in no checkpoint."""
    from_wire = Departure.from_wire

    def bare(value: object) -> Departure:
        return replace(from_wire(value), staged=[])

    patch.setattr(Departure, "from_wire", bare)


def without_hold_until_all_know(patch: Patch) -> None:
    """Sources go on as soon as the barrier is through, and not when everybody knows the owners."""
    aligned = Barriers._aligned

    def release(self: Barriers, checkpoint: CheckpointId) -> None:
        aligned(self, checkpoint)
        self._release(checkpoint)

    patch.setattr(Barriers, "_aligned", release)


def without_late_keys(patch: Patch) -> None:
    """A key that comes while others are looked through stays where it is."""
    patch.setattr(StateTransfer, "_find_new_keys", lambda _: None)


def without_rest_before_handing_over(patch: Patch) -> None:
    """A worker that leaves goes on reading the connections that it gives away."""
    hold = ReadBudget.hold

    def replays_alone(self: ReadBudget, reason: HoldReason) -> None:
        if reason is HoldReason.REPLAY:
            hold(self, reason)

    patch.setattr(ReadBudget, "hold", replays_alone)


def without_waiting_for_a_checkpoint(patch: Patch) -> None:
    """A connection is read on before the giver's journal is behind a checkpoint."""
    take_over = ListeningSources.take_over

    def at_once(self: ListeningSources, copies: list[ConnectionCopy]) -> None:
        take_over(self, copies)
        self.read_on()

    patch.setattr(ListeningSources, "take_over", at_once)


def without_attempts(patch: Patch) -> None:
    """Who took connections keeps them though its answer was lost, and others have them."""

    def take(self: StagedConnections, giver: WorkerName, _: int) -> list[ConnectionCopy]:
        return self._shares.pop(giver, (0, []))[1]

    patch.setattr(StagedConnections, "take", take)


def without_order_of_results(patch: Patch) -> None:
    """A new owner does not wait for the results that the old one still owes to a sink."""
    patch.setattr(SinkQueue, "hold", lambda *_: None)


def without_release_of_who_leaves(patch: Patch) -> None:
    """A worker that leaves is not told that the results it holds need not wait any longer."""
    patch.setattr(ResultDeliveries, "_holders", lambda self: self._state.workers)


def without_looking_for_journals(patch: Patch) -> None:
    """A run passes over a missing journal."""
    patch.setattr(KeptInput, "_lost", lambda *_: [])


def with_last_words_of_who_left(patch: Patch) -> None:
    """What a worker that left had counted stays, also if others replay it."""
    counted = Totals._counted

    def with_last_words(self: Totals) -> dict[str, Counts]:
        found = counted(self)
        for worker, claim in self._claims.items():
            if worker not in found:
                found[worker] = claim.counts.get(worker, {})
        return found

    patch.setattr(Totals, "_counted", with_last_words)


def without_leases(patch: Patch) -> None:
    """A name is given to another agent while the worker on the lost host may still run."""
    lost = Pool.lost

    def lost_for_certain(self: Pool, instance: str, now_s: float, _: float) -> None:
        lost(self, instance, now_s, 0.0)

    patch.setattr(Pool, "lost", lost_for_certain)


def with_two_agents_for_one_name(patch: Patch) -> None:
    """An agent that connects again has its name back although another has got it meanwhile."""
    lost, arrived, names = Pool.lost, Pool.arrived, dict[tuple[int, str], WorkerName]()

    def lost_with_its_name(self: Pool, instance: str, now_s: float, unseen_s: float) -> None:
        for name in self.wanted:
            if self.holder(name) == instance:
                names[id(self), instance] = name
        lost(self, instance, now_s, unseen_s)

    def arrived_with_its_name(self: Pool, agent: PoolAgent) -> None:
        arrived(self, agent)
        if name := names.get((id(self), agent.instance)):
            self._absent[name] = 0.0

    patch.setattr(Pool, "lost", lost_with_its_name)
    patch.setattr(Pool, "arrived", arrived_with_its_name)


def without_members_that_come_back(patch: Patch) -> None:
    """The successor of a worker replays its journals also after the worker has come back."""
    request, returned = ResizeCoordinator.request, set[str]()

    def noted(self: ResizeCoordinator, event: ResizeRequested, *, is_ending: bool) -> list[Effect]:
        returned.update(each for each in event.added if each in self._state.processes)
        return request(self, event, is_ending=is_ending)

    def twice(
        me: WorkerName,
        members: tuple[WorkerName, ...],
        journals: list[str],
        positions: list[JournalPosition],
    ) -> list[JournalPosition]:
        mine = journals_of(me, members, journals, positions)
        inherited = [
            replay_position(each, positions)
            for each in journals
            if each.rpartition("-")[0] in returned and successor_of(each, members) == me
        ]
        known = {each.journal for each in mine}
        return mine + [each for each in inherited if each and each.journal not in known]

    patch.setattr(ResizeCoordinator, "request", noted)
    patch.setattr(restoration, "journals_of", twice)


PLANTED = {
    without_hold_back: 34,
    without_epoch_check: 4,
    without_replay: 1,
    without_atomic_manifests: 8,
    without_create_if_absent: 0,
    without_copy_on_write: 7,
    without_memory_of_abandoned: 3,
    without_skipping: 0,
    without_holding_sources: 1,
    without_young_journals: 1,
    without_moved_keys: 0,
    without_marks_on_received_keys: 4,
    without_filter_for_old_parts: 29,
    without_tombstones: 4,
    without_memory_of_what_moved_back: 39,
    without_order_of_compaction: 24,
    without_successors_of_output: 6,
    without_hold_until_all_know: 7,
    without_late_keys: 39,
    without_counts_going_back: 1,
    without_rest_before_handing_over: 4,
    without_waiting_for_a_checkpoint: 45,
    without_attempts: 77,
    without_order_of_results: 17,
    without_release_of_who_leaves: 39,
    without_looking_for_journals: 61,
    with_last_words_of_who_left: 24,
    without_leases: 2,
    with_two_agents_for_one_name: 6,
    without_members_that_come_back: 5,
}
"""Each with a seed that showed it, so that the test need not run all that come before it."""

SHOWN_WITHOUT_CHECKPOINTS = {without_order_of_results, without_release_of_who_leaves}
"""With checkpoints a resize begins when one is done, and that waits for the sinks anyway."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_the_simulation_fails(plant: Plant, known: int, monkeypatch: Patch) -> None:
    assert known in SEEDS
    run = partial(run_seed, durable=plant not in SHOWN_WITHOUT_CHECKPOINTS)
    seed, error = first_failure(plant, monkeypatch, (known, *SEEDS), run)
    assert f"run it again: python -m tests.simulation --seed {seed}" in str(error)
