"""The disk of the simulated machine: journals and the files of sinks.

Everything that a process has written survives its end, except for the journals of a worker whose
host is lost. A crash of the machine loses what was not synced: a part of the end of a journal, torn
anywhere. What a source has read counts as accepted once its whole entry is in the journal. A
machine crash takes back what was not synced. Senders notice, because the run has ``journal_sync``
"batch": no result of an entry leaves the worker before the entry is synced. Files of sinks are
synced at each of their steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import newest_epochs, parse_journal_name
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.connectors.file import StagedPart, is_staged, length_to_begin_with
from wallaroo.names import Epoch, WorkerName
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process


@dataclass(frozen=True, slots=True)
class Accepted:
    """Records of one sender in a journal."""

    journal: str
    offset: int
    """Offset of their entry."""
    end: int
    sender: int
    connection: int
    numbers: list[int]
    """Numbers of the records, as the sender counts them."""


@dataclass(slots=True)
class JournalContent:
    """The files of one journal, by the offset at which each begins."""

    segments: dict[int, bytearray] = field(default_factory=dict)
    synced: int = HEADER_BYTES
    """Everything before this offset survives a crash of the machine."""

    def sync(self, end: int) -> None:
        """Let everything before this offset survive a crash of the machine."""
        self.synced = end

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        last = max(self.segments)
        return last + len(self.segments[last])


class Disk:
    """Everything that outlives the processes of the simulated machine."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.journals: dict[str, JournalContent] = {}
        self.accepted: list[Accepted] = []
        self.lost_journals: dict[str, None] = {}
        """Names of journals that were lost with a disk, in the order of their loss."""
        self.taken_back: set[tuple[int, int]] = set()
        """Sender and number of each record that was lost with a disk."""
        self._accepted_of: dict[int, set[int]] = {}
        self.files: dict[str, bytearray] = {}
        """What sinks have committed, by path."""
        self.staged: dict[str, bytearray] = {}

    def accepted_of(self, sender: int) -> set[int]:
        """Return the numbers of a sender's records that are accepted."""
        return self._accepted_of.setdefault(sender, set())

    def newest_journals(self) -> dict[WorkerName, Epoch]:
        """Return the epoch of each worker's newest journal."""
        parsed = (parse_journal_name(name) for name in self.journals)
        return newest_epochs((WorkerName(each[0]), Epoch(each[1])) for each in parsed if each)

    def accept(self, accepted: Accepted) -> None:
        """Note that records of a sender are in a journal."""
        self.accepted.append(accepted)
        known = self.accepted_of(accepted.sender)
        assert known.isdisjoint(accepted.numbers), "the sender sent a record twice"
        known.update(accepted.numbers)

    def crash_machine(self) -> None:
        """Drop what was not synced."""
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
        self._count_accepted()

    def lose(self, worker: str) -> None:
        """Drop the journals of one worker, whose host had a disk of its own."""
        for name in [name for name in self.journals if name.rpartition("-")[0] == worker]:
            del self.journals[name]
            self.lost_journals[name] = None
            # A journal that no checkpoint names may have a successor of the same name.
            self.accepted = [
                replace(each, journal=_lost(name)) if each.journal == name else each
                for each in self.accepted
            ]

    def take_back(self, journal: str, position: JournalPosition) -> None:
        """Uncount records of a lost journal that are not processed at ``position``."""
        accepted: list[Accepted] = []
        for each in self.accepted:
            numbers = each.numbers
            if each.journal == _lost(journal) and each.offset >= position.offset:
                done = position.done.get(each.offset, 0)
                self.taken_back |= {(each.sender, number) for number in numbers[done:]}
                numbers = numbers[:done]
            if numbers:
                accepted.append(replace(each, numbers=numbers))
        self.accepted = accepted
        self._count_accepted()

    def _count_accepted(self) -> None:
        self._accepted_of.clear()
        for each in self.accepted:
            self.accepted_of(each.sender).update(each.numbers)

    # Files of sinks

    def commit_output(
        self, process: Process, path: str, length_before: int, parts: Sequence[StagedPart]
    ) -> None:
        """Append the staged parts to a file, in the steps in which real disks do it."""
        found = {
            part.name: len(self.staged[part.name]) for part in parts if part.name in self.staged
        }
        content = self.files.setdefault(path, bytearray())
        start = length_to_begin_with(path, len(content), length_before, parts, found)
        del content[start:]
        what = f"{path}: from byte {start} on {len(parts)} parts, {len(found)} of them staged"
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
        """Delete the staged files of one stage beside a path, or all of them."""
        for name in [name for name in self.staged if is_staged(name, path, stage)]:
            del self.staged[name]


def _lost(journal: str) -> str:
    return f"{journal}, lost"
