"""All connections of a worker together hold a bounded number of unprocessed bytes."""

from wallaroo.ingest.read_budget import PENDING_BYTES_MAX, ReadBudget


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
    intake.took(PENDING_BYTES_MAX)
    assert all(connection.is_reading for connection in connections)
    intake.took(1)
    assert not any(connection.is_reading for connection in connections)


def test_all_read_on_when_half_is_processed() -> None:
    intake = ReadBudget()
    connection = Connection()
    intake.add(connection)
    intake.took(PENDING_BYTES_MAX + 1)
    intake.gave(PENDING_BYTES_MAX // 2)
    assert not connection.is_reading
    intake.gave(1)
    assert connection.is_reading


def test_a_connection_that_came_while_the_intake_was_full_reads_on_with_the_others() -> None:
    intake = ReadBudget()
    intake.took(PENDING_BYTES_MAX + 1)
    late = Connection()
    intake.add(late)
    assert intake.is_full
    late.pause()
    intake.gave(PENDING_BYTES_MAX)
    assert late.is_reading


def test_a_connection_that_is_gone_is_left_alone() -> None:
    intake = ReadBudget()
    gone = Connection()
    intake.add(gone)
    intake.remove(gone)
    intake.took(PENDING_BYTES_MAX + 1)
    assert gone.is_reading


def test_at_rest_nobody_reads_until_all_are_woken() -> None:
    intake = ReadBudget()
    early, late = Connection(), Connection()
    intake.add(early)
    intake.rest()
    intake.add(late)
    assert [early.is_reading, late.is_reading, intake.is_full] == [False, False, True]
    # A replay that ends meanwhile wakes nobody: readers ask whether they may.
    intake.shut()
    intake.open()
    assert [intake.is_full] == [True]
    intake.wake()
    assert [early.is_reading, late.is_reading, intake.is_full] == [True, True, False]


def test_it_is_empty_once_all_that_was_read_is_processed() -> None:
    intake = ReadBudget()
    found = [intake.is_empty]
    intake.took(5)
    intake.rest()
    found.append(intake.is_empty)
    intake.gave(5)
    found.append(intake.is_empty)
    assert found == [True, False, True]
