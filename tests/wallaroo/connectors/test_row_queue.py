"""Rows of a sink: their order, batches, sizes, and what is held back."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.connectors.row_queue import RowQueue
from wallaroo.connectors.row_sizes import UNKNOWN_BYTES, estimated_bytes


@dataclass
class Order:
    user: str
    items: list[int]


class Unmeasurable:
    def __sizeof__(self) -> int:
        raise RuntimeError("it has no size")


def all_of(queue: RowQueue) -> list[list[Any]]:
    batches = []
    while queue.has_waiting:
        batches.append([*queue.take()])
        queue.written()
    return batches


def test_a_batch_ends_with_the_row_that_fills_it() -> None:
    queue = RowQueue(records_max=3, bytes_max=10)
    for _ in range(2):
        queue.append([b"1", b"22", b"333"])
    queue.append([b"x" * 20, b"y" * 20])
    assert all_of(queue) == [
        [b"1", b"22", b"333"],
        [b"1", b"22", b"333"],
        [b"x" * 20],
        [b"y" * 20],
    ]
    assert queue.queued_bytes == 0


def test_a_batch_that_is_not_written_comes_again_alone() -> None:
    queue = RowQueue()
    queue.append([b"a"])
    assert queue.take() == [b"a"]
    queue.append([b"b"])
    assert queue.take() == [b"a"]
    queue.written()
    assert queue.take() == [b"b"]


def test_refused_rows_leave_with_their_batch() -> None:
    queue = RowQueue()
    queue.append([b"good", b"bad"])
    queue.take()
    queue.keep([b"good"])
    assert queue.take() == [b"good"]
    queue.written()
    assert (queue.queued_bytes, queue.has_waiting) == (0, False)


def test_the_list_that_is_appended_may_change() -> None:
    queue, rows = RowQueue(), [1, 2]
    queue.append(rows)
    rows.clear()
    assert queue.take() == [1, 2]


def test_rows_behind_a_hold_wait_and_may_be_forgotten() -> None:
    queue = RowQueue()
    queue.append([b"a"])
    queue.hold(1)
    queue.append([b"b"])
    queue.hold(2)
    queue.append([b"c"])
    queue.release(2)
    assert all_of(queue) == [[b"a"]]
    queue.release(1)
    assert all_of(queue) == [[b"b", b"c"]]
    queue.hold(3)
    queue.append([b"d"])
    assert queue.queued_bytes == 1
    queue.drop_held()
    assert (queue.queued_bytes, queue.has_waiting) == (0, False)


@given(st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=9)), st.integers(1, 5))
def test_all_rows_come_out_in_their_order_and_all_bytes_are_settled(
    appended: list[list[bytes]], records_max: int
) -> None:
    queue = RowQueue(records_max, bytes_max=40)
    written = sum(queue.append(rows) for rows in appended)
    assert queue.queued_bytes == written
    batches = all_of(queue)
    assert [row for batch in batches for row in batch] == [row for rows in appended for row in rows]
    assert all(0 < len(batch) <= records_max for batch in batches)
    assert queue.queued_bytes == 0


def test_bytes_and_texts_count_with_their_lengths() -> None:
    assert estimated_bytes([b"abc", b"de"]) == 5
    assert estimated_bytes(["abc", "de"]) == 5


def test_other_rows_count_with_what_they_refer_to() -> None:
    small, large = Order("ann", [1]), Order("a" * 5000, [1])
    assert estimated_bytes([large]) > 5000 > estimated_bytes([small]) > 0
    assert estimated_bytes([large] * 1000) == 1000 * estimated_bytes([large])
    assert estimated_bytes([("key", b"x" * 3000)]) > 3000
    assert estimated_bytes([{"key": b"x" * 3000}]) > 3000


def test_rows_of_mixed_kinds_and_rows_without_a_size_count_too() -> None:
    assert estimated_bytes([b"abc", 5]) > 0
    assert estimated_bytes([Unmeasurable()]) == UNKNOWN_BYTES
