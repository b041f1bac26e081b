"""The disk of the simulated machine: journals and the files of sinks.

A process that ends leaves everything it has written. A machine that ends loses what was not synced:
of a journal that is a part of its end, torn anywhere. What a source has read counts as accepted
once all of its entry is in the journal; a machine crash takes back what was not synced, which a
sender learns because the run has ``journal_sync`` "batch": nothing that follows from an entry
leaves the worker before it is synced. Files of sinks are synced at each of their steps.
"""

import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

from wallaroo.checkpoint.blocks import HEADER_BYTES, encode_block_head
from wallaroo.checkpoint.journal import (
    SEGMENT_HEADER,
    Entry,
    covered_segments,
    encode_entry_head,
    journal_name,
    parse_journal_name,
)
from wallaroo.checkpoint.journal_reading import EntryReader
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.connectors.file import StagedPart, is_staged, length_to_begin_with
from wallaroo.errors import StoreError
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process

Sync = Literal["os", "batch"]

JOURNAL_FAILURE_PROBABILITY = 0.02
CUT_FAILURE_PROBABILITY = 0.2
READ_BYTES = 512


@dataclass(frozen=True, slots=True)
class Accepted:
    """Records of one sender that stand in a journal."""

    journal: str
    end: int
    sender: int
    connection: int
    numbers: list[int]
    """Of the records, as the sender counts them."""


@dataclass(slots=True)
class _Journal:
    segments: dict[int, bytearray] = field(default_factory=dict)
    synced: int = 0
    """Everything before this offset survives the machine."""


