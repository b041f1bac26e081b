"""What a pushed source delivered is in the journal before it is acknowledged, and not twice."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.wallaroo.ingest.senders import PIPELINE, NotedEngine, NotedJournal
from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.connectors.pushed_frames import pack_delivery, unpack_deliveries
from wallaroo.errors import StoreError
from wallaroo.ingest.pushed_records import WAITING_RECORDS_MAX, PushedRecords
from wallaroo.ingest.read_budget import PENDING_BYTES_MAX, HoldReason, ReadBudget
from wallaroo.runtime.engine import Engine


class SyncedJournal(NotedJournal):
    """A journal whose entries have to be made durable."""

    def __init__(self, refusals: int = 0, *, sync_refusals: int = 0) -> None:
        super().__init__(refusals)
        self.sync_refusals = sync_refusals
        self.durable_count = 0

    def sync(self) -> None:
        if self.sync_refusals:
            self.sync_refusals -= 1
            raise StoreError("the disk is slow")
        self.durable_count = len(self.entries)


class Inbox:
    """The records of a pushed source, and what they ask of its runner."""

    def __init__(self, journal: SyncedJournal | None = None) -> None:
        self.engine = NotedEngine()
        self.intake = ReadBudget()
        self.journal = journal
        self.acknowledged: list[Any] = []
        self.later: list[Callable[[], None]] = []
        self.refusals: list[str] = []
        self.room_count = 0
        self.connection_count = 1
        self.records = PushedRecords(
            PIPELINE,
            cast(Engine, self.engine),
            self.intake,
            cast(Journal, journal) if journal is not None else None,
            self,
        )
        self.intake.add(self.records)
        self.records.open()

    # What the records ask for

    def room_changed(self) -> None:
        self.room_count += 1

    def safe(self, tags: list[Any]) -> None:
        if self.journal is not None:
            assert self.journal.durable_count == len(self.journal.entries)
        self.acknowledged += tags

    def connect_again(self) -> None:
        self.connection_count += 1

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.later.append(callback)
        return None

    def waits_for_journal(self, error: StoreError) -> None:
        self.refusals.append(error.what)

    # What a test does

    def is_idle(self) -> bool:
        return self.records.is_idle

    def is_asked(self) -> bool:
        return self.records.may_receive

    def deliver(self, *tags: int) -> None:
        for tag in tags:
            self.records.received(b"record %d" % tag, tag, None, None, 1_000 + tag)

    def pass_time(self) -> None:
        later, self.later = self.later, []
        for callback in later:
            callback()

    def take(self, count: int = 100) -> list[Any]:
        """Process what the engine has, and let its turn end."""
        piece = self.engine.ready.pop()
        taken: list[Any] = piece.take(count)
        if not piece.has_records:
            piece.batch_consumed()
        else:
            self.engine.ready.append(piece)
        return taken


def journaled(journal: SyncedJournal) -> list[list[Any]]:
    return [unpack_deliveries(frames) for _, _, frames in journal.entries]


def test_deliveries_that_are_there_together_are_one_entry_of_the_journal() -> None:
    journal = SyncedJournal()
    inbox = Inbox(journal)
    inbox.deliver(1, 2)
    assert journal.entries == []
    inbox.pass_time()
    assert journaled(journal) == [[b"record 1", b"record 2"]]
    assert inbox.take() == [b"record 1", b"record 2"]


def test_a_delivery_is_acknowledged_once_it_is_in_the_journal() -> None:
    inbox = Inbox(SyncedJournal())
    inbox.deliver(1)
    assert inbox.acknowledged == []
    inbox.pass_time()
    assert inbox.acknowledged == [1]
    inbox.take()
    inbox.pass_time()
    assert inbox.acknowledged == [1]


def test_without_a_journal_it_is_acknowledged_after_the_turn_that_processed_it() -> None:
    inbox = Inbox()
    inbox.deliver(1, 2)
    inbox.pass_time()
    inbox.take(1)
    inbox.pass_time()
    assert inbox.acknowledged == []
    inbox.take()
    assert inbox.acknowledged == []
    inbox.pass_time()
    assert inbox.acknowledged == [1, 2]


def test_what_arrives_while_the_engine_works_is_collected() -> None:
    journal = SyncedJournal()
    inbox = Inbox(journal)
    inbox.deliver(1)
    inbox.pass_time()
    inbox.deliver(2)
    inbox.pass_time()
    inbox.deliver(3)
    assert journaled(journal) == [[b"record 1"]]
    inbox.take()
    assert journaled(journal) == [[b"record 1"], [b"record 2", b"record 3"]]
    assert inbox.acknowledged == [1, 2, 3]


def test_the_time_of_a_piece_is_that_of_its_first_delivery() -> None:
    inbox = Inbox()
    inbox.deliver(1, 2)
    inbox.pass_time()
    assert inbox.engine.ready[0].delivered_ns == 1_001


def test_a_source_is_not_asked_while_enough_waits() -> None:
    inbox = Inbox()
    inbox.deliver(0)
    inbox.pass_time()
    inbox.deliver(*range(1, WAITING_RECORDS_MAX + 1))
    assert not inbox.is_asked()
    asked = inbox.room_count
    inbox.take()
    assert inbox.is_asked()
    assert inbox.room_count > asked


def test_a_source_is_not_asked_while_the_budget_is_full() -> None:
    inbox = Inbox()
    inbox.intake.reserve(PENDING_BYTES_MAX + 1)
    assert not inbox.is_asked()
    inbox.deliver(1)
    inbox.pass_time()
    assert inbox.engine.ready == []
    inbox.intake.free(PENDING_BYTES_MAX + 1)
    assert inbox.is_asked()
    assert inbox.take() == [b"record 1"]


def test_the_bytes_of_deliveries_count_in_the_budget_until_they_are_processed() -> None:
    inbox = Inbox(SyncedJournal())
    inbox.deliver(1)
    inbox.pass_time()
    assert not inbox.intake.is_empty
    inbox.take()
    assert inbox.intake.is_empty


def test_a_closed_source_processes_what_it_has() -> None:
    inbox = Inbox(SyncedJournal())
    inbox.deliver(1)
    inbox.records.close()
    assert not inbox.is_asked()
    inbox.pass_time()
    assert not inbox.is_idle()
    inbox.take()
    assert inbox.is_idle()


def test_a_journal_that_cannot_be_written_is_tried_again_before_the_acknowledgement() -> None:
    journal = SyncedJournal(refusals=2)
    inbox = Inbox(journal)
    inbox.deliver(1)
    inbox.pass_time()
    inbox.pass_time()
    assert inbox.refusals == ["the disk is full"] * 2
    assert inbox.acknowledged == []
    assert inbox.engine.ready == []
    inbox.pass_time()
    assert inbox.acknowledged == [1]
    assert inbox.take() == [b"record 1"]


def test_an_entry_that_is_not_durable_is_not_acknowledged() -> None:
    journal = SyncedJournal(sync_refusals=1)
    inbox = Inbox(journal)
    inbox.deliver(1)
    inbox.pass_time()
    assert inbox.acknowledged == []
    assert inbox.refusals == ["the disk is slow"]
    inbox.pass_time()
    assert inbox.acknowledged == [1]


def test_what_is_in_the_journal_comes_again_by_its_replay_alone() -> None:
    journal = SyncedJournal()
    inbox = Inbox(journal)
    inbox.deliver(1)
    inbox.pass_time()
    inbox.deliver(2)
    inbox.intake.hold(HoldReason.REPLAY)
    inbox.records.rewind()
    assert not inbox.engine.ready[0].has_records
    inbox.engine.ready.clear()
    inbox.pass_time()
    assert journaled(journal) == [[b"record 1"]]
    inbox.intake.release(HoldReason.REPLAY)
    assert inbox.take() == [b"record 2"]
    assert inbox.acknowledged == [1, 2]
    assert inbox.connection_count == 1


def test_without_a_journal_the_source_has_to_deliver_again_what_is_given_up() -> None:
    inbox = Inbox()
    inbox.deliver(1)
    inbox.pass_time()
    inbox.deliver(2)
    inbox.records.rewind()
    inbox.engine.ready.clear()
    inbox.pass_time()
    assert inbox.acknowledged == []
    assert inbox.connection_count == 2
    assert inbox.engine.ready == []
    assert inbox.records.is_idle


def test_what_waits_is_given_up_with_the_connection_and_nothing_else() -> None:
    inbox = Inbox(SyncedJournal())
    inbox.deliver(1)
    inbox.pass_time()
    inbox.deliver(2)
    inbox.records.drop_waiting()
    assert inbox.take() == [b"record 1"]
    inbox.pass_time()
    assert inbox.engine.ready == []
    assert inbox.acknowledged == [1]


def test_keys_go_with_their_records_through_the_engine_and_the_journal() -> None:
    inbox = Inbox()
    for key in (b"a", None, b"c"):
        inbox.records.received(b"record", None, key, None, 1)
    inbox.pass_time()
    taken = inbox.engine.ready[-1].take(2)
    assert taken.keys == [b"a", None]
    frames = b"".join(pack_delivery(b"record", key, None) for key in (b"a", None))
    assert unpack_deliveries(frames).keys == [b"a", None]


@pytest.mark.parametrize("has_journal", [False, True])
def test_deliveries_keep_the_times_that_they_came_with(has_journal: bool) -> None:
    journal = SyncedJournal() if has_journal else None
    inbox = Inbox(journal)
    inbox.records.received(b"one", 1, None, 1.5, 1_001)
    inbox.records.received(b"two", 2, None, None, 1_002)
    inbox.pass_time()
    taken = inbox.take()
    assert isinstance(taken, KeyedRecords)
    assert taken.times == [1.5, None]
    if journal is not None:
        ((_, _, frames),) = journal.entries
        assert unpack_deliveries(frames).times == [1.5, None]
