"""One worker's way from epoch to epoch, without checkpoints: what it says upon which order."""

import pytest

from tests.wallaroo.worker.by_hand import (
    E1,
    E2,
    ME,
    A,
    B,
    WorkerByHand,
    assign,
    members,
)
from wallaroo.errors import StoreError
from wallaroo.names import CheckpointId, Epoch
from wallaroo.wire.control import (
    Counted,
    Drain,
    Drained,
    Failed,
    Join,
    Open,
    Opened,
    Ready,
    Release,
    Rewind,
    SourcesEnded,
    Stop,
)

STOP = CheckpointId(9)


def test_a_worker_joins_with_its_addresses_and_its_plan() -> None:
    worker = WorkerByHand()
    (join,) = worker.join()
    assert isinstance(join, Join)
    assert (join.epoch, join.name, join.pid) == (E1, ME, 4711)
    assert (join.data_address, join.hand_over_path) == ("me:1", "here/me")
    assert join.outline[0] == "application 'counts'"
    assert (join.journals, join.journal_folder) == ([], ""), "checkpoints are off"


def test_a_worker_is_ready_once_all_links_and_all_sinks_stand() -> None:
    worker = WorkerByHand()
    worker.join()
    worker.sink.are_connected.clear()
    assert worker.order(assign(E1, ME, A)) == []
    assert worker.link_up(A) == []
    worker.sink.are_connected.set()
    assert worker.pass_time() == [Ready(E1)]


def test_a_worker_alone_has_nobody_to_link_to() -> None:
    worker = WorkerByHand()
    worker.join()
    assert worker.order(assign(E1, ME)) == [Ready(E1)]
    assert worker.dialed == {}


def test_sources_listen_only_when_all_are_ready() -> None:
    worker = WorkerByHand()
    worker.join()
    worker.order(assign(E1, ME))
    assert worker.source_ports.listener.address == ""
    assert worker.order(Open(E1)) == [Opened(E1)]
    assert worker.source_ports.listener.address == "127.0.0.1:7010"


def test_a_port_that_is_in_use_ends_the_run_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = WorkerByHand()
    worker.join()
    worker.order(assign(E1, ME))

    async def refuse(_: str) -> None:
        raise OSError("address already in use")

    monkeypatch.setattr(worker.source_ports.listener, "listen", refuse)
    *_, failed = worker.order(Open(E1))
    assert isinstance(failed, Failed)
    assert "address already in use" in failed.what
    assert worker.ended_with == failed.exit_code == 1


def test_a_worker_follows_the_successor_of_a_lost_one_and_says_so() -> None:
    worker = WorkerByHand().running(A, B)
    order = assign(E2, ME, A, B, members=members(ME, A, joining=[B]))
    assert worker.order(order) == [], "its link to the successor does not stand yet"
    assert worker.dialed[B].hello.receiver_incarnation == E2
    assert worker.link_up(B) == [Ready(E2)]
    assert worker.order(Open(E2)) == [Opened(E2)]


def test_what_a_worker_says_has_the_epoch_of_its_last_assignment() -> None:
    worker = WorkerByHand().running()
    assert worker.machine.epoch == E1
    worker.order(assign(E2, ME))
    worker.machine.send_counts()
    assert worker.pass_time() == [Counted(E2, ME, E1, {})]


def test_a_source_that_has_ended_is_told_of() -> None:
    worker = WorkerByHand().running()
    worker.machine.source_ended()
    assert worker.pass_time() == [SourcesEnded(E1, [], [])]


# Rewind


def test_a_worker_that_is_to_go_back_joins_again_as_if_just_started() -> None:
    worker = WorkerByHand().running(A)
    before = worker.machine.dataflow
    before.states["counts"].put("k", {"n": 1})
    (join,) = worker.order(Rewind(E2))
    assert isinstance(join, Join)
    assert join.epoch == worker.machine.epoch == E2
    assert worker.machine.dataflow is not before
    assert worker.machine.dataflow.states["counts"] == {}
    assert worker.carried[A].aborted
    assert worker.source_ports.listener.done == ["rewound"]


def test_nothing_goes_on_that_was_under_way_when_a_worker_goes_back() -> None:
    worker = WorkerByHand()
    worker.join()
    worker.order(assign(E1, ME, A))
    late = worker.dialed[A]
    worker.order(Rewind(E2))
    late.connected.set()
    assert worker.pass_time() == [], "it was not ready, and nobody waits for that any more"


def test_results_that_were_held_are_dropped_when_a_worker_goes_back() -> None:
    """They are made again. Written now, they could arrive before older results of their keys."""
    worker = WorkerByHand().running()
    worker.sinks.order.hold(1, [0])
    worker.sink.queue.append(b"held")
    worker.order(Rewind(E2))
    queue = worker.sink.queue
    assert (queue.is_holding, queue.queued_bytes) == (False, 0)


# Drain and ends


def test_a_worker_is_drained_once_its_sources_the_barrier_and_its_sinks_are_through() -> None:
    worker = WorkerByHand().running()
    assert worker.order(Drain(E1, STOP)) == []
    assert worker.source_ports.listener.done == ["drained"]
    worker.sink.are_flushed.set()
    assert worker.pass_time() == [Drained(E1, STOP, E1, {})]


def test_a_worker_that_is_told_to_stop_ends_with_status_0() -> None:
    worker = WorkerByHand().running()
    worker.order(Stop(E1))
    assert worker.ended_with == 0


def test_a_worker_that_cannot_go_on_first_says_what_it_has_counted_and_why() -> None:
    worker = WorkerByHand().running()
    worker.machine.sink_failed(StoreError("the sink is away", "start it"))
    counted, failed = worker.pass_time()
    assert isinstance(counted, Counted)
    assert failed == Failed(E1, ME, "the sink is away", "start it", StoreError.exit_code)
    assert worker.ended_with == StoreError.exit_code


def test_a_journal_that_cannot_be_read_on_ends_the_run() -> None:
    worker = WorkerByHand().running()
    worker.machine.source_failed(StoreError("byte 7 is damaged"))
    assert isinstance(worker.pass_time()[-1], Failed)


# Other orders


def test_results_are_released_but_for_sinks_that_are_still_held() -> None:
    worker = WorkerByHand().running()
    queue = worker.sink.queue
    worker.sinks.order.hold(3, [0])
    worker.order(Release(E1, 3, [0]))
    held = [queue.is_holding]
    worker.order(Release(E1, 3, []))
    assert [*held, queue.is_holding] == [True, False]


def test_a_frame_that_is_not_an_order_is_refused_and_the_worker_goes_on() -> None:
    worker = WorkerByHand().running()
    assert worker.order(Ready(E1)) == []
    (warned,) = worker.warned
    assert "Ready" in warned


def test_the_last_steps_of_a_worker_can_be_listed() -> None:
    worker = WorkerByHand().running()
    assert any("Open" in line for line in worker.machine.story)
    assert any("Opened" in line for line in worker.machine.story)


def test_an_epoch_never_goes_down() -> None:
    worker = WorkerByHand(Epoch(5))
    worker.join()
    worker.order(assign(Epoch(5), ME))
    worker.order(assign(Epoch(6), ME))
    assert worker.machine.epoch == 6
