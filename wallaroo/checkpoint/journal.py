"""Journals: what sources that cannot be read again have read, to be replayed after a crash.

A journal is written by one worker during one epoch. It is a series of *segment* files, each named
after the offset of its first byte. Offsets count all bytes of all segments, headers included, so
the byte at offset O is at position O - F of the segment that begins at F. An entry is one block
with the body::

    pipeline (u16), how many records (u32), the bytes of whole frames with their headers

If records of the pipeline need times, the highest bit of the pipeline is set, and behind the
number of records are a channel (u32) and the time at which they were read (i64, Unix ns).

A crash can leave an unfinished entry at the end of the last segment; it was never processed.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from wallaroo.checkpoint.blocks import Block, FileKind, encode_header
from wallaroo.checkpoint.dataclass_codec import from_plain, to_plain
from wallaroo.checkpoint.manifest import NUMBER_DIGITS, JournalPosition
from wallaroo.errors import DamagedFileError
from wallaroo.names import Epoch, WorkerName

SEGMENT_HEADER = encode_header(FileKind.JOURNAL)
"""The first bytes of each segment; entries follow."""

JOURNAL_FOLDER = "journals"
"""The folder of journals, within a directory that also holds checkpoints."""

OFFSET_DIGITS = 16

_ENTRY = struct.Struct(">HI")
ENTRY_HEAD_BYTES = _ENTRY.size
"""What an entry has before its frames, if it says nothing of their origin."""
_ORIGIN = struct.Struct(">Iq")
_HAS_ORIGIN = 1 << 15


class EntryOrigin(NamedTuple):
    """Where and when the records of an entry were read."""

    channel: int
    """The number of the connection, unique within the journal."""
    read_ns: int


class Entry(NamedTuple):
    """An entry of a journal that has records to replay."""

    offset: int
    """Where it begins in the journal; this identifies the entry."""
    pipeline: int
    record_count: int
    frames: bytes
    """Whole frames as the sender wrote them, to be cut by the source's own framer."""
    skip: int
    """Number of its first records that are processed already; always fewer than all."""
    origin: EntryOrigin | None = None
    """``None`` if records of its pipeline needed no times."""

    @property
    def head_bytes(self) -> int:
        """How many bytes of its body come before the frames."""
        return ENTRY_HEAD_BYTES + (0 if self.origin is None else _ORIGIN.size)


@dataclass(frozen=True, slots=True)
class JournalExtent:
    """How much of one journal exists: everything between two of its offsets, without a gap."""

    journal: str
    begin: int
    """The offset of the first byte that exists."""
    last: int
    """The offset at which its last file begins."""
    end: int
    """The offset behind its last byte, not counting zeros with which a file system extended it."""

    def to_wire(self) -> list[Any]:
        """Return the values as a list, as msgpack packs them."""
        values: list[Any] = to_plain(self)
        return values

    @classmethod
    def from_wire(cls, value: object) -> "JournalExtent":
        """Return what ``to_wire`` gave; ``ValueError``, naming the field, for anything else."""
        return from_plain(cls, value)

    def from_here_on(self, position: JournalPosition) -> JournalPosition:
        """Return where to replay what exists, given that the rest behind `position` is lost."""
        offset = min(max(position.offset, self.begin), self.end)
        done = {at: count for at, count in position.done.items() if offset <= at < self.end}
        return JournalPosition(self.journal, offset, done)


def encode_entry_head(pipeline: int, record_count: int, origin: EntryOrigin | None = None) -> bytes:
    """Return the part of an entry's body before its frames."""
    if origin is None:
        return _ENTRY.pack(pipeline, record_count)
    return _ENTRY.pack(pipeline | _HAS_ORIGIN, record_count) + _ORIGIN.pack(*origin)


def decode_entry(block: Block, first: int, file: str, skip: int = 0) -> Entry:
    """Return the entry in `block` of the segment that begins at offset `first`."""
    try:
        pipeline, record_count = _ENTRY.unpack_from(block.body)
        origin, start = None, ENTRY_HEAD_BYTES
        if pipeline & _HAS_ORIGIN:
            pipeline ^= _HAS_ORIGIN
            origin = EntryOrigin(*_ORIGIN.unpack_from(block.body, start))
            start += _ORIGIN.size
    except struct.error:
        raise DamagedFileError(file, block.offset, "a block is not an entry") from None
    return Entry(first + block.offset, pipeline, record_count, block.body[start:], skip, origin)


def journal_name(worker: str, epoch: int) -> str:
    """Return the name of the journal that `worker` writes in `epoch`."""
    return f"{worker}-{epoch:0{NUMBER_DIGITS}}"


def parse_journal_name(name: str) -> tuple[str, int] | None:
    """Return the worker and the epoch in a journal's name; ``None`` for any other name."""
    worker, dash, digits = name.rpartition("-")
    is_number = len(digits) >= NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return (worker, int(digits)) if worker and dash and is_number else None


def newest_epochs(journals: Iterable[tuple[WorkerName, Epoch]]) -> dict[WorkerName, Epoch]:
    """Return the epoch of each worker's newest journal."""
    newest: dict[WorkerName, Epoch] = {}
    for worker, epoch in journals:
        newest[worker] = max(epoch, newest.get(worker, epoch))
    return newest


def segment_name(first: int) -> str:
    """Return the file name of the segment whose first byte has offset `first`."""
    return f"{first:0{OFFSET_DIGITS}}"


def parse_segment_name(name: str) -> int | None:
    """Return the offset in a segment's file name; ``None`` for any other name."""
    is_number = len(name) >= OFFSET_DIGITS and name.isascii() and name.isdecimal()
    return int(name) if is_number else None


def covered_segments(firsts: Sequence[int], offset: int) -> list[int]:
    """Return those of the sorted segments `firsts` that hold only bytes before `offset`.

    The last segment is never among them: without it, a journal that was processed would look like
    one that was lost.
    """
    return [first for first, following in pairwise(firsts) if following <= offset]


def replay_position(journal: str, positions: Iterable[JournalPosition]) -> JournalPosition | None:
    """Return where to replay `journal` from, given all `positions` of all workers in a manifest.

    A checkpoint has a position of every journal that is not completely processed, and in any case
    of each member's newest one. So a journal that it does not name is replayed from its start if it
    is newer than all that are named, since it was started after the checkpoint. Otherwise nothing
    has to be replayed, and the answer is ``None``.
    """
    epoch = epoch_of(journal)
    newest = -1
    for position in positions:
        if position.journal == journal:
            return position
        newest = max(newest, epoch_of(position.journal))
    return JournalPosition(journal, 0, {}) if epoch > newest else None


def is_older(journal: str, other: str) -> bool:
    """Return whether no worker replays ``journal`` if a checkpoint names ``other`` but not it."""
    return epoch_of(journal) <= epoch_of(other)


def cut_offset(journal: str, retained: Sequence[Sequence[JournalPosition]]) -> int | None:
    """Return the offset up to which no retained checkpoint needs `journal`.

    `retained` holds all positions of each of these checkpoints. ``None`` means that none of them
    needs the journal at all. If there is no checkpoint, all of the journal is needed.
    """
    needed = [replay_position(journal, positions) for positions in retained]
    offsets = [position.offset for position in needed if position is not None]
    if not retained:
        return 0
    return min(offsets, default=None)


def epoch_of(journal: str) -> int:
    """Return the epoch in a journal's name; raises ``ValueError`` for any other name."""
    parsed = parse_journal_name(journal)
    if parsed is None:
        raise ValueError(f"{journal!r} is not the name of a journal")
    return parsed[1]
