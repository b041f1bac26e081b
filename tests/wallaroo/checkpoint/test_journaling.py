"""Journals of workers that left: named while they are there, deleted when nobody needs them."""

from collections.abc import Iterable

import pytest

from wallaroo.checkpoint.journal import Entry, EntryOrigin, JournalExtent, replay_position
from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import StoreError

LEFT = "w3-0000000002"
"""Newer than the successor's own."""


class Writer:
    name = "w1-0000000001"
    offset = 10

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        offset = self.offset
        self.offset += len(frames)
        return offset

    def sync(self) -> None: ...

    def close(self) -> None: ...


class Folder:
    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.cuts: list[tuple[str, int | None]] = []
        self.refused: set[str] = set()
        """Journals of which something cannot be deleted."""

    location = "/journals"

    def extents(self) -> list[JournalExtent]:
        return [JournalExtent(name, 0, 0, 10) for name in self._names]

    def read(self, position: JournalPosition) -> Iterable[Entry]:
        return []

    def cut(self, journal: str, offset: int | None) -> bool:
        if journal == LEFT:
            self.cuts.append((journal, offset))
        if journal in self.refused:
            raise StoreError(f"cannot cut {journal}")
        return journal in self._names


def test_a_journal_that_was_left_is_kept_for_checkpoints_from_before() -> None:
    folder = Folder([LEFT])
    journal = Journal(folder, Writer())
    for number in (4, 5):
        journal.positions()
        journal.committed(number, oldest_number=number - 1)
    journal.inherit([JournalPosition(LEFT, 700, {})])
    for number in (6, 7):
        named = journal.positions()
        # Without its name all of it would be replayed.
        assert replay_position(LEFT, named) == JournalPosition(LEFT, 700, {})
        journal.committed(number, oldest_number=number - 2)
    assert folder.cuts == []
    journal.positions()
    journal.committed(8, oldest_number=6)
    assert folder.cuts == [(LEFT, None)]
    assert LEFT not in [each.journal for each in journal.positions()]


def test_a_journal_that_cannot_be_cut_is_tried_again_and_keeps_no_other() -> None:
    folder, writer = Folder([LEFT]), Writer()
    journal = Journal(folder, writer)
    journal.inherit([JournalPosition(LEFT, 700, {})])
    journal.positions()
    folder.refused = {writer.name}
    with pytest.raises(StoreError, match=writer.name):
        journal.committed(1, oldest_number=1)
    assert folder.cuts == [(LEFT, None)]
    assert LEFT not in [each.journal for each in journal.positions()]


def test_a_journal_that_cannot_be_cut_is_named_until_it_is_gone() -> None:
    folder = Folder([LEFT])
    journal = Journal(folder, Writer())
    journal.inherit([JournalPosition(LEFT, 700, {})])
    journal.positions()
    folder.refused = {LEFT}
    with pytest.raises(StoreError, match=LEFT):
        journal.committed(1, oldest_number=1)
    assert LEFT in [each.journal for each in journal.positions()]
    folder.refused = set()
    journal.committed(2, oldest_number=2)
    assert LEFT not in [each.journal for each in journal.positions()]


@pytest.mark.parametrize(("mine", "is_named"), [("w1-0000000001", True), ("w1-0000000002", False)])
def test_a_journal_on_another_host_is_named_while_it_would_seem_new(
    mine: str, is_named: bool
) -> None:
    writer = Writer()
    writer.name = mine
    journal = Journal(Folder([]), writer)
    journal.inherit([JournalPosition(LEFT, 700, {})])
    for number in (1, 2, 3, 4):
        named = journal.positions()
        journal.committed(number, oldest_number=max(1, number - 1))
    assert (LEFT in [each.journal for each in named]) is is_named
    # Its host may come back with it, under whatever name: it is not read again.
    assert replay_position(LEFT, named) in (None, JournalPosition(LEFT, 700, {}))
