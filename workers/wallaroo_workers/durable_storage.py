"""What outlives a worker process: the store of checkpoints, and journals."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from wallaroo.checkpoint.journal import Entry
from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.checkpoint.patience import PatientStore
from wallaroo.checkpoint.share_writer import Limits
from wallaroo.worker.ports import DurableStorage
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.storage.journal_extents import FoundJournals
from wallaroo_workers.storage.journal_files import (
    JournalReader,
    JournalSync,
    JournalWriter,
    cut_journal,
    sync_journal,
)
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

log = get_logger()


class JournalFolder(FoundJournals):
    """The journals of all workers on this host."""

    def __init__(self, folder: Path, sync: JournalSync) -> None:
        super().__init__(folder)
        self._sync = sync

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        """Yield the entries to replay from a position on."""
        if self._sync != "os":
            # A process that was lost may not have done it, and what follows from an entry must
            # not outlive the entry.
            sync_journal(self.folder, position.journal)
        return JournalReader(self.folder, position)

    def cut(self, journal: str, offset: int | None) -> bool:
        """Delete segments before ``offset``; with ``None`` the whole journal, if it is here."""
        is_here = (self.folder / journal).is_dir()
        cut_journal(self.folder, journal, offset)
        return is_here


def open_durable(settings: WorkerSettings) -> DurableStorage | None:
    """Return the storage of the settings; ``None`` if checkpoints are off."""
    options = settings.options
    if not options.resilience:
        return None
    folder = Path(options.journal_folder)
    writer = JournalWriter(folder, settings.name, settings.incarnation, options.journal_sync)
    store = open_store(options.resilience)
    patient = PatientStore(
        store,
        asyncio.sleep,
        time.monotonic,
        lambda event, values: log.info(event, **values),
        options.store_timeout_s,
    )
    return DurableStorage(
        store=store,
        manifests=ManifestLog(patient),
        journal=Journal(JournalFolder(folder, options.journal_sync), writer),
        pause=asyncio.sleep,
        limits=Limits(),
    )
