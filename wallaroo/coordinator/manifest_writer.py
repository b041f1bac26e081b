"""Takes over the checkpoints that a run starts from, and writes the manifests of new ones.

A manifest is the one object that makes a checkpoint exist. Workers write their parts, journals and
staged output first; none of it counts until a manifest names it. Manifests are numbered without a
gap, and a number is written only if no object has it (a conditional put).

    start:  find the base --> check plan, state classes, journals --> CLAIM n --> publish the base
    round:  all Saved --> COMMIT n + 1 --> publish its output --> discard, prune --> Committed

The steps in this order, and why:

1. **Check before the claim.** The claim is a manifest with the content of the base, a higher epoch,
   and the next number. It fences off a run that still writes, so it comes after everything that
   can fail. A start that is refused must not end a run that lives.
2. **Claim before publishing.** Only the run that has written the claim may write files of sinks. If
   two runs start together, one claim fails: that run tries again a few times, since the other may
   be a run that has just committed its last checkpoint.
3. **Commit before publishing.** Staged output is appended to a sink's file only when a manifest
   names it. A crash in between is harmless: the next run publishes what its base names. Publishing
   can be repeated, because the manifest records the length of each file before its parts.
4. **Publish before the next round.** ``write`` does not return until the files hold the output. If
   it did, the output of two checkpoints could be appended in the wrong order.
5. **Discard and prune last.** Output staged by lost workers may be named by the manifest that was
   being written when they were lost, so it is deleted only once a later commit has published.
   Pruning deletes what none of the kept manifests names. If it fails, the only harm is that these
   files stay.

What can go wrong:

* The store refuses a commit: no manifest was written, and the round has failed. Workers keep the
  changed keys for the next round.
* The answer is lost: the manifest may exist or not. Nothing can be decided until that is known: if
  the run continued, a recovery could go back too far and publish output twice. So the same commit
  is tried until its outcome is certain, and ``ManifestLog`` recognises its own object by a token.
* Another run has taken the number: ``FencedError``. This run is over and writes nothing more.
* A file of a sink cannot be written, for example because a disk is full: it is tried for ever.
  Records are processed meanwhile, no other checkpoint is taken, and the log says why.

Invariants: ``latest`` exists in the store, and this run wrote it. The epoch of the claim is above
every epoch in which an earlier run wrote a journal or a part. From one manifest of a run to the
next, no file gets shorter.

These coroutines wait only for the store, the files of sinks, and pauses. ``CheckpointPorts``
provides all three, so the simulator runs the same code with its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from wallaroo.checkpoint.journal import journal_name, replay_position
from wallaroo.checkpoint.journaling import ReachedJournals
from wallaroo.checkpoint.lost_input import (
    NeededInput,
    holders_elsewhere,
    keeps_input,
    needed_positions,
)
from wallaroo.checkpoint.manifest import Manifest, WorkerCheckpoint
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.store import Pause
from wallaroo.connectors.base import Promise
from wallaroo.connectors.file import StagedPart
from wallaroo.coordinator.events import (
    Announce,
    ManifestNotWritten,
    ManifestWritten,
    SettleManifest,
    WriteManifest,
)
from wallaroo.coordinator.kept_input import KeptInput
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.coordinator.upgrade_gate import UpgradeGate
from wallaroo.coordinator.worker_names import first_names
from wallaroo.errors import ConfigError, DamagedFileError, FencedError, StoreError
from wallaroo.metrics.tally import Counts
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.fingerprint import (
    difference,
    displaced,
    outline,
    without_classes,
    without_partition_counts,
)
from wallaroo.topology.plan import Application

AGAIN_S = 2.0
CLAIMS_MAX = 10
"""How often a start tries to claim a number before another run commits a checkpoint with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The user's choices about checkpoints."""

    keep: int = 3
    from_checkpoint: int | None = None
    allow_dropped_state: bool = False
    allow_lost_input: bool = False
    allow_changed_state: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPorts:
    """The store, journals, output files, clocks and log of the process."""

    log: ManifestLog
    journal_epochs: Callable[[], list[int]]
    """Returns the epochs in which journals were written; raises ``StoreError``."""
    journals: ReachedJournals
    """The journals that this process can reach."""
    commit_output: Callable[[int, int, Sequence[StagedPart]], Awaitable[object]]
    """Cuts a sink's file to a length and appends these parts; raises ``OSError``."""
    discard_output: Callable[[int, str], Awaitable[object]]
    """Deletes what a stage has left for a sink; raises ``OSError``."""
    output_path: Callable[[int], str]
    """Returns the path of a sink's file, for log lines."""
    pause: Pause
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    info: Callable[[str, dict[str, Any]], None]
    """Logs an event with its values."""
    warn: Callable[[str, dict[str, Any]], None]
    announce: Callable[[Announce], None]
    """Logs a line as it does those of the coordinator."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What a run starts from."""

    epoch: Epoch
    manifest: int
    """The number of the claim, which has the content to start from."""
    last_barrier: CheckpointId
    """The highest barrier number in it. The barriers of this run need higher numbers."""
    maps: list[PartitionMap]
    workers: tuple[WorkerName, ...]
    needed_input: NeededInput | None
    """The journals to continue from; ``None`` if the application's sources write none."""
    counts: dict[str, Counts]
    """By worker: the records counted until then."""
    outbox_cuts: tuple[CheckpointId, ...]
    """The cuts of the results in it that sinks may lack, lowest first."""
    lineage: str
    """See ``Manifest.lineage``."""
    shares: tuple[WorkerCheckpoint, ...]
    """What each worker saved in it."""


