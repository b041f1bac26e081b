"""A change of the members as one worker lives through it, step by step."""

from typing import Any

import pytest

from tests.wallaroo.ingest.senders import NotedStream
from tests.wallaroo.worker.by_hand import (
    E1,
    E2,
    ME,
    STATE,
    A,
    B,
    WorkerByHand,
    assign,
    members,
    partitions,
)
from wallaroo.checkpoint.departure import Departure
from wallaroo.errors import ClusterError
from wallaroo.ingest.connection_handover import ConnectionCopy, Offer
from wallaroo.ingest.split_sources import SplitSources
from wallaroo.names import CheckpointId, EdgeId, WorkerName
from wallaroo.wire.control import (
    FRAME_BYTES_MAX,
    CallOff,
    Delivered,
    Drained,
    Emptied,
    Empty,
    Gather,
    Gathered,
    Held,
    Hold,
    Leave,
    Moved,
    NotMoved,
    Open,
    Ready,
    Release,
)
from wallaroo.wire.data_frames import Barrier, MovedAll, MovedStates

RESIZE = 4
HOLD = CheckpointId(9)
EDGE = EdgeId(0)
KEYS = [f"k{number}" for number in range(50)]


def gather(before: list[WorkerName], after: list[WorkerName]) -> Gather:
    joining = [each for each in after if each not in before]
    return Gather(
        E1, RESIZE, members(*before, joining=joining), [*after], [partitions(*after).to_wire()]
    )


def gathered(*, joins: bool = False, leaves: bool = False) -> WorkerByHand:
    """A worker beside ``a``, ready to become others: ``b`` joins, or this one leaves."""
    worker = WorkerByHand().running(A)
    after = [A] if leaves else [ME, A, B] if joins else [ME, A]
    assert worker.order(gather([ME, A], after)) == ([] if joins else [Gathered(E1, RESIZE)])
    if joins:
        assert worker.link_up(B) == [Gathered(E1, RESIZE)]
    return worker


def fill(worker: WorkerByHand) -> list[str]:
    """Give the worker a state object for each of its keys; return these."""
    own = [key for key in KEYS if partitions(ME, A).owner_of(key) == ME]
    worker.machine.dataflow.states[STATE].install({key: {"n": 1} for key in own})
    return own


def hold(worker: WorkerByHand, *others: WorkerName) -> list[Any]:
    """Have the barrier of the resize go through; return what the worker says."""
    said = worker.order(Hold(E1, RESIZE, HOLD))
    for other in others:
        said += worker.comes_from(other, Barrier(0, E1, HOLD, EDGE))
    return said


# Before anything pauses


def test_a_worker_links_to_those_who_join_before_it_says_that_it_is_prepared() -> None:
    worker = WorkerByHand().running(A)
    assert worker.order(gather([ME, A], [ME, A, B])) == []
    assert worker.dialed[B].hello.receiver_incarnation == E2
    assert worker.link_up(B) == [Gathered(E1, RESIZE)]


def test_keys_are_not_looked_for_while_a_journal_is_replayed() -> None:
    worker = WorkerByHand().running(A)
    worker.source_ports.replayed.clear()
    assert worker.order(gather([ME, A], [ME, A])) == []
    worker.source_ports.replayed.set()
    assert worker.pass_time() == [Gathered(E1, RESIZE)]


def test_one_that_joins_waits_for_links_and_sinks() -> None:
    worker = WorkerByHand(E2)
    worker.join()
    order = Gather(E1, RESIZE, members(A, joining=[ME]), [A, ME], [partitions(A, ME).to_wire()])
    worker.sink.are_connected.clear()
    assert worker.order(order) == []
    assert worker.link_up(A) == []
    worker.sink.are_connected.set()
    assert worker.pass_time() == [Gathered(E1, RESIZE)]


# One that leaves


def sender(worker: WorkerByHand) -> ConnectionCopy:
    """Connect a sender to the worker."""
    copy = ConnectionCopy(0, b"begin", NotedStream())
    worker.source_ports.listener.handed_out.append(copy)
    worker.source_ports.listener.connection_count = 1
    return copy


def test_one_that_leaves_gives_its_connections_to_a_worker_of_the_same_host() -> None:
    worker = gathered(leaves=True)
    copy = sender(worker)
    worker.hand_over.takes = set
    assert worker.order(Empty(E1, RESIZE, ["elsewhere/c", "here/a"])) == [Emptied(E1, RESIZE)]
    assert worker.hand_over.offers == [(Offer(RESIZE, ME, 1), {"here/a": [copy]})]
    assert worker.source_ports.listener.done == ["stopped accepting"]


