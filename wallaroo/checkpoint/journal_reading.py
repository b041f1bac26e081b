"""Reads the segments of a journal, and distinguishes a torn last entry from damage."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from wallaroo.checkpoint.blocks import HEADER_BYTES, BlockReader, FileKind, check_header
from wallaroo.checkpoint.journal import Entry, decode_entry
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError

READ_BYTES = 1 << 20


class OpenSegment(Protocol):
    """The bytes of a segment, as an open file."""

    def read(self, byte_count: int, /) -> bytes:
        """Return the next bytes, ``b""`` at the end."""
        ...

    def seek(self, offset: int, /) -> int:
        """Continue reading at this offset of the file."""
        ...


class Segments(Protocol):
    """The files of one journal."""

    @property
    def folder(self) -> str:
        """The path of their folder, for messages."""
        ...

    def firsts(self) -> list[int]:
        """Return the offsets of the segments, ascending."""
        ...

    def path(self, first: int) -> str:
        """Return the path of the segment that begins at ``first``, for messages."""
        ...

    def open(self, first: int) -> AbstractContextManager[OpenSegment]:
        """Open a segment for reading."""
        ...


class EntryReader:
    """The entries of one journal from a position on; see ``__iter__``."""

    def __init__(
        self, segments: Segments, position: JournalPosition, read_bytes: int = READ_BYTES
    ) -> None:
        self._segments = segments
        self._position = position
        self._read_bytes = read_bytes
        self.torn_bytes = 0
        """Bytes of an unfinished entry at the end of the journal; known after the iteration."""
        self.end = 0
        """Where its last whole entry ends; known after the iteration."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries still to be processed, in order; holds little more than one in memory.

        Raises ``DamagedFileError`` if a check does not match, or a segment is missing or foreign,
        or ends within an entry although another segment follows. If the error has no hint, the
        choices are to restore the file or to give up what follows its offset.
        """
        firsts = self._from_position()
        for first, following in zip(firsts, [*firsts[1:], None], strict=True):
            yield from self._read_segment(first, following)

    def _from_position(self) -> list[int]:
        firsts = self._segments.firsts()
        offset = self._position.offset
        earlier = [first for first in firsts if first <= offset]
        if not earlier:
            raise DamagedFileError(
                self._segments.folder,
                offset,
                "the journal's file that has this offset is missing",
                "bring the folder of journals back as it was; without it what was read and not "
                "processed is lost",
            )
        return firsts[len(earlier) - 1 :]

    def _read_segment(self, first: int, following: int | None) -> Iterator[Entry]:
        path = self._segments.path(first)
        with self._segments.open(first) as file:
            header = file.read(HEADER_BYTES)
            if following is None and (torn := _unwritten_header(header, file)) is not None:
                self.torn_bytes, self.end = torn, first
                self._check_named(path, first)
                return
            check_header(header, FileKind.JOURNAL, path, hint="", foreign="")
            begin = max(self._position.offset - first, HEADER_BYTES)
            file.seek(begin)
            blocks = BlockReader(path, begin, hint="")
            while data := file.read(self._read_bytes):
                for block in blocks.receive_data(data):
                    skip = self._position.done.get(first + block.offset, 0)
                    entry = decode_entry(block, first, path, skip)
                    if skip < entry.record_count:
                        yield entry
        self._check_end(path, blocks, first, following)

    def _check_end(self, path: str, blocks: BlockReader, first: int, following: int | None) -> None:
        """Check how the segment ended, after all its whole entries were yielded."""
        if following is None:
            self.torn_bytes, self.end = blocks.tail_bytes, first + blocks.offset
            self._check_named(path, first)
        elif blocks.tail_bytes or first + blocks.offset != following:
            raise DamagedFileError(
                path,
                blocks.offset,
                f"it ends at {blocks.offset + blocks.tail_bytes}, but the next file begins with "
                f"offset {following}, so {following - first - blocks.offset} bytes are missing",
            )

    def _check_named(self, path: str, first: int) -> None:
        """Raise ``DamagedFileError`` if the position says that the journal was longer."""
        if self.end < self._position.end:
            raise DamagedFileError(
                path,
                self.end - first,
                f"its last whole entry ends at {self.end - first}, but it had at least "
                f"{self._position.end - first} bytes when a checkpoint was taken",
            )


def _unwritten_header(header: bytes, file: OpenSegment) -> int | None:
    """Return the length of a last segment whose header was not written; otherwise ``None``.

    A file system may extend a file with zeros before it writes the content.
    """
    if len(header) < HEADER_BYTES:
        return len(header)
    if header.strip(b"\0"):
        return None
    length = len(header)
    while data := file.read(READ_BYTES):
        if data.strip(b"\0"):
            return None
        length += len(data)
    return length
