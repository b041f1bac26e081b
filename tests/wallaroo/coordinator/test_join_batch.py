"""Who joins together, and who cannot."""

from wallaroo.coordinator.join_batch import JoinBatch
from wallaroo.names import WorkerName

A, B, C = (WorkerName(name) for name in "abc")


def test_one_that_is_to_come_alone_waits_for_nobody() -> None:
    assert JoinBatch().arrived(A, 1) == [A]


def test_several_are_complete_with_the_last_and_then_forgotten() -> None:
    joining = JoinBatch()
    assert joining.arrived(B, 3) == []
    assert joining.arrived(A, 3) == []
    assert joining.waiting == [B, A]
    assert joining.arrived(C, 3) == [B, A, C]
    assert joining.waiting == []
    assert joining.arrived(A, 1) == [A]


def test_one_that_gives_up_is_not_counted() -> None:
    joining = JoinBatch()
    joining.arrived(A, 2)
    joining.disconnected(A)
    joining.disconnected(C)
    assert joining.arrived(B, 2) == []
    assert joining.arrived(A, 2) == [B, A]


def test_one_that_comes_again_is_counted_once() -> None:
    joining = JoinBatch()
    joining.arrived(A, 2)
    assert joining.arrived(A, 2) == []


def test_all_are_to_wait_for_the_same_number() -> None:
    joining = JoinBatch()
    assert joining.refusal(3) == ""
    joining.arrived(A, 3)
    assert joining.refusal(3) == ""
    assert joining.refusal(2) == (
        "All joining workers must supply the same worker count. "
        "Current pending count is 3. You supplied 2."
    )
    joining.disconnected(A)
    assert joining.refusal(2) == ""


def test_nobody_waits_for_nobody() -> None:
    assert JoinBatch().refusal(0) == "Joining worker must supply a worker count greater than 0."
