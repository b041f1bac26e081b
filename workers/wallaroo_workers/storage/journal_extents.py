"""How much of each journal exists, as workers report it when they join."""

import contextlib
import os
from pathlib import Path

from wallaroo.checkpoint.blocks import BLOCK_HEAD_BYTES
from wallaroo.checkpoint.journal import JournalExtent, segment_name
from wallaroo.checkpoint.journal_reading import EntryReader
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError
from wallaroo_workers.storage.failures import disk_error
from wallaroo_workers.storage.journal_files import SegmentFiles, list_journals, segments_of


def journal_extents(folder: Path) -> list[JournalExtent]:
    """Return how much there is of each journal in `folder` that has any file, by name.

    Looks at lengths, not at what is in the files, except that zeros at the end are left out. If
    there is a gap, what is before it does not count.
    """
    extents = (_extent(folder, each.name) for each in list_journals(folder))
    return [each for each in extents if each is not None]


class FoundJournals:
    """The journals that exist in a folder of this host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self.folder.absolute())

    def extents(self) -> list[JournalExtent]:
        """Return how much there is of each journal.

        Without a file it is none: its writer was gone before it could begin, or all of it was cut.
        """
        return journal_extents(self.folder)


def _extent(folder: Path, journal: str) -> JournalExtent | None:
    begin = last = end = -1
    try:
        for first in segments_of(folder / journal):
            with contextlib.suppress(FileNotFoundError):
                size = (folder / journal / segment_name(first)).stat().st_size
                begin = begin if first == end else first
                last, end = first, first + size
        if end < 0:
            return None
        if _ends_with_zeros(folder / journal / segment_name(last)):
            end = _whole_end(folder, journal, last, end)
    except OSError as error:
        raise disk_error(error, f"read the journal {folder / journal}") from error
    return JournalExtent(journal, begin, last, end)


def _ends_with_zeros(path: Path) -> bool:
    """Return whether a file ends as if a system had lengthened it and then lost what was in it.

    Fewer zeros than the head of an entry may be the end of a payload, and so may more.
    """
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(length - BLOCK_HEAD_BYTES, 0))
        tail = file.read()
        return bool(tail) and not tail.strip(b"\0")
    return False


def _whole_end(folder: Path, journal: str, last: int, end: int) -> int:
    """Return where the last whole entry ends, in the segment that begins at `last`."""
    entries = EntryReader(SegmentFiles(folder / journal), JournalPosition(journal, last, {}))
    try:
        for _ in entries:
            pass
    except (DamagedFileError, FileNotFoundError):
        return end  # it is damaged in another way, which a replay will find, or not needed
    return entries.end