def test_if_nobody_takes_them_connections_are_closed_when_what_was_sent_is_read() -> None:
    worker = gathered(leaves=True)
    sender(worker)
    worker.hand_over.takes = lambda _: set()
    assert worker.order(Empty(E1, RESIZE, ["here/a"])) == [Emptied(E1, RESIZE)]
    assert worker.source_ports.listener.done == ["stopped accepting", "drained"]
    (warned,) = worker.warned
    assert "cannot be handed over" in warned


def test_without_a_worker_on_its_host_nobody_is_asked() -> None:
    worker = gathered(leaves=True)
    sender(worker)
    assert worker.order(Empty(E1, RESIZE, ["elsewhere/a"])) == [Emptied(E1, RESIZE)]
    assert worker.hand_over.offers == []
    assert "on this host" in worker.warned[0]


def test_what_one_taker_does_not_take_is_dealt_anew_to_the_others() -> None:
    worker = gathered(leaves=True)
    for _ in range(4):
        sender(worker)
    worker.hand_over.takes = lambda paths: {path for path in paths if path != "here/b"}
    worker.order(Empty(E1, RESIZE, ["here/a", "here/b"]))
    (_, first), (again, second) = worker.hand_over.offers
    assert first.keys() == {"here/a", "here/b"}
    assert (again.attempt, [*second]) == (2, ["here/a"])
    assert len(second["here/a"]) == 4
    assert worker.warned == []


def test_a_worker_that_was_to_leave_listens_again_when_that_is_called_off() -> None:
    worker = gathered(leaves=True)
    worker.order(Empty(E1, RESIZE, ["here/a"]))
    worker.source_ports.listener.address = ""
    worker.order(CallOff(E1, RESIZE, "a was lost"))
    assert worker.source_ports.listener.address == "127.0.0.1:7010"


# The pause


def test_a_worker_gives_what_moves_when_the_barrier_is_through_and_not_before() -> None:
    worker = gathered(joins=True)
    fill(worker)
    worker.carried_to(B)
    assert worker.order(Hold(E1, RESIZE, HOLD)) == []
    assert not [each for each in worker.carried_to(B) if isinstance(each, MovedStates)]
    (held,) = worker.comes_from(A, Barrier(0, E1, HOLD, EDGE))
    assert isinstance(held, Held)
    assert (held.epoch, held.resize, held.left, held.owed_sinks) == (E1, RESIZE, [], [])
    *states, end = worker.carried_to(B)
    then = partitions(ME, A, B)
    moved = [key for key in KEYS if partitions(ME, A).owner_of(key) == ME != then.owner_of(key)]
    to_b = [key for key in moved if then.owner_of(key) == B]
    assert isinstance(end, MovedAll)
    assert end.key_count == len(to_b) > 0
    assert all(isinstance(each, MovedStates) for each in states)


def test_positions_that_do_not_fit_into_a_frame_call_the_resize_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    share = {0: {"splits": {"a": ["at", [b"x" * FRAME_BYTES_MAX, 0]]}}}
    monkeypatch.setattr(SplitSources, "positions_of", lambda *_: share)
    worker = gathered(joins=True)
    (refused,) = hold(worker, A)
    assert isinstance(refused, NotMoved)
    assert "more than fit into one frame" in refused.reason


def test_a_worker_has_everything_when_all_others_have_given() -> None:
    worker = gathered(joins=True)
    hold(worker, A)
    assert worker.comes_from(A, MovedAll(0, RESIZE, 0)) == [Moved(E1, RESIZE, 0, 0)]


def test_what_was_given_for_a_resize_that_was_called_off_is_dropped() -> None:
    worker = gathered(joins=True)
    worker.order(CallOff(E1, RESIZE, "b was lost"))
    assert worker.comes_from(A, MovedAll(0, RESIZE, 0)) == []


def test_a_worker_says_which_sinks_lack_what_it_wrote_before_the_barrier() -> None:
    worker = gathered()
    worker.sink.write([b"result"])
    (*_, held) = hold(worker, A)
    assert isinstance(held, Held)
    assert held.owed_sinks == [0]


def test_one_that_leaves_tells_what_it_leaves_behind() -> None:
    worker = gathered(leaves=True)
    worker.order(Empty(E1, RESIZE, ["here/a"]))
    (*_, held) = hold(worker, A)
    assert isinstance(held, Held)
    departure = Departure.from_wire(held.left)
    assert (departure.worker, departure.handed_over) == (ME, 1)


def test_a_hold_of_a_resize_that_was_called_off_holds_nothing() -> None:
    worker = gathered(joins=True)
    worker.order(CallOff(E1, RESIZE, "b was lost"))
    assert hold(worker) == []


def test_when_a_resize_is_called_off_links_to_those_who_would_have_joined_end() -> None:
    worker = gathered(joins=True)
    worker.order(CallOff(E1, RESIZE, "b was lost"))
    assert worker.carried[B].aborted
    assert not worker.carried[A].aborted


