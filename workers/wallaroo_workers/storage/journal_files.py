"""Journals on the local disk: written while records are accepted, read again after a crash.

``wallaroo/checkpoint/journal.py`` describes the layout: a folder for each journal, with segment
files that are named after the offset of their first byte.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from wallaroo.checkpoint.blocks import HEADER_BYTES, Buffer, encode_block_head
from wallaroo.checkpoint.journal import (
    SEGMENT_HEADER,
    Entry,
    EntryOrigin,
    covered_segments,
    encode_entry_head,
    journal_name,
    parse_journal_name,
    parse_segment_name,
    segment_name,
)
from wallaroo.checkpoint.journal_reading import READ_BYTES, EntryReader
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError, StoreError
from wallaroo_workers.forks import ours
from wallaroo_workers.storage.failures import disk_error
from wallaroo_workers.storage.files import make_folder, sync_folder

SEGMENT_BYTES = 32 << 20
"""The size at which a new segment is started; disk space is freed one segment at a time."""

_READ_BYTES = READ_BYTES

JournalSync = Literal["os", "batch", "always"]
"""When entries become durable: when the system writes them, at ``sync``, or at each append."""


class JournalWriter:
    """Creates the journal of one worker in one epoch, which must not exist, and appends to it.

    Raises ``StoreError`` if the disk fails. A failed ``append`` leaves no trace, and the next one
    continues with a valid journal. After a failed ``sync`` nothing can be appended any more,
    because the system forgets data that it could not write.
    """

    def __init__(
        self,
        folder: Path,
        worker: str,
        epoch: int,
        sync: JournalSync,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.name = journal_name(worker, epoch)
        self.offset = 0
        """Where the next entry will begin, but for the header of a new segment."""
        self._folder = folder / self.name
        self._sync: JournalSync = sync
        self._segment_bytes = segment_bytes
        self._first = 0
        self._file = -1
        self._is_dirty = False
        self._is_torn = False
        self._failure: StoreError | None = None
        try:
            make_folder(self._folder)
            if segments_of(self._folder):
                raise FileExistsError
            self._begin_segment()
            # The first checkpoint names the journal, with or without an entry in it.
            os.fdatasync(self._file)
        except FileExistsError as error:
            raise StoreError(
                f"the journal {self._folder} is there already",
                "another wallaroo-run uses this folder; run only one at a time",
                is_refusal=True,
            ) from error
        except OSError as error:
            raise disk_error(error, f"make the journal {self._folder}") from error

    def append(
        self,
        pipeline: int,
        record_count: int,
        frames: Buffer,
        origin: EntryOrigin | None = None,
    ) -> int:
        """Write an entry of whole `frames` with their headers; return its offset."""
        self._check()
        try:
            if self._is_torn:
                self._cut_torn_entry()
            if self.offset - self._first >= self._segment_bytes:
                self._begin_next_segment()
            entry_head = encode_entry_head(pipeline, record_count, origin)
            head = encode_block_head(entry_head, frames)
            offset = self.offset
            self._is_torn = True
            self.offset += self._write(head + entry_head, frames)
            self._is_torn = False
        except OSError as error:
            self._try_to_cut()
            raise disk_error(error, f"write to the journal {self._folder}") from error
        self._is_dirty = True
        if self._sync == "always":
            self._make_durable()
        return offset

    def sync(self) -> None:
        """Make durable what was appended, if that is what was chosen; call before acting on it."""
        if self._sync != "os" and self._is_dirty:
            self._check()
            self._make_durable()

    def cut(self, position: JournalPosition) -> int:
        """Delete the segments that hold only entries before `position`; return how many."""
        return cut_journal(self._folder.parent, self.name, position.offset)

    def close(self) -> None:
        """Make durable what ``sync`` would, and close the file."""
        if self._file >= 0:
            try:
                if self._failure is None:
                    self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._file < 0:
            raise ValueError(f"the journal {self._folder} is closed")

    def _begin_segment(self) -> None:
        path = self._folder / segment_name(self.offset)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = ours(os.open(path, flags, 0o600))
        try:
            _write_all(file, SEGMENT_HEADER)
            if self._sync != "os":
                sync_folder(self._folder)
        except OSError:
            os.close(file)
            path.unlink()
            raise
        self._file, self._first = file, self.offset
        self.offset += HEADER_BYTES

    def _begin_next_segment(self) -> None:
        full = self._file
        if self._sync != "os":
            self._make_durable()
        self._begin_segment()
        os.close(full)

    def _write(self, head: bytes, frames: Buffer) -> int:
        """Write all of an entry; return how many bytes."""
        length = len(head) + len(frames)
        written = os.writev(self._file, [head, frames])
        if written < length:  # the disk is nearly full, or these are more than 2 GiB
            _write_all(self._file, b"".join((head, frames))[written:])
        return length

    def _cut_torn_entry(self) -> None:
        os.ftruncate(self._file, self.offset - self._first)
        self._is_torn = False

    def _try_to_cut(self) -> None:
        try:
            if self._is_torn:
                self._cut_torn_entry()
        except OSError:
            pass  # tried again before the next entry

    def _make_durable(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            problem = disk_error(error, f"make the journal {self._folder} durable")
            self._failure = StoreError(problem.what, problem.hint)
            raise self._failure from error
        self._is_dirty = False


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """A journal on this disk."""

    name: str
    worker: str
    epoch: int
    segments: tuple[int, ...]
    """Offsets at which its segment files begin, ascending."""
    byte_count: int


def list_journals(folder: Path) -> list[JournalInfo]:
    """Return the journals in `folder`, by worker and epoch; none if there is no such folder.

    Segments that somebody deletes meanwhile are left out.
    """
    found: list[JournalInfo] = []
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            parsed = parse_journal_name(path.name)
            if parsed is not None and path.is_dir():
                sizes: dict[int, int] = {}
                for first in segments_of(path):
                    with contextlib.suppress(FileNotFoundError):
                        sizes[first] = (path / segment_name(first)).stat().st_size
                found.append(JournalInfo(path.name, *parsed, tuple(sizes), sum(sizes.values())))
    except OSError as error:
        raise disk_error(error, f"list the journals in {folder}") from error
    return sorted(found, key=lambda journal: (journal.worker, journal.epoch))


def cut_journal(folder: Path, journal: str, offset: int | None) -> int:
    """Delete the segments that hold only what stands before `offset`; return how many.

    The last one stays, whatever it holds; ``None`` deletes the journal with all its segments.
    """
    path = folder / journal
    try:
        segments = segments_of(path)
        doomed = segments if offset is None else covered_segments(segments, offset)
        # Oldest first, so that a crash in between leaves a journal without a gap.
        for first in doomed:
            (path / segment_name(first)).unlink(missing_ok=True)
        if offset is None and path.is_dir():
            path.rmdir()
    except OSError as error:
        raise disk_error(error, f"cut the journal {path}") from error
    return len(doomed)


def sync_journal(folder: Path, journal: str) -> None:
    """Make durable what is in `journal`, whose writer may have ended before it did that."""
    path = folder / journal
    try:
        for first in segments_of(path):
            file = os.open(path / segment_name(first), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        sync_folder(path)
    except OSError as error:
        raise disk_error(error, f"make the journal {path} durable") from error


class SegmentFiles:
    """The files of one journal in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.folder = str(folder)

    def firsts(self) -> list[int]:
        """Return the offsets at which segments begin, ascending."""
        return segments_of(self._folder)

    def path(self, first: int) -> str:
        """Return where a segment is."""
        return str(self._folder / segment_name(first))

    def open(self, first: int) -> BinaryIO:
        """Open a segment for reading."""
        return (self._folder / segment_name(first)).open("rb", buffering=0)


