"""Goes through the segments of a journal, and tells a crash's unfinished entry from damage."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from wallaroo.checkpoint.blocks import HEADER_BYTES, BlockReader, FileKind, check_header
from wallaroo.checkpoint.journal import Entry, decode_entry
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError

READ_BYTES = 1 << 20


class OpenSegment(Protocol):
    """A segment's bytes, as an open file has them."""

    def read(self, byte_count: int, /) -> bytes:
        """Return the next bytes, ``b""`` at the end."""
        ...

    def seek(self, offset: int, /) -> int:
        """Have ``read`` go on there."""
        ...


class Segments(Protocol):
    """The files of one journal."""

    @property
    def folder(self) -> str:
        """Where they are, for messages."""
        ...

    def firsts(self) -> list[int]:
        """Return the offsets at which segments begin, ascending."""
        ...

    def path(self, first: int) -> str:
        """Return where the segment that begins at ``first`` is, for messages."""
        ...

    def open(self, first: int) -> AbstractContextManager[OpenSegment]:
        """Open it for reading."""
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
        """How many bytes of an unfinished entry the journal ends with, known at the end."""
        self.end = 0
        """The offset at which its last whole entry ends, known at the end."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield what is still to be processed, in order; little more than an entry is in memory.

        Raises ``DamagedFileError`` where a check does not match, a segment is missing or foreign,
        or ends within an entry though another follows. Where it has no hint, all that can be done
        is to restore the file, or to give up what follows its offset.
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
        """Judge how the segment ended; all its whole entries were yielded."""
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
        """Raise ``DamagedFileError`` if the position says that there was more."""
        if self.end < self._position.end:
            raise DamagedFileError(
                path,
                self.end - first,
                f"its last whole entry ends at {self.end - first}, but it had at least "
                f"{self._position.end - first} bytes when a checkpoint was taken",
            )


def _unwritten_header(header: bytes, file: OpenSegment) -> int | None:
    """Return how long a last segment is of which not even the header was written; else ``None``.

    A file system may lengthen a file before it writes what is in it: then there are zeros.
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
