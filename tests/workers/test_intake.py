"""All connections of a worker together hold a bounded number of unprocessed bytes."""

from wallaroo.ingest.read_budget import PENDING_BYTES_MAX, HoldReason, ReadBudget


class Connection:
    is_reading = True

    def pause(self) -> None:
        self.is_reading = False

    def resume(self) -> None:
        self.is_reading = True


def test_beyond_the_limit_no_connection_reads() -> None:
    intake = ReadBudget()
    connections = [Connection() for _ in range(3)]
    for connection in connections:
        intake.add(connection)
    intake.reserve(PENDING_BYTES_MAX)
    assert all(connection.is_reading for connection in connections)
    intake.reserve(1)
    assert not any(connection.is_reading for connection in connections)


def test_all_read_on_when_half_is_processed() -> None:
    intake = ReadBudget()
    connection = Connection()
    intake.add(connection)
    intake.reserve(PENDING_BYTES_MAX + 1)
    intake.free(PENDING_BYTES_MAX // 2)
    assert not connection.is_reading
    intake.free(1)
    assert connection.is_reading


def test_a_connection_that_came_while_the_intake_was_full_reads_on_with_the_others() -> None:
    intake = ReadBudget()
    intake.reserve(PENDING_BYTES_MAX + 1)
    late = Connection()
    intake.add(late)
    assert intake.is_full
    late.pause()
    intake.free(PENDING_BYTES_MAX)
    assert late.is_reading


def test_a_connection_that_is_gone_is_left_alone() -> None:
    intake = ReadBudget()
    gone = Connection()
    intake.add(gone)
    intake.remove(gone)
    intake.reserve(PENDING_BYTES_MAX + 1)
    assert gone.is_reading


def test_held_readers_read_on_when_nothing_holds_them_any_more() -> None:
    intake = ReadBudget()
    early, late = Connection(), Connection()
    intake.add(early)
    intake.hold(HoldReason.HAND_OVER)
    intake.add(late)
    assert [early.is_reading, late.is_reading, intake.is_full] == [False, False, True]
    # The end of a replay resumes no reader that is held for a hand-over.
    intake.hold(HoldReason.REPLAY)
    intake.release(HoldReason.REPLAY)
    assert [intake.is_full] == [True]
    intake.release(HoldReason.HAND_OVER)
    assert [early.is_reading, late.is_reading, intake.is_full] == [True, True, False]


def test_it_is_empty_once_all_that_was_read_is_processed() -> None:
    intake = ReadBudget()
    found = [intake.is_empty]
    intake.reserve(5)
    intake.hold(HoldReason.HAND_OVER)
    found.append(intake.is_empty)
    intake.free(5)
    found.append(intake.is_empty)
    assert found == [True, False, True]
