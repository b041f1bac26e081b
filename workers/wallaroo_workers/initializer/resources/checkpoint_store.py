"""The checkpoints of one run, in the store and on the disks that its settings name."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wallaroo.checkpoint.manifest import MANIFEST_FOLDER, PART_FOLDER
from wallaroo.checkpoint.patience import PatientStore
from wallaroo.connectors.file import StagedPart
from wallaroo.coordinator.manifest_writer import (
    CheckpointPorts,
    ManifestWriter,
    Rules,
    StartingPoint,
)
from wallaroo.errors import FencedError
from wallaroo.names import WorkerName
from wallaroo.topology.plan import Application
from wallaroo_workers.initializer.resources.store_ownership import Ownership
from wallaroo_workers.initializer.run_log import log_announced
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.staged import commit_staged, discard_staged
from wallaroo_workers.storage.journal_extents import FoundJournals
from wallaroo_workers.storage.journal_files import cut_journal, list_journals
from wallaroo_workers.storage.journal_place import claim_folder
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """The options of ``wallaroo-run`` about checkpoints."""

    location: str
    """A directory or a URL."""
    journal_folder: str
    folder: str
    """The folder in which relative paths of file sinks start."""
    interval_s: float = 1.0
    interval_s_per_worker: float = 0.0
    """The interval is at least so long for each worker."""
    keep: int = 3
    failures_max: int | None = None
    from_checkpoint: int | None = None
    allow_dropped_state: bool = False
    takes_over: bool = False
    """Whether to end another run that owns the store, instead of refusing to start."""
    store_timeout_s: float = 60.0
    """How long the start waits for a store that cannot be reached."""
    allow_lost_input: bool = False
    allow_changed_state: bool = False


class KeptCheckpoints(ManifestWriter):
    """Writes manifests to the store that the settings name."""

    def __init__(
        self, settings: CheckpointSettings, plan: Application, workers: tuple[WorkerName, ...] = ()
    ) -> None:
        self._settings = settings
        self._store = open_store(settings.location)
        self.ownership = Ownership(
            settings.location,
            plan.name,
            takes_over=settings.takes_over,
            store_timeout_s=settings.store_timeout_s,
        )
        self._patient = PatientStore(
            self._store,
            asyncio.sleep,
            time.monotonic,
            lambda event, values: log.info(event, **values),
            settings.store_timeout_s,
        )
        rules = Rules(
            keep=settings.keep,
            from_checkpoint=settings.from_checkpoint,
            allow_dropped_state=settings.allow_dropped_state,
            allow_lost_input=settings.allow_lost_input,
            allow_changed_state=settings.allow_changed_state,
        )
        ports = CheckpointPorts(
            log=ManifestLog(self._patient),
            journal_epochs=self._journal_epochs,
            journals=FoundJournals(Path(settings.journal_folder)),
            commit_output=self._commit_output,
            discard_output=self._discard_output,
            output_path=lambda sink: self._paths[sink],
            pause=asyncio.sleep,
            clock=time.monotonic,
            wall_clock=time.time,
            info=lambda event, values: log.info(event, **values),
            warn=lambda event, values: log.warning(event, **values),
            announce=log_announced,
        )
        super().__init__(rules, ports, plan, workers)
        self._paths = {
            index: str(Path(settings.folder) / sink.path)
            for index, sink in enumerate(plan.sinks)
            if sink.path is not None
        }
        """The files that sinks write, by the position of the sink in the plan."""

    async def before_claim(self) -> None:
        """Take the store over, if this was requested."""
        await self.ownership.take_over()

    async def begin(self) -> StartingPoint:
        """Claim the folder and the store; remove what crashed writers left unfinished."""
        settings = self._settings
        folder = Path(settings.journal_folder)
        await asyncio.to_thread(claim_folder, folder, settings.location)
        starting_point = await super().begin()
        self._patient.stop_waiting()
        await self._store.remove_unfinished()
        return starting_point

    def _journal_epochs(self) -> list[int]:
        return [journal.epoch for journal in list_journals(Path(self._settings.journal_folder))]

    async def _commit_output(
        self, sink: int, length_before: int, parts: Sequence[StagedPart]
    ) -> None:
        await asyncio.to_thread(commit_staged, self._paths[sink], length_before, parts)

    async def _discard_output(self, sink: int, stage: str) -> None:
        await asyncio.to_thread(discard_staged, self._paths[sink], stage=stage)

    async def discard_all(self) -> dict[str, int]:
        """Delete all checkpoints, journals and staged output; every process has ended in order.

        Returns the numbers of deleted objects. Raises ``FencedError`` if another run has taken
        over, and the errors of the store and the disk.
        """
        newest = await self._log.latest()
        if newest is None or newest.number != self.latest.number:
            raise FencedError("another run goes on with these checkpoints; nothing was deleted")
        folder = Path(self._settings.journal_folder)
        # In this order, a crash in between leaves no checkpoint whose parts are missing.
        journals = [journal.name for journal in await asyncio.to_thread(list_journals, folder)]
        for name in journals:
            await asyncio.to_thread(cut_journal, folder, name, None)
        counts = {"journals": len(journals)}
        for kind, prefix in (("manifests", MANIFEST_FOLDER), ("parts", PART_FOLDER)):
            names = [each.name for each in await self._store.list(prefix.rstrip("/"))]
            await self._store.delete(reversed(names))
            counts[kind] = len(names)
        self.discard_staged()
        self.ownership.discarded()
        return counts

    def discard_staged(self) -> None:
        """Delete staged output that no checkpoint names; called while no worker runs."""
        for path in self._paths.values():
            discard_staged(path)
