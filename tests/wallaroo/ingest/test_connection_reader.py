"""One connection of a source: nothing is read before what was read is taken, and written down."""

import pytest

from tests.wallaroo.ingest.senders import PIPELINE, NotedJournal, OneSender
from wallaroo.checkpoint.journal import EntryOrigin
from wallaroo.ingest.read_budget import HoldReason
from wallaroo.runtime.engine_ports import Origin

TWO = b"\x01a\x02bb"


def test_a_piece_without_a_whole_frame_is_kept_and_the_connection_reads_on() -> None:
    sender = OneSender()
    assert not sender.reading.receive_data(b"\x02b")
    assert not sender.connection.is_paused()
    assert sender.intake.is_empty
    assert sender.engine.ready == []
    assert sender.reading.receive_data(b"b")
    assert sender.reading.take(9) == [b"bb"]


def test_no_more_is_read_until_the_engine_has_taken_everything() -> None:
    sender = OneSender()
    assert sender.reading.receive_data(TWO)
    assert sender.connection.is_paused()
    assert sender.engine.ready == [sender.reading]
    assert not sender.intake.is_empty
    assert sender.reading.take(1) == [b"a"]
    assert sender.reading.take(9) == [b"bb"]
    assert sender.reading.take(9) == []
    assert sender.connection.is_paused(), "what is taken is not processed yet"
    sender.reading.batch_consumed()
    assert not sender.connection.is_paused()
    assert sender.intake.is_empty


def test_bytes_that_wait_count_with_their_headers_and_with_what_is_unfinished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender = OneSender()
    counted: list[int] = []
    monkeypatch.setattr(sender.intake, "reserve", counted.append)
    sender.reading.receive_data(TWO + b"\x09unf")
    assert counted == [len(TWO) + 4]


def test_the_end_of_the_stream_completes_a_last_line() -> None:
    sender = OneSender(has_lines=True)
    sender.reading.receive_data(b"unfinished")
    assert sender.reading.receive_eof()
    assert sender.reading.take(9) == [b"unfinished"]


def test_the_end_of_the_stream_completes_no_frame() -> None:
    sender = OneSender()
    sender.reading.receive_data(b"\x05abc")
    assert not sender.reading.receive_eof()
    assert sender.engine.ready == []


# With a journal


def test_payloads_stand_in_the_journal_before_the_engine_hears_of_them() -> None:
    journal = NotedJournal()
    sender = OneSender(journal)
    sender.reading.receive_data(TWO + b"\x05un")
    assert journal.entries == [(PIPELINE, 2, TWO)]
    assert sender.engine.ready == [sender.reading]


def test_the_journal_hears_how_much_of_an_entry_is_taken() -> None:
    journal = NotedJournal()
    sender = OneSender(journal)
    sender.reading.receive_data(TWO)
    sender.reading.take(1)
    sender.reading.take(9)
    assert journal.taken == [(100, 1), (100, 1)]


def test_what_the_disk_refuses_waits_and_is_written_down_once_it_can_be() -> None:
    journal = NotedJournal(refusals=2)
    sender = OneSender(journal)
    sender.reading.receive_data(TWO)
    assert sender.engine.ready == []
    assert sender.connection.refusals == ["the disk is full"]
    sender.connection.pass_time()
    assert sender.engine.ready == []
    sender.connection.pass_time()
    assert sender.engine.ready == [sender.reading]
    assert len(journal.entries) == 1
    assert sender.connection.later == []


def test_what_waits_for_the_disk_is_not_written_down_before_the_end_of_a_replay() -> None:
    """It belongs behind what is replayed, in the journal too."""
    journal = NotedJournal(refusals=1)
    sender = OneSender(journal)
    sender.reading.receive_data(TWO)
    sender.intake.hold(HoldReason.REPLAY)
    sender.connection.pass_time()
    assert journal.entries == []
    sender.intake.release(HoldReason.REPLAY)
    sender.connection.pass_time()
    assert len(journal.entries) == 1


# When workers go back to a checkpoint


def test_what_stands_in_the_journal_is_forgotten_since_it_is_replayed() -> None:
    sender = OneSender(NotedJournal())
    sender.reading.receive_data(TWO)
    sender.reading.take(1)
    sender.reading.rewind()
    assert not sender.reading.has_records
    assert sender.intake.is_empty


def test_what_does_not_stand_in_the_journal_yet_is_kept() -> None:
    sender = OneSender(NotedJournal(refusals=1))
    sender.reading.receive_data(TWO)
    sender.reading.rewind()
    sender.connection.pass_time()
    assert sender.reading.take(9) == [b"a", b"bb"]


def test_a_connection_of_which_nothing_waits_does_not_notice() -> None:
    sender = OneSender(NotedJournal())
    sender.connection.pause()
    sender.reading.rewind()
    assert sender.connection.is_paused()


def test_the_journal_knows_where_and_when_records_were_read_if_they_need_times() -> None:
    journal = NotedJournal()
    sender = OneSender(journal)
    sender.reading.arrived(5)
    sender.reading.receive_data(b"\x01a")
    sender.reading.take(9)
    sender.reading.batch_consumed()
    sender.engine.is_timed = True
    sender.reading.arrived(7)
    sender.reading.receive_data(b"\x01b")
    assert journal.origins == [None, EntryOrigin(sender.reading.channel, 7)]
    assert sender.reading.origin == Origin(sender.reading.channel, 7)


def test_the_end_of_a_connection_ends_its_channel() -> None:
    sender = OneSender()
    sender.reading.end()
    assert sender.engine.closed_channels == [(PIPELINE, sender.reading.channel)]
