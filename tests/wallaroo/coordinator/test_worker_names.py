"""Names of workers, in new clusters and in log lines."""

import pytest

from wallaroo.coordinator.worker_names import first_names, listed, next_names, refusal
from wallaroo.names import WorkerName

A, B = WorkerName("a"), WorkerName("b")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (2, "w1, w2"),
        (5, "w1, w2, w3, w4, w5"),
        (100, "w1, w10, w100, w11, w12, and 95 more"),
    ],
)
def test_a_log_line_names_five_workers_and_a_number(count: int, text: str) -> None:
    assert listed(reversed(first_names(count))) == text


def test_new_names_follow_the_highest_one() -> None:
    assert next_names([WorkerName("w3"), WorkerName("far")], 2) == ("w4", "w5")


def test_a_worker_that_has_left_may_come_back_unless_it_left_just_now() -> None:
    assert refusal([A], [], [B], []) == ""
    assert "has left" in refusal([A], [B], [B], [])
    assert "there is a worker a already" in refusal([A], [], [A], [])
