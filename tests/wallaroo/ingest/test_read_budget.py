"""Which readers pause when too much waits, and when something else comes first."""

from tests.wallaroo.ingest.senders import NotedReader
from wallaroo.ingest.read_budget import PENDING_BYTES_MAX, HoldReason, ReadBudget


def with_readers(count: int) -> tuple[ReadBudget, list[NotedReader]]:
    budget = ReadBudget()
    readers = [NotedReader() for _ in range(count)]
    for reader in readers:
        budget.add(reader)
    return budget, readers


def is_full(budget: ReadBudget) -> bool:
    return budget.is_full


def is_empty(budget: ReadBudget) -> bool:
    return budget.is_empty


def test_all_readers_pause_above_the_limit_until_half_of_it_is_processed() -> None:
    budget, readers = with_readers(2)
    steps = [
        (PENDING_BYTES_MAX, False),
        (1, True),
        (-1, True),
        (1 - PENDING_BYTES_MAX // 2, True),
        (-1, False),
        (PENDING_BYTES_MAX // 2, False),
        (1, True),
    ]
    for byte_count, is_paused in steps:
        if byte_count > 0:
            budget.reserve(byte_count)
        else:
            budget.free(-byte_count)
        assert {each.is_paused() for each in readers} == {is_paused}, byte_count
        assert is_full(budget) is is_paused


def test_a_budget_is_empty_once_everything_that_was_read_is_processed() -> None:
    budget, _ = with_readers(0)
    assert is_empty(budget)
    budget.reserve(5)
    budget.free(4)
    assert not is_empty(budget)
    budget.free(1)
    assert is_empty(budget)


def test_nobody_reads_during_a_replay_however_little_waits() -> None:
    budget, (reader,) = with_readers(1)
    budget.hold(HoldReason.REPLAY)
    assert reader.is_paused()
    assert is_full(budget)
    budget.release(HoldReason.REPLAY)
    assert not reader.is_paused()
    assert not is_full(budget)


def test_nobody_reads_while_connections_may_go_elsewhere() -> None:
    budget, (reader,) = with_readers(1)
    budget.hold(HoldReason.HAND_OVER)
    assert reader.is_paused()
    assert is_full(budget)
    budget.release(HoldReason.HAND_OVER)
    assert not reader.is_paused()


def test_the_budget_stays_full_until_the_last_reason_is_gone() -> None:
    budget, _ = with_readers(1)
    budget.hold(HoldReason.HAND_OVER)
    budget.hold(HoldReason.REPLAY)
    budget.reserve(PENDING_BYTES_MAX + 1)
    budget.release(HoldReason.HAND_OVER)
    assert is_full(budget)
    budget.release(HoldReason.REPLAY)
    assert is_full(budget)
    budget.free(PENDING_BYTES_MAX + 1)
    assert not is_full(budget)


def test_a_connection_that_comes_while_nobody_reads_is_paused_at_once() -> None:
    budget, _ = with_readers(0)
    budget.hold(HoldReason.REPLAY)
    late = NotedReader()
    budget.add(late)
    assert late.is_paused()


def test_a_connection_that_comes_when_much_waits_may_read_once() -> None:
    """What it has read then counts, and it pauses with the others."""
    budget, _ = with_readers(0)
    budget.reserve(PENDING_BYTES_MAX + 1)
    late = NotedReader()
    budget.add(late)
    assert not late.is_paused()


def test_a_connection_that_is_gone_is_not_asked_any_more() -> None:
    budget, (gone, stays) = with_readers(2)
    budget.remove(gone)
    budget.remove(gone)
    budget.hold(HoldReason.REPLAY)
    assert (gone.is_paused(), stays.is_paused()) == (False, True)