class ManifestWriter:
    """The checkpoints of one run."""

    def __init__(
        self,
        rules: Rules,
        ports: CheckpointPorts,
        plan: Application,
        workers: tuple[WorkerName, ...] = (),
    ) -> None:
        """Without ``workers``, use those of the checkpoint that ``begin`` finds, or else one."""
        self._rules = rules
        self._ports = ports
        self._plan = plan
        self._workers = workers
        self._staged_sinks = [
            index for index, sink in enumerate(plan.sinks) if sink.promise is Promise.STAGED_FILE
        ]
        self._shapes = fresh_shapes(plan)
        self._gate = UpgradeGate(
            plan, self._shapes, ports.log.store, info=ports.info, warn=ports.warn
        )
        self._newest_epoch = Epoch(0)
        self._are_all_here = True
        self._log = ports.log
        self._latest: Manifest
        self._partition_maps: list[PartitionMap] = []
        self._round_started_s = 0.0
        self._ended_stages: list[str] = []
        """The stages of workers that were lost since the last checkpoint."""
        self._not_pruned = ""
        """Why old checkpoints are not deleted, if so; logged once, not with each checkpoint."""

    async def before_claim(self) -> None:
        """Do the last step before the claim; called once all checks of the start have passed."""

    def formed(
        self, workers: tuple[WorkerName, ...], newest_epoch: Epoch, *, are_all_here: bool
    ) -> None:
        """Set the members, and the newest epoch in which other hosts wrote journals.

        ``are_all_here`` says that there is no other host.
        """
        self._workers = workers
        self._newest_epoch = newest_epoch
        self._are_all_here = are_all_here

    async def members(self) -> MembersBefore:
        """Return the members in the newest checkpoint of an earlier run."""
        newest = await self._log.latest()
        if newest is None:
            return MembersBefore()
        members, needed = [*map(WorkerName, newest.members)], list[WorkerName]()
        if keeps_input(self._plan):
            here = {each.journal for each in self._ports.journals.extents()}
            needed = [
                worker for worker in holders_elsewhere(newest, here) if worker not in self._workers
            ]
        return MembersBefore(members, needed)

    @property
    def latest(self) -> Manifest:
        """The newest manifest of this run: a checkpoint, or its own claim."""
        return self._latest

    def worker_ended(self, worker: WorkerName, incarnation: Epoch) -> None:
        """Note that a process has ended and writes nothing more."""
        self._ended_stages.append(journal_name(worker, incarnation))

    def members_changed(
        self, workers: tuple[WorkerName, ...], partition_maps: Sequence[Any]
    ) -> None:
        """Set the members for the next checkpoints; called while no manifest is being written."""
        self._workers = workers
        self._partition_maps = [PartitionMap.from_wire(wire) for wire in partition_maps]

    def round_started(self) -> None:
        """Note the time: a checkpoint was ordered just now."""
        self._round_started_s = self._ports.clock()

    async def begin(self) -> StartingPoint:
        """Take these checkpoints over from the run that had them; return where this run starts.

        Raises ``ConfigError`` if the checkpoint is of another plan, ``StateObjectError`` if the
        class of a state has changed, and the errors of the store and its files.
        """
        await self._log.check_store()
        for _ in range(CLAIMS_MAX - 1):
            try:
                return await self._begin()
            except FencedError:
                # Another run is still active and committed in between. The next claim fences it.
                if await self._log.is_claimed():
                    raise
        return await self._begin()

    async def _begin(self) -> StartingPoint:
        base = await self._base()
        newest = None
        if self._rules.from_checkpoint is None:
            newest = CheckpointId(0) if base is None else base.number
        # Higher than every epoch in which anything was written, committed or not. The base may be
        # older than the last commit, and journals may be on other hosts.
        last = await self._log.last_epoch()
        epoch = Epoch(max([last, self._newest_epoch, *self._ports.journal_epochs()]) + 1)
        if not self._workers:
            known = tuple(map(WorkerName, base.members)) if base is not None else ()
            self._workers = known or first_names(1)
        if base is None:
            base = self._nothing(epoch)
        else:
            await self._check_plan(base)
            await self._gate.check(base, may_change=self._rules.allow_changed_state)
        needed = await self._needed_input(base) if keeps_input(self._plan) else None
        await self._check_input(needed, newest)
        await self.before_claim()
        self._latest = await self._log.claim(base, epoch, newest)
        self._partition_maps = self._maps(base)
        await self._publish(self._latest)
        values = {
            "checkpoint": base.number if base.workers else "none",
            "epoch": epoch,
            "keys": sum(sum(each.key_counts.values()) for each in base.workers.values()),
        }
        values["next"] = "the workers restore it" if base.workers else "all states start empty"
        self._ports.info("checkpoint.selected", values)
        latest = self._latest
        last_barrier = latest.last_barrier()
        maps, workers, counts = self._partition_maps, self._workers, latest.counts()
        return StartingPoint(
            epoch,
            latest.number,
            last_barrier,
            maps,
            workers,
            needed,
            counts,
            tuple(latest.outbox_cuts()),
            latest.lineage,
            tuple(latest.workers.values()),
        )

    async def _needed_input(self, base: Manifest) -> NeededInput:
        positions = {each.journal: each for each in needed_positions(base)}
        is_newest = self._rules.from_checkpoint is None
        # When an older checkpoint is chosen, the abandoned ones name journals that are newer.
        for number in () if is_newest else await self._log.numbers():
            if number > base.number:
                with suppress(DamagedFileError):
                    later = await self._log.load(number)
                    for each in later.journal_positions():
                        position = replay_position(each.journal, base.journal_positions())
                        if position is not None:
                            positions.setdefault(each.journal, position)
        return NeededInput(base.number, tuple(positions.values()))

    async def _check_input(self, needed: NeededInput | None, newest: CheckpointId | None) -> None:
        """Raise ``ClusterError`` if a journal is missing, as far as this is known before the start.

        The coordinator checks this too, but only after the claim, when everything newer than the
        chosen checkpoint is already abandoned.
        """
        if needed is None or not self._are_all_here or self._rules.allow_lost_input:
            return
        kept = KeptInput(needed, may_be_lost=False)
        extents = self._ports.journals.extents()
        for worker in self._workers:
            kept.set_extents(worker, extents, self._ports.journals.location)
        losses, error = kept.verify(self._workers)
        if error is None:
            return
        if newest is not None and max(await self._log.numbers(), default=0) > newest:
            raise FencedError("another run committed a checkpoint meanwhile, and cut its journals")
        for loss in losses:
            self._ports.announce(loss)
        raise error

    async def _base(self) -> Manifest | None:
        number = self._rules.from_checkpoint
        if number is None:
            return await self._log.latest()
        numbers = await self._log.numbers()
        if number not in numbers:
            raise ConfigError(
                f"there is no checkpoint {number} in {self._log.store.location}",
                hint=f"there are {', '.join(map(str, numbers)) or 'none'}; "
                "wallaroo-checkpoints list shows them",
            )
        line = await self._log.line()
        if number not in line:
            raise ConfigError(
                f"checkpoint {number} was given up when a run went back to an older one",
                hint=f"choose one of {', '.join(map(str, reversed(line)))}",
            )
        return await self._log.load(number)

    def _nothing(self, epoch: Epoch) -> Manifest:
        return Manifest(
            number=CheckpointId(1),
            epoch=epoch,
            is_claim=True,
            application=self._plan.name,
            outline=list(outline(self._plan)),
            members=list(self._workers),
            partition_maps=[],
            workers={},
            file_lengths={},
            taken_unix_s=self._ports.wall_clock(),
            duration_s=0.0,
            shapes=self._shapes,
        )

    async def _check_plan(self, base: Manifest) -> None:
        saved, current = base.outline, list(outline(self._plan))
        if saved != current:
            # If the numbers of partitions differ, each worker looks for its keys in all parts.
            saved, current = map(without_partition_counts, (saved, current))
        # The gate decides whether the class of a state may have changed.
        apart = self._gate.may_differ()
        if without_classes(saved, apart) == without_classes(current, apart):
            self._report_other_partitions(base)
            return
        if self._rules.allow_dropped_state:
            if what := displaced(saved, current):
                raise ConfigError(
                    f"checkpoint {base.number} is of another application: {what}",
                    hint="leave pipelines and file sinks where they were; put others behind them, "
                    "and leave out only the last ones",
                )
            values = {"next": "states are taken over by their names"}
            self._ports.warn("checkpoint.plan_changed", values)
            self._report_dropped(base)
            await self._gate.report_dropped_records(base)
            return
        what = difference(saved, current)
        raise ConfigError(
            f"checkpoint {base.number} is of another application: {what}",
            hint="run the application that it was taken of, or give --allow-dropped-state to take "
            "over the states that still have their names and drop the others",
        )

    def _report_other_partitions(self, base: Manifest) -> None:
        before = {each.space: each for each in map(PartitionMap.from_wire, base.partition_maps)}
        for state in self._plan.states.values():
            known = before.get(state.space)
            if known and known.hashed_partition_count != state.hashed_partition_count:
                values = {
                    "state": state.name,
                    "before": known.hashed_partition_count,
                    "partition_count": state.hashed_partition_count,
                    "next": "each worker looks for its keys in all parts of the checkpoint",
                }
                self._ports.info("state.repartitioned", values)

    def _report_dropped(self, base: Manifest) -> None:
        sinks = [
            index for index, sink in enumerate(self._plan.sinks) if sink.promise is Promise.OUTBOX
        ]
        dropped = [batch for batch in base.outbox() if batch.sink not in sinks]
        if dropped:
            values = {
                "sinks": sorted({batch.sink for batch in dropped}),
                "record_count": sum(batch.record_count for batch in dropped),
                "hint": "to deliver them, run the application that has these sinks first",
                "next": "they are not delivered, unless they have been already",
            }
            self._ports.warn("sink.results_dropped", values)

    def _maps(self, base: Manifest) -> list[PartitionMap]:
        """Return maps that go on from those of a checkpoint, with one assignment for each space."""
        before = {each.space: each for each in map(PartitionMap.from_wire, base.partition_maps)}
        maps: list[PartitionMap] = []
        for fresh in initial_maps(self._plan, self._workers):
            known = before.get(fresh.space)
            is_alike = known is not None and (
                known.hashed_partition_count == fresh.hashed_partition_count
                and known.declared_keys == fresh.declared_keys
            )
            maps.append(
                known.rebalance(self._workers).of_state(fresh.state)
                if known and is_alike
                else fresh
            )
        return maps

    # Manifests

    async def write(self, order: WriteManifest) -> ManifestWritten | ManifestNotWritten:
        """Commit a checkpoint that all workers have saved; return the outcome.

        Raises ``FencedError`` if another run has taken these checkpoints over.
        """
        return await self._write(self._manifest(order))

    async def settle(self, order: SettleManifest) -> ManifestWritten | ManifestNotWritten:
        """Commit the last checkpoint once more: now its output is published and delivered.

        Raises ``FencedError`` as ``write`` does.
        """
        workers = {
            name: replace(share, staged=[], outbox=[], prepared=[])
            for name, share in self._latest.workers.items()
        }
        manifest = replace(
            self._latest,
            number=CheckpointId(self._latest.number + 1),
            epoch=order.epoch,
            base=self._latest.number,
            workers=workers,
            file_lengths=self._lengths_after(self._latest),
        )
        return await self._write(manifest)

    async def _write(self, manifest: Manifest) -> ManifestWritten | ManifestNotWritten:
        is_unknown = False
        while True:
            try:
                self._latest = await self._log.commit(manifest)
                break
            except StoreError as error:
                if error.is_refusal and not is_unknown:
                    return ManifestNotWritten(error.what, error.hint)
                # It may be committed or not. Nothing else can be decided until that is known.
                is_unknown = True
                values = {"reason": error.what, "next": "asks the store again"}
                self._ports.warn("checkpoint.outcome_unknown", values)
                await self._ports.pause(AGAIN_S)
        await self._publish(self._latest)
        await self._discard_of_lost()
        latest, oldest = self._latest, await self._prune()
        journals, cuts = latest.journal_positions(), latest.outbox_cuts()
        has_prepared = any(share.prepared for share in latest.workers.values())
        return ManifestWritten(latest.number, oldest, tuple(journals), tuple(cuts), has_prepared)

    async def _prune(self) -> int:
        """Delete what is not kept; return the number of the oldest manifest that is kept."""
        try:
            await self._log.prune(self._rules.keep)
            kept = await self._log.retained(self._rules.keep)
        except (StoreError, DamagedFileError) as error:
            again = "tries again after the next checkpoint"
            if error.what != self._not_pruned:
                values = {"reason": error.what, "hint": error.hint, "next": again}
                self._ports.warn("checkpoint.prune_failed", values)
            self._not_pruned = error.what
            return 0
        self._not_pruned = ""
        return min((each.number for each in kept), default=0)

    def _manifest(self, order: WriteManifest) -> Manifest:
        contents = [WorkerCheckpoint.from_wire(content) for content in order.contents.values()]
        return replace(
            self._latest,
            number=CheckpointId(self._latest.number + 1),
            epoch=order.epoch,
            is_claim=False,
            base=self._latest.number,
            shapes=self._shapes,
            outline=list(outline(self._plan)),
            members=list(self._workers),
            partition_maps=[each.to_wire() for each in self._partition_maps],
            workers={each.worker: each for each in contents},
            file_lengths=self._lengths_after(self._latest),
            taken_unix_s=self._ports.wall_clock(),
            duration_s=self._ports.clock() - self._round_started_s,
        )

    # Output in files

    def _lengths_after(self, manifest: Manifest) -> dict[int, int]:
        """Return the length of each file sink's file once the manifest's output is appended."""
        # Without dropped sinks: a sink that is added later may get their index.
        lengths = {sink: manifest.file_lengths.get(sink, 0) for sink in self._staged_sinks}
        for worker in manifest.workers.values():
            for part in worker.staged:
                if part.sink in lengths:
                    lengths[part.sink] += part.byte_count
        return lengths

    async def _publish(self, manifest: Manifest) -> None:
        """Append the committed output to each file, exactly once even if this is called again.

        Does not return before that is done, because the next checkpoint's output comes after it.
        """
        for sink in self._staged_sinks:
            # In the order of their barriers: a key may have moved to another worker in between.
            staged = [part for worker in manifest.workers.values() for part in worker.staged]
            staged.sort(key=lambda part: part.cut)
            parts = [StagedPart(part.name, part.byte_count) for part in staged if part.sink == sink]
            length_before = manifest.file_lengths.get(sink, 0)
            while True:
                try:
                    await self._ports.commit_output(sink, length_before, parts)
                    break
                except OSError as error:
                    values = {
                        "path": self._ports.output_path(sink),
                        "reason": str(error),
                        "hint": "free disk space, or grant permission to write there",
                        "next": "tries again; no further checkpoint is taken until then",
                    }
                    self._ports.warn("sink.commit_failed", values)
                    await self._ports.pause(AGAIN_S)

    async def _discard_of_lost(self) -> None:
        """Delete what lost workers have staged for checkpoints that were never committed."""
        # Only after a commit: the manifest that was being written at the loss may name it.
        stages, self._ended_stages = self._ended_stages, []
        for stage in stages:
            for sink in self._staged_sinks:
                try:
                    await self._ports.discard_output(sink, stage)
                except OSError as error:
                    values = {"path": self._ports.output_path(sink), "reason": str(error)}
                    self._ports.warn("sink.cleanup_failed", values)


def initial_maps(plan: Application, workers: tuple[WorkerName, ...]) -> list[PartitionMap]:
    """Return the partition maps of a start without a checkpoint."""
    return [
        PartitionMap.initial(
            state.name,
            state.hashed_partition_count,
            state.declared_keys,
            workers,
            state.shared_space,
        )
        for state in plan.states.values()
    ]
