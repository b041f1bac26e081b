"""Requests for resizes: one at a time, each when the cluster runs."""

from collections.abc import Sequence

from wallaroo.coordinator.events import Answer, ResizeRequested
from wallaroo.coordinator.resize_requests import ResizeRequests
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Held

A, B = WorkerName("a"), WorkerName("b")


def in_turn(requests: ResizeRequests, worker: WorkerName) -> int:
    return requests.ask([worker], [], in_turn=True)


def due(
    requests: ResizeRequests, *, is_running: bool = True, resting: Sequence[WorkerName] = ()
) -> ResizeRequested | None:
    return requests.due(
        1.0, is_running=is_running, may_come=lambda workers: {*workers}.isdisjoint(resting)
    )


def answer(request_id: int, *, ok: bool = True) -> Answer:
    return Answer(request_id, ok, "no", {"workers": []})


def test_a_request_in_turn_waits_for_the_one_before_it() -> None:
    requests = ResizeRequests()
    first, second = in_turn(requests, A), in_turn(requests, B)
    assert due(requests) == ResizeRequested(first, (A,), ())
    assert due(requests) is None
    requests.answered(answer(first))
    assert due(requests) == ResizeRequested(second, (B,), ())


def test_a_request_in_turn_waits_for_one_that_did_not_wait() -> None:
    requests = ResizeRequests()
    first = requests.ask([A], [], in_turn=False)
    assert due(requests) is not None
    in_turn(requests, B)
    assert due(requests) is None
    requests.answered(answer(first))
    assert due(requests) is not None


def test_a_request_in_turn_waits_until_the_cluster_runs() -> None:
    requests = ResizeRequests()
    in_turn(requests, A)
    assert due(requests, is_running=False) is None
    assert due(requests) is not None


def test_any_other_request_goes_to_the_coordinator_which_may_refuse_it() -> None:
    requests = ResizeRequests()
    requests.ask([A], [], in_turn=False)
    requests.ask([], [B], in_turn=False)
    assert due(requests, is_running=False) is not None
    assert due(requests, is_running=False) is not None


def test_no_request_waits_beyond_the_end_of_the_run() -> None:
    requests = ResizeRequests()
    ids = [in_turn(requests, A), in_turn(requests, B)]
    due(requests)
    outcomes = requests.end("the cluster has ended", 2.0)
    assert [each.answer for each in outcomes] == [
        Answer(request_id, False, "the cluster has ended", {}) for request_id in ids
    ]
    assert not requests.is_under_way
    assert due(requests) is None


def test_the_pause_is_split_into_the_barrier_and_the_time_in_which_keys_moved() -> None:
    requests = ResizeRequests()
    request_id = in_turn(requests, A)
    due(requests)
    requests.held(7, 10.0)
    requests.through(Held(Epoch(1), 7, [], 500_000), 13.0)
    # A late frame of a resize that was called off counts for nothing.
    requests.through(Held(Epoch(1), 6, [], 0), 20.0)
    requests.moved(14.0)
    requests.running(16.0)
    outcome = requests.answered(answer(request_id))
    assert outcome.started_s == 1.0
    assert outcome.answer.facts == {
        "workers": [],
        "pause_s": 6.0,
        "barrier_s": 2.5,
        "moving_s": 1.5,
    }


def test_a_refused_request_has_no_pause() -> None:
    requests = ResizeRequests()
    request_id = in_turn(requests, A)
    due(requests)
    assert requests.answered(answer(request_id, ok=False)).answer == answer(request_id, ok=False)


def test_a_worker_that_cannot_come_back_yet_holds_nobody_up() -> None:
    requests = ResizeRequests()
    returning, other = in_turn(requests, A), in_turn(requests, B)
    assert due(requests, resting=[A]) == ResizeRequested(other, (B,), ())
    requests.answered(answer(other))
    assert due(requests, resting=[A]) is None
    assert due(requests) == ResizeRequested(returning, (A,), ())