class Disk:
    """Everything that outlives the processes of the simulated machine."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.journals: dict[str, _Journal] = {}
        self.accepted: list[Accepted] = []
        self._accepted_of: dict[int, set[int]] = {}
        self.files: dict[str, bytearray] = {}
        """What sinks have committed, by path."""
        self.staged: dict[str, bytearray] = {}

    def accepted_of(self, sender: int) -> set[int]:
        """Return which records of a sender are accepted, as it counts them."""
        return self._accepted_of.setdefault(sender, set())

    def accept(self, accepted: Accepted) -> None:
        """Records of a sender stand in a journal."""
        self.accepted.append(accepted)
        known = self.accepted_of(accepted.sender)
        assert known.isdisjoint(accepted.numbers), "the sender sent a record twice"
        known.update(accepted.numbers)

    def crash_machine(self) -> None:
        """Lose what was not synced."""
        random = self.chaos.random
        for name, journal in self.journals.items():
            if not journal.segments:
                continue
            last = max(journal.segments)
            content = journal.segments[last]
            synced = max(journal.synced - last, 0)
            kept = random.randint(min(synced, len(content)), len(content))
            del content[kept:]
            end = last + kept
            self.accepted = [
                each for each in self.accepted if each.journal != name or each.end <= end
            ]
        self._accepted_of.clear()
        for each in self.accepted:
            self.accepted_of(each.sender).update(each.numbers)

    # Files of sinks

    def commit_output(
        self, process: Process, path: str, length_before: int, parts: Sequence[StagedPart]
    ) -> None:
        """Have the file hold its first bytes, then the staged parts; in the steps of real disks."""
        found = {
            part.name: len(self.staged[part.name]) for part in parts if part.name in self.staged
        }
        content = self.files.setdefault(path, bytearray())
        begin = length_to_begin_with(path, len(content), length_before, parts, found)
        del content[begin:]
        what = f"{path}: from byte {begin} on {len(parts)} parts, {len(found)} of them staged"
        process.loop.tell(process.name, what)
        process.at("commit output")
        if len(found) == len(parts):
            for part in parts:
                data = self.staged[part.name]
                half = len(data) // 2
                content += data[:half]
                process.at("commit output")
                content += data[half:]
        process.at("commit output")
        for name in found:
            del self.staged[name]
            process.at("commit output")

    def discard_output(self, path: str, stage: str | None = None) -> None:
        """Delete what a stage has left beside a path, or all that is staged there."""
        for name in [name for name in self.staged if is_staged(name, path, stage)]:
            del self.staged[name]


class JournalFolder:
    """The journals, as one process reaches them."""

    def __init__(self, process: Process, disk: Disk) -> None:
        self._process = process
        self._disk = disk

    def names(self) -> list[str]:
        """Return the names of all journals that have any file."""
        return [name for name, each in sorted(self._disk.journals.items()) if each.segments]

    def epochs(self) -> list[int]:
        """Return the epochs of all journals."""
        parsed = [parse_journal_name(name) for name in self._disk.journals]
        return [each[1] for each in parsed if each is not None]

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        """Return what is to be replayed from a position on, which is durable by then."""
        journal = self._disk.journals[position.journal]
        journal.synced = sum(map(len, journal.segments.values())) + min(journal.segments)
        segments = _Segments(position.journal, journal)
        return EntryReader(segments, position, READ_BYTES)

    def cut(self, journal: str, offset: int | None) -> bool:
        """Delete the segments before ``offset``, one by one; ``None``: all of the journal."""
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
    """One journal, for reading."""

    def __init__(self, folder: str, journal: _Journal) -> None:
        self.folder = folder
        self._journal = journal

    def firsts(self) -> list[int]:
        return sorted(self._journal.segments)

    def path(self, first: int) -> str:
        return f"{self.folder}/{first}"

    def open(self, first: int) -> "closing[io.BytesIO]":
        return closing(io.BytesIO(bytes(self._journal.segments[first])))


class SimulatedJournal:
    """Appends to the journal of one life of a worker, see ``wallaroo.checkpoint.journal``."""

    def __init__(
        self, process: Process, disk: Disk, worker: str, epoch: int, sync: Sync, segment_bytes: int
    ) -> None:
        self.name = journal_name(worker, epoch)
        self.offset = 0
        self.next: tuple[int, int, list[int]] = (-1, -1, [])
        """Whose records are appended next: sender, connection, what is still to come over it."""
        self._process = process
        self._disk = disk
        self._sync = sync
        self._segment_bytes = segment_bytes
        assert self.name not in disk.journals, f"{self.name} is there already"
        self._journal = disk.journals[self.name] = _Journal()
        process.at("begin journal")
        self._begin_segment()

    def append(self, pipeline: int, record_count: int, frames: bytes) -> int:
        """Write an entry of whole frames; return its offset."""
        if self._disk.chaos.take("failed_journal_writes", JOURNAL_FAILURE_PROBABILITY):
            raise StoreError("the disk is full", "simulated", is_refusal=True)
        if len(self._journal.segments[self._first]) >= self._segment_bytes:
            self._begin_segment()
        entry_head = encode_entry_head(pipeline, record_count)
        data = encode_block_head(entry_head, frames) + entry_head + frames
        offset = self.offset
        segment = self._journal.segments[self._first]
        torn_at = self._process.loop.random.randrange(len(data))
        segment += data[:torn_at]
        self._process.at("append to journal")
        segment += data[torn_at:]
        self.offset += len(data)
        sender, connection, numbers = self.next
        accepted = numbers[:record_count]
        del numbers[:record_count]
        self._disk.accept(Accepted(self.name, self.offset, sender, connection, accepted))
        what = f"journal: records {accepted} of sender {sender} at {offset}"
        self._process.loop.tell(self._process.name, what)
        self._process.at("append to journal")
        return offset

    def _begin_segment(self) -> None:
        if self.offset:
            self._journal.synced = self.offset
        self._first = self.offset
        segment = self._journal.segments[self._first] = bytearray()
        self._process.at("begin journal")
        segment += SEGMENT_HEADER
        self.offset += HEADER_BYTES

    def sync(self) -> None:
        """Have what was appended outlive the machine, if that is what was chosen."""
        if self._sync == "batch":
            self._journal.synced = self.offset

    def close(self) -> None:
        """Write no more."""