def test_keys_are_deleted_until_states_are_sent_and_again_if_the_resize_is_called_off() -> None:
    worker = gathered(joins=True)
    first, second, third = fill(worker)[:3]
    machine = worker.machine
    assert machine.delete_key(STATE, first)
    assert not machine.delete_key(STATE, first)
    worker.order(Hold(E1, RESIZE, HOLD))
    with pytest.raises(ClusterError, match="are being moved"):
        machine.delete_key(STATE, second)
    assert second in machine.dataflow.states[STATE]
    worker.order(CallOff(E1, RESIZE, "b was lost"))
    assert machine.delete_key(STATE, second)
    (of_a, *_) = [key for key in KEYS if partitions(ME, A).owner_of(key) == A]
    with pytest.raises(ClusterError, match="is not here"):
        machine.delete_key(STATE, of_a)
    assert third in machine.dataflow.states[STATE]


# After the commit


def test_new_members_are_followed_and_keys_that_moved_are_gone() -> None:
    worker = gathered(joins=True)
    fill(worker)
    hold(worker, A)
    worker.comes_from(A, MovedAll(0, RESIZE, 0))
    order = assign(E2, ME, A, B, members=members(ME, A, joining=[B]), resize=RESIZE, barrier=HOLD)
    assert worker.order(order) == [Ready(E2)]
    own = worker.machine.dataflow.states[STATE]
    assert own
    assert {partitions(ME, A, B).owner_of(key) for key in own} == {ME}


def committed_with_departure(*, attempt: int) -> tuple[WorkerByHand, NotedStream]:
    """The members are ``me`` alone, and ``a`` had offered the connection of a sender."""
    worker = WorkerByHand().running(A)
    worker.order(gather([ME, A], [ME]))
    stream = NotedStream()
    assert worker.machine.connections_offered(Offer(RESIZE, A, 1), [ConnectionCopy(0, b"", stream)])
    hold(worker, A)
    worker.comes_from(A, MovedAll(0, RESIZE, 0))
    left = Departure(A, [], {}, [], {}, attempt).to_wire()
    worker.order(
        assign(
            E2, ME, members=members(ME), resize=RESIZE, barrier=HOLD, left=[left], held_sinks=[0]
        )
    )
    worker.order(Open(E2))
    return worker, stream


def test_connections_of_one_that_left_are_read_on() -> None:
    worker, stream = committed_with_departure(attempt=1)
    assert [each.stream for each in worker.source_ports.listener.taken_over] == [stream]


def test_connections_that_went_elsewhere_at_another_attempt_are_given_up() -> None:
    worker, stream = committed_with_departure(attempt=2)
    assert worker.source_ports.listener.taken_over == []
    assert stream.is_closed


def test_connections_that_nobody_expects_are_refused() -> None:
    worker = WorkerByHand().running(A)
    assert not worker.machine.connections_offered(Offer(RESIZE, A, 1), [])


def test_new_results_wait_for_those_that_others_still_owe() -> None:
    worker, _ = committed_with_departure(attempt=1)
    worker.sink.write([b"new"])
    assert worker.sink.queue.waiting_bytes == 0
    worker.order(Release(E2, RESIZE, []))
    assert worker.sink.queue.waiting_bytes == 3


@pytest.mark.parametrize("is_told", [True, False], ids=["released", "not released"])
def test_one_that_leaves_ends_only_when_it_is_told_that_its_results_need_not_wait(
    is_told: bool,
) -> None:
    """It may hold results behind those of another worker from a resize before."""
    worker = gathered(leaves=True)
    worker.sinks.order.hold(RESIZE - 1, [0])
    worker.sink.write([b"held"])
    worker.order(Empty(E1, RESIZE, ["here/a"]))
    hold(worker, A)
    assert worker.order(Leave(E2, RESIZE)) == []
    if is_told:
        worker.order(Release(E2, RESIZE - 1, []))
    assert (worker.sink.queue.waiting_bytes == 4) is is_told


def test_one_that_leaves_reports_what_it_delivers_and_in_the_end_that_it_is_drained() -> None:
    worker = gathered(leaves=True)
    worker.sink.write([b"result"])
    worker.order(Empty(E1, RESIZE, ["here/a"]))
    hold(worker, A)
    assert worker.order(Leave(E2, RESIZE)) == []
    worker.sink.settled_bytes = 6
    worker.sink.are_flushed.set()
    delivered, drained = worker.pass_time()
    assert delivered == Delivered(E1, RESIZE, [])
    assert drained == Drained(E2, HOLD, E1, {})
    assert "let go" in worker.source_ports.listener.done
