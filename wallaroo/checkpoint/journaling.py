"""Writes what this worker's sources read before it is processed, and keeps track of progress.

A TCP sender cannot be asked to send again. What was read from it is in the journal of the worker
that read it. After a failure the journal is replayed from the position in the last checkpoint.
"""

from collections.abc import Iterable
from typing import Protocol

from wallaroo.checkpoint.journal import Entry, EntryOrigin, JournalExtent, cut_offset, is_older
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import StoreError


class JournalWriter(Protocol):
    """Appends to the journal of one process of a worker; all methods raise ``StoreError``."""

    @property
    def name(self) -> str:
        """The name of the journal."""
        ...

    @property
    def offset(self) -> int:
        """Where the next entry will begin, unless a new segment adds its header first."""
        ...

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        """Write an entry of whole frames; return its offset. A failed write leaves no trace."""
        ...

    def sync(self) -> None:
        """Make durable what was appended, if that was chosen."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class ReachedJournals(Protocol):
    """The journals that a process can reach."""

    @property
    def location(self) -> str:
        """The folder's path, for messages."""
        ...

    def extents(self) -> list[JournalExtent]:
        """Return how much exists of each journal that has any file; raises ``StoreError``."""
        ...


class JournalFolder(ReachedJournals, Protocol):
    """All journals that this worker can reach; methods raise ``StoreError``."""

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        """Return the entries to replay from a position on; also raises ``DamagedFileError``."""
        ...

    def cut(self, journal: str, offset: int | None) -> bool:
        """Delete whole segments before ``offset``; with ``None`` delete the journal.

        Returns whether any file of the journal existed.
        """
        ...


class Journal:
    """The journal that this process writes, and older ones that it replays."""

    def __init__(self, folder: JournalFolder, writer: JournalWriter) -> None:
        self.folder = folder
        self._writer = writer
        self._progress = JournalProgress(self.name)
        self._older: dict[str, JournalProgress] = {}
        self._saving: list[JournalPosition] = []
        self._saved: dict[int, list[JournalPosition]] = {}
        """The positions that this process saved, by manifest."""

    @property
    def name(self) -> str:
        """The journal that is written."""
        return self._writer.name

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        """Append what was read; return its offset. Raises ``StoreError``."""
        offset = self._writer.append(pipeline, record_count, frames, origin)
        self._progress.appended(offset, self._writer.offset, record_count)
        return offset

    def mark_taken(self, offset: int, record_count: int) -> None:
        """Note that this many records of the entry at ``offset`` are taken into processing."""
        self._progress.mark_taken(offset, record_count)

    def sync(self) -> None:
        """Make durable what was appended, if that was chosen. Raises ``StoreError``."""
        self._writer.sync()

    def close(self) -> None:
        """Write no more."""
        self._writer.close()

    def go_back(self, positions: list[JournalPosition]) -> dict[str, JournalProgress]:
        """Go back to these positions, one for each journal to replay; return their progress."""
        self._saving = []
        self._saved.clear()
        progress = {
            each.journal: JournalProgress(each.journal, each.offset, each.done, each.end)
            for each in positions
        }
        self._progress = progress.get(self.name, JournalProgress(self.name, self._writer.offset))
        self._older = {name: one for name, one in progress.items() if name != self.name}
        return progress

    def current_positions(self, *, is_closed: bool = False) -> list[JournalPosition]:
        """Return the position of each journal.

        ``is_closed`` says that this worker adds nothing more to its own.
        """
        older = (one.position(is_closed=one.end is not None) for one in self._older.values())
        return [self._progress.position(is_closed=is_closed), *older]

    def inherit(self, positions: list[JournalPosition]) -> None:
        """Take over journals that are completely processed and whose writer has left."""
        for each in positions:
            progress = JournalProgress(each.journal, each.offset, each.done)
            progress.mark_complete()
            self._older[each.journal] = progress

    # Checkpoints

    def positions(self, *, is_closed: bool = False) -> list[JournalPosition]:
        """Return the position of each journal, for the checkpoint that begins."""
        self._saving = self.current_positions(is_closed=is_closed)
        return self._saving

    def committed(self, number: int, oldest_number: int) -> None:
        """Delete what no retained manifest needs: the last ``positions`` are committed.

        What cannot be deleted is tried again at the next commit; raises the first ``StoreError``.
        """
        self._saved[number] = self._saving
        if oldest_number not in self._saved:
            return  # an earlier process of this worker saved it: what it needs is not known here
        self._saved = {one: kept for one, kept in self._saved.items() if one >= oldest_number}
        kept = list(self._saved.values())
        problems: list[StoreError] = []
        for name in (self.name, *self._older):
            try:
                self._cut(name, kept)
            except StoreError as error:
                problems.append(error)
        if problems:
            raise problems[0]

    def _cut(self, name: str, kept: list[list[JournalPosition]]) -> None:
        named = [each for positions in kept for each in positions if each.journal == name]
        if len(named) < len(kept):
            return  # only its writer, which has left, knew what an older checkpoint needs of it
        if name == self.name or not all(each.is_finished for each in named):
            self.folder.cut(name, cut_offset(name, kept))
            return
        # All of it was processed before the oldest retained checkpoint, and all retained ones say
        # so: a run that goes back to one of them does not look for it. Checkpoints name it until it
        # is deleted, because a journal without a name could be taken for a newer one. If it is in
        # the folder of its writer's host only, it cannot be deleted here and stays named.
        if self.folder.cut(name, None) or is_older(name, self.name):
            del self._older[name]
