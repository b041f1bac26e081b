"""How far a journal is processed, against a model that remembers every record."""

import random
from dataclasses import dataclass, field

import pytest

from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.checkpoint.manifest import JournalPosition

JOURNAL = "w1-0000000001"
ENTRY_BYTES = 10

Record = tuple[int, int]
"""Offset of the entry, number within it."""


def test_a_journal_without_entries_is_at_its_begin() -> None:
    assert JournalProgress(JOURNAL).position() == JournalPosition(JOURNAL, 0, {})
    assert JournalProgress(JOURNAL, 70).position() == JournalPosition(JOURNAL, 70, {})


def test_entries_are_processed_in_turns_and_in_part() -> None:
    progress = JournalProgress(JOURNAL)
    for offset in (0, 10, 20):
        progress.appended(offset, offset + 10, 3)
    progress.mark_taken(10, 3)
    progress.mark_taken(20, 1)
    assert progress.position() == JournalPosition(JOURNAL, 0, {10: 3, 20: 1})
    progress.mark_taken(0, 2)
    assert progress.position() == JournalPosition(JOURNAL, 0, {0: 2, 10: 3, 20: 1})
    progress.mark_taken(0, 1)
    assert progress.position() == JournalPosition(JOURNAL, 20, {20: 1})
    progress.mark_taken(20, 2)
    assert progress.position() == JournalPosition(JOURNAL, 30, {})


def test_an_entry_behind_the_header_of_a_new_segment_leaves_a_gap() -> None:
    progress = JournalProgress(JOURNAL)
    progress.appended(0, 10, 1)
    progress.mark_taken(0, 1)
    progress.appended(26, 36, 1)
    assert progress.position() == JournalPosition(JOURNAL, 26, {})


def test_a_replay_ends_where_its_last_entry_does() -> None:
    progress = JournalProgress(JOURNAL, 20, {20: 1})
    progress.appended(20, 30, 2, taken_count=1)
    ends = [progress.end]
    progress.mark_complete()
    ends.append(progress.end)
    assert ends == [None, 30]
    assert progress.position() == JournalPosition(JOURNAL, 20, {20: 1})
    progress.mark_taken(20, 1)
    assert progress.position() == JournalPosition(JOURNAL, 30, {})


def test_what_was_done_behind_the_place_of_a_replay_stays_done() -> None:
    """A checkpoint while a journal is replayed must not forget what the last one knew."""
    progress = JournalProgress(JOURNAL, 0, {0: 1, 10: 2, 30: 3})
    assert progress.position() == JournalPosition(JOURNAL, 0, {0: 1, 10: 2, 30: 3})
    progress.appended(0, 10, 2, taken_count=1)
    progress.mark_taken(0, 1)
    assert progress.position() == JournalPosition(JOURNAL, 10, {10: 2, 30: 3})
    # The replay leaves the entry at 10 out, since all of it is done.
    progress.appended(20, 30, 2)
    assert progress.position() == JournalPosition(JOURNAL, 20, {30: 3})
    progress.mark_taken(20, 2)
    progress.mark_complete()
    assert progress.position() == JournalPosition(JOURNAL, 30, {30: 3})


@dataclass
class Life:
    """A journal over several lives of its worker: each ends with a crash, and is replayed."""

    random: random.Random
    counts: dict[int, int] = field(default_factory=dict)
    """Records of each entry in the journal, by offset."""
    done: set[Record] = field(default_factory=set)
    """What the checkpoint holds that the present life began with."""
    taken: set[Record] = field(default_factory=set)
    """What this life has taken."""
    waiting: dict[int, int] = field(default_factory=dict)
    """How many records of each entry are taken, of those that the worker has in memory."""
    unread: list[int] = field(default_factory=list)
    """Entries that the replay has still to come to."""
    progress: JournalProgress = field(default_factory=lambda: JournalProgress(JOURNAL))
    began: JournalPosition = field(default_factory=lambda: JournalPosition(JOURNAL, 0, {}))
    """Where this life began."""
    position: JournalPosition = field(default_factory=lambda: JournalPosition(JOURNAL, 0, {}))
    """Of the last checkpoint."""
    saved: set[Record] = field(default_factory=set)
    """What the last checkpoint holds."""

    def append(self) -> None:
        if not self.unread:
            offset = ENTRY_BYTES * len(self.counts)
            self.counts[offset] = self.random.randint(1, 4)
            self.waiting[offset] = 0
            self.progress.appended(offset, offset + ENTRY_BYTES, self.counts[offset])

    def read(self) -> None:
        """The replay comes to its next entry, as a reader of the journal gives it."""
        while self.unread:
            offset = self.unread.pop(0)
            count, skip = self.counts[offset], self.began.done.get(offset, 0)
            if offset >= self.began.offset and skip < count:
                self.waiting[offset] = skip
                self.progress.appended(offset, offset + ENTRY_BYTES, count, skip)
                break
        if not self.unread:
            self.progress.mark_complete()

    def take(self) -> None:
        if not self.waiting:
            return
        offset = self.random.choice([*self.waiting])
        first = self.waiting[offset]
        count = self.random.randint(1, self.counts[offset] - first)
        records = {(offset, number) for number in range(first, first + count)}
        assert not records & (self.done | self.taken), "taken twice"
        self.taken |= records
        self.progress.mark_taken(offset, count)
        self.waiting[offset] += count
        if self.waiting[offset] == self.counts[offset]:
            del self.waiting[offset]

    def checkpoint(self) -> None:
        self.position = self.progress.position()
        self.saved = self.done | self.taken
        assert self.left_by(self.position) == self.records() - self.saved

    def crash(self) -> None:
        self.began = self.position
        self.progress = JournalProgress(JOURNAL, self.began.offset, self.began.done)
        self.done, self.taken = self.saved, set()
        self.waiting.clear()
        self.unread = [*self.counts]

    def records(self) -> set[Record]:
        return {(at, number) for at, count in self.counts.items() for number in range(count)}

    def left_by(self, position: JournalPosition) -> set[Record]:
        """Return what a replay from this position would give."""
        return {
            (at, number)
            for at, number in self.records()
            if at >= position.offset and number >= position.done.get(at, 0)
        }

    def run_dry(self) -> None:
        while self.unread or self.waiting:
            self.read()
            self.take()


@pytest.mark.parametrize("seed", range(300))
def test_over_any_number_of_crashes_each_record_is_taken_once(seed: int) -> None:
    life = Life(random.Random(seed))
    happenings = [life.append, life.read, life.take, life.take, life.checkpoint]
    for _ in range(200):
        if life.random.random() < 0.03:
            life.crash()
        life.random.choice(happenings)()
    life.crash()
    life.run_dry()
    assert life.done | life.taken == life.records()
    life.checkpoint()
    assert life.left_by(life.position) == set()


def test_a_position_says_how_long_the_journal_was() -> None:
    progress = JournalProgress(JOURNAL, 10)
    assert progress.position().end == 10
    progress.appended(10, 60, 2)
    assert progress.position().end == 60
    # A replay that has just begun does not forget what was there.
    assert JournalProgress(JOURNAL, 10, {}, 90).position().end == 90


def test_only_a_closed_journal_of_which_all_is_taken_is_finished() -> None:
    progress = JournalProgress(JOURNAL, 10)
    progress.appended(10, 60, 2)
    assert not progress.position(is_closed=True).is_finished
    progress.mark_taken(10, 2)
    assert not progress.position().is_finished
    assert progress.position(is_closed=True).is_finished
