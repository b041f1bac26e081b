"""What this worker's sources read, written down before it is processed, and how far that has come.

A TCP sender cannot be asked to repeat. What was read from it stands in the journal of the worker
that read it; after a failure the journal is replayed from where the last checkpoint was.
"""

from collections.abc import Iterable
from typing import Protocol

from wallaroo.checkpoint.journal import Entry, JournalExtent, cut_offset, is_older
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import StoreError


class JournalWriter(Protocol):
    """Appends to the journal of one life of one worker; all methods raise ``StoreError``."""

    @property
    def name(self) -> str:
        """The journal's."""
        ...

    @property
    def offset(self) -> int:
        """Where the next entry will begin, but for the header of a new segment."""
        ...

    def append(self, pipeline: int, record_count: int, frames: bytes) -> int:
        """Write an entry of whole frames; return its offset. One that fails leaves no trace."""
        ...

    def sync(self) -> None:
        """Make durable what was appended, if that is what was chosen."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class ReachedJournals(Protocol):
    """What there is of journals, as far as a process can reach it."""

    @property
    def location(self) -> str:
        """The folder's path, for messages."""
        ...

    def extents(self) -> list[JournalExtent]:
        """Return how much there is of each journal that has any file; raises ``StoreError``."""
        ...


class JournalFolder(ReachedJournals, Protocol):
    """All journals that this worker can reach; methods raise ``StoreError``."""

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        """Return what is to be replayed from a position on; also raises ``DamagedFileError``."""
        ...

    def cut(self, journal: str, offset: int | None) -> bool:
        """Delete what stands before ``offset``, as far as that frees space; ``None``: all.

        Says whether there was such a journal, or what another attempt had left of it.
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
        """By manifest: the positions that this process saved."""

    @property
    def name(self) -> str:
        """The journal that is written."""
        return self._writer.name

    def append(self, pipeline: int, record_count: int, frames: bytes) -> int:
        """Write down what was read; return its offset. Raises ``StoreError``."""
        offset = self._writer.append(pipeline, record_count, frames)
        self._progress.appended(offset, self._writer.offset, record_count)
        return offset

    def took(self, offset: int, record_count: int) -> None:
        """So many records of the entry at ``offset`` are taken into processing."""
        self._progress.took(offset, record_count)

    def sync(self) -> None:
        """Make durable what was appended, where that was asked for. Raises ``StoreError``."""
        self._writer.sync()

    def close(self) -> None:
        """Write no more."""
        self._writer.close()

    def go_back(self, positions: list[JournalPosition]) -> dict[str, JournalProgress]:
        """Begin anew at these positions, one for each journal to replay; return their progress."""
        self._saving = []
        self._saved.clear()
        progress = {
            each.journal: JournalProgress(each.journal, each.offset, each.done, each.end)
            for each in positions
        }
        self._progress = progress.get(self.name, JournalProgress(self.name, self._writer.offset))
        self._older = {name: one for name, one in progress.items() if name != self.name}
        return progress

    def legacy(self, *, is_closed: bool = False) -> list[JournalPosition]:
        """Return where each journal is; nothing of any of them waits to be processed.

        ``is_closed`` says that this worker adds nothing more to its own.
        """
        older = (one.position(is_closed=one.end is not None) for one in self._older.values())
        return [self._progress.position(is_closed=is_closed), *older]

    def inherit(self, positions: list[JournalPosition]) -> None:
        """Look after journals that are processed whole, and whose writer has left."""
        for each in positions:
            progress = JournalProgress(each.journal, each.offset, each.done)
            progress.ended()
            self._older[each.journal] = progress

    # Checkpoints

    def positions(self, *, is_closed: bool = False) -> list[JournalPosition]:
        """Return where each journal is, for the checkpoint that begins; see ``legacy``."""
        self._saving = self.legacy(is_closed=is_closed)
        return self._saving

    def committed(self, number: int, oldest_number: int) -> None:
        """What ``positions`` gave last stands in a manifest: delete what no kept one needs.

        What cannot be deleted is tried again with the next one; raises the first ``StoreError``.
        """
        self._saved[number] = self._saving
        if oldest_number not in self._saved:
            return  # of an earlier life of this worker: what it needs is not known here
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
            return  # what an older checkpoint needs of it, its writer knew, who has left
        if name == self.name or not all(each.is_finished for each in named):
            self.folder.cut(name, cut_offset(name, kept))
            return
        # All of it was processed before the oldest checkpoint that is kept, and all that are kept
        # say so: a run that goes back to one of them does not look for it. It is named until it is
        # gone: without a name it could be taken for a newer one. If its writer's host has a folder
        # of its own, it stays there, and its name here.
        if self.folder.cut(name, None) or is_older(name, self.name):
            del self._older[name]
