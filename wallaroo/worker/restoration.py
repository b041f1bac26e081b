"""Restores one worker from a checkpoint: its states, its sources, and its journals."""

from dataclasses import replace

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest import JournalPosition, Manifest
from wallaroo.checkpoint.prepared import prepared_of
from wallaroo.checkpoint.restorer import (
    Restored,
    Restorer,
    counts_of,
    journals_of,
    outbox_of,
)
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.share_writer import ShareWriter
from wallaroo.names import WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.wire.control import Assign
from wallaroo.wire.outbox import CutDelivered
from wallaroo.worker.context import WorkerContext
from wallaroo.worker.outboxes import OutboxStart
from wallaroo.worker.ports import DurableStorage, WorkerPorts


def partition_maps(assign: Assign) -> dict[str, PartitionMap]:
    """Return who owns what, by the name of the state."""
    return {each.state: each for each in map(PartitionMap.from_wire, assign.partition_maps)}


def workers_of(assign: Assign) -> tuple[WorkerName, ...]:
    """Return the members that ``assign`` names."""
    return tuple(WorkerName(name) for name, _, _ in assign.members)


def replay_start(
    position: JournalPosition, extent: JournalExtent, *, is_given_up: bool
) -> JournalPosition:
    """Return where to replay a journal from, and a length that it has at least.

    ``extent`` is what exists of it. A checkpoint may be taken before this journal is replayed. If
    its position had no length, the next start would think that an earlier release wrote it, and
    would not miss the journal.
    """
    if is_given_up:
        return extent.from_here_on(position)
    # Only the header is certain: an entry behind it may be torn, and is then cut off.
    return replace(position, end=max(position.end, min(extent.end, HEADER_BYTES)))


def begin_outboxes(ports: WorkerPorts, worker: WorkerContext, start: OutboxStart) -> None:
    """Begin to deliver what ``start`` names. Before it is delivered, the sinks do not connect."""
    assert ports.durable is not None
    worker.sinks.begin_outboxes(
        start,
        ports.pickler,
        ports.durable.outbox_limits,
        lambda cut: worker.send(CutDelivered(worker.epoch, cut)),
    )


class Restoration:
    """Brings one worker back to the checkpoint that ``assign`` names."""

    def __init__(
        self, ports: WorkerPorts, worker: WorkerContext, assign: Assign, durable: DurableStorage
    ) -> None:
        self._ports = ports
        self._worker = worker
        self._assign = assign
        self._durable = durable

    async def run(self, saving: ShareWriter) -> None:
        """Restore everything; ``saving`` goes on from what this worker had saved.

        Raises ``WallarooError`` if a part of the checkpoint cannot be read.
        """
        worker, assign, durable = self._worker, self._assign, self._durable
        # The outcome of the last checkpoint is known by now, so any output still staged belongs to
        # none and is discarded.
        await worker.sinks.discard()
        manifest = await durable.manifests.load(assign.manifest) if assign.manifest else None
        restored = await self._restore_states(manifest)
        if restored.unreadable:
            self._ports.leave_out(assign.manifest, restored.unreadable)
        if manifest is not None:
            if worker.engine.timing is not None:
                worker.engine.timing.restore_sources(
                    share.source_times for share in manifest.workers.values()
                )
            worker.dataflow.carry_counts(counts_of(worker.me, workers_of(assign), manifest))
        if restored.parts is None:
            saving.mark_all_changed()
        else:
            saving.restored(restored.parts, restored.gave_at, restored.took)
        replay_count = self._rewind_sources(manifest, restored, durable.journal)
        members = workers_of(assign)
        in_doubt = outbox_of(worker.me, members, manifest) if manifest else []
        begin_outboxes(
            self._ports,
            worker,
            OutboxStart(
                application=self._ports.plan.name,
                lineage=assign.lineage,
                worker=worker.me,
                epoch=assign.epoch,
                barrier=assign.barrier,
                in_doubt=tuple(in_doubt),
                prepared=prepared_of(worker.me, members, manifest),
                cuts=tuple(assign.cuts),
            ),
        )
        values = {
            "checkpoint": assign.manifest,
            "keys": sum(map(len, worker.dataflow.saved_states.values())),
            "journals": replay_count,
            "next": "it replays its journals once all workers are ready"
            if replay_count
            else "it connects to the other workers and the sinks",
        }
        self._ports.report("worker.restored", values)

    async def _restore_states(self, manifest: Manifest | None) -> Restored:
        if manifest is None:
            return Restored([], {})
        restorer = Restorer(
            self._worker.me,
            self._ports.plan,
            self._worker.dataflow.saved_states,
            partition_maps(self._assign),
            fresh_shapes(self._ports.plan),
            self._durable.manifests.store,
            self._durable.pause,
        )
        return await restorer.restore(manifest)

    def _rewind_sources(
        self, manifest: Manifest | None, restored: Restored, journal: Journal
    ) -> int:
        """Set the sources back to the checkpoint; return how many journals are replayed."""
        me, assign = self._worker.me, self._assign
        positions = [] if manifest is None else manifest.journal_positions()
        extents = {each.journal: each for each in journal.folder.extents()}
        replays = [
            replay_start(each, extents[each.journal], is_given_up=each.journal in assign.given_up)
            for each in journals_of(me, workers_of(assign), [*extents], positions)
        ]
        progress = journal.go_back(replays)
        self._worker.sources.go_back(
            restored.sources,
            [(journal.folder.read(each), progress[each.journal]) for each in replays],
        )
        return len(replays)
