"""The journals of a simulated run on its ``Disk``."""

import io
from collections.abc import Iterable
from contextlib import closing
from typing import Literal

from wallaroo.checkpoint.blocks import HEADER_BYTES, encode_block_head
from wallaroo.checkpoint.journal import (
    SEGMENT_HEADER,
    Entry,
    EntryOrigin,
    JournalExtent,
    covered_segments,
    encode_entry_head,
    journal_name,
    parse_journal_name,
)
from wallaroo.checkpoint.journal_reading import EntryReader
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import StoreError
from wallaroo.testing.disk import Accepted, Disk, JournalContent
from wallaroo.testing.loop import Process

Sync = Literal["os", "batch"]

JOURNAL_FAILURE_PROBABILITY = 0.02
CUT_FAILURE_PROBABILITY = 0.2
READ_BYTES = 512


class JournalFolder:
    """All journals, for one process."""

    def __init__(self, process: Process, disk: Disk) -> None:
        self._process = process
        self._disk = disk

    location = "disk"

    def extents(self) -> list[JournalExtent]:
        """Return how much exists of each journal that has any file."""
        return [
            JournalExtent(name, min(each.segments), max(each.segments), each.end)
            for name, each in sorted(self._disk.journals.items())
            if each.segments
        ]

    def epochs(self) -> list[int]:
        """Return the epochs of all journals."""
        parsed = [parse_journal_name(name) for name in self._disk.journals]
        return [each[1] for each in parsed if each is not None]

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        """Return the entries to replay from a position on; they are durable from now on."""
        journal = self._disk.journals[position.journal]
        journal.sync(sum(map(len, journal.segments.values())) + min(journal.segments))
        segments = _Segments(position.journal, journal)
        return EntryReader(segments, position, READ_BYTES)

    def cut(self, journal: str, offset: int | None) -> bool:
        """Delete the segments before ``offset``, one by one; ``None`` deletes the journal."""
        if journal not in self._disk.journals:
            return False
        segments = self._disk.journals[journal].segments
        doomed = sorted(segments)
        if offset is not None:
            doomed = covered_segments(doomed, offset)
        for first in doomed:
            self._process.at("cut journal")
            self._may_fail(journal)
            del segments[first]
        if offset is None:
            self._may_fail(journal)
            del self._disk.journals[journal]
        return True

    def _may_fail(self, journal: str) -> None:
        if self._disk.chaos.take("failed_journal_cuts", CUT_FAILURE_PROBABILITY):
            raise StoreError(f"cannot cut the journal {journal}: no permission")


class _Segments:
    """The segments of one journal, for reading."""

    def __init__(self, folder: str, journal: JournalContent) -> None:
        self.folder = folder
        self._journal = journal

    def firsts(self) -> list[int]:
        return sorted(self._journal.segments)

    def path(self, first: int) -> str:
        return f"{self.folder}/{first}"

    def open(self, first: int) -> "closing[io.BytesIO]":
        return closing(io.BytesIO(bytes(self._journal.segments[first])))


class SimulatedJournal:
    """Appends to the journal of one process of a worker, see ``wallaroo.checkpoint.journal``."""

    def __init__(
        self, process: Process, disk: Disk, worker: str, epoch: int, sync: Sync, segment_bytes: int
    ) -> None:
        self.name = journal_name(worker, epoch)
        self.offset = 0
        self._origin: tuple[int, int, list[int]] = (-1, -1, [])
        """The sender of the next records, its connection, and the records still to arrive."""
        self._process = process
        self._disk = disk
        self._sync = sync
        self._segment_bytes = segment_bytes
        assert self.name not in disk.journals, f"{self.name} is there already"
        self._journal = disk.journals[self.name] = JournalContent()
        process.at("begin journal")
        self._begin_segment()

    def set_origin(self, sender: int, connection: int, numbers: list[int]) -> None:
        """Note which records of which sender the next entries have."""
        self._origin = (sender, connection, numbers)

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        """Write an entry of whole frames; return its offset."""
        if self._disk.chaos.take("failed_journal_writes", JOURNAL_FAILURE_PROBABILITY):
            raise StoreError("the disk is full", "simulated", is_refusal=True)
        if len(self._journal.segments[self._first]) >= self._segment_bytes:
            self._begin_segment()
        entry_head = encode_entry_head(pipeline, record_count, origin)
        data = encode_block_head(entry_head, frames) + entry_head + frames
        offset = self.offset
        segment = self._journal.segments[self._first]
        torn_at = self._process.loop.random.randrange(len(data))
        segment += data[:torn_at]
        self._process.at("append to journal")
        segment += data[torn_at:]
        self.offset += len(data)
        sender, connection, numbers = self._origin
        accepted = numbers[:record_count]
        del numbers[:record_count]
        self._disk.accept(Accepted(self.name, offset, self.offset, sender, connection, accepted))
        what = f"journal: records {accepted} of sender {sender} at {offset}"
        self._process.loop.tell(self._process.name, what)
        self._process.at("append to journal")
        return offset

    def _begin_segment(self) -> None:
        if self.offset:
            self._journal.sync(self.offset)
        self._first = self.offset
        segment = self._journal.segments[self._first] = bytearray()
        self._process.at("begin journal")
        segment += SEGMENT_HEADER
        self.offset += HEADER_BYTES

    def sync(self) -> None:
        """Make durable what was appended, if that was chosen."""
        if self._sync == "batch":
            self._journal.sync(self.offset)

    def close(self) -> None:
        """Write no more."""