class JournalReader:
    """Goes through the entries of a journal from a position on; see ``__iter__``."""

    def __init__(self, folder: Path, position: JournalPosition) -> None:
        self._folder = folder / position.journal
        self._entries = EntryReader(SegmentFiles(self._folder), position, _READ_BYTES)

    @property
    def torn_bytes(self) -> int:
        """How many bytes of an unfinished entry the journal ends with, known at the end."""
        return self._entries.torn_bytes

    def __iter__(self) -> Iterator[Entry]:
        """Yield what is still to be processed, in order; little more than an entry is in memory.

        Raises what ``EntryReader`` raises, and ``StoreError`` if the disk cannot be read.
        """
        try:
            yield from self._entries
        except DamagedFileError as error:
            raise DamagedFileError(
                error.file, error.offset, error.damage, error.hint or _way_on(error)
            ) from error
        except OSError as error:
            raise disk_error(error, f"read the journal {self._folder}") from error


def _way_on(error: DamagedFileError) -> str:
    return (
        "restore the file from a copy; or, to give up what was read and not processed from there "
        f"on, run: truncate --size={error.offset} {error.file}, delete this journal's later files, "
        "and start with --allow-lost-input"
    )


def segments_of(folder: Path) -> list[int]:
    """Return where the segments of a journal begin, ascending; none if there is no journal."""
    try:
        firsts = [parse_segment_name(path.name) for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(first for first in firsts if first is not None)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
