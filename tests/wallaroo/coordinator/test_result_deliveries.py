"""Who waits for whom after a resize, so that results keep their order."""

from tests.wallaroo.coordinator.story import membership
from wallaroo.coordinator.cluster_state import ClusterState
from wallaroo.coordinator.events import Effect, Send
from wallaroo.coordinator.result_deliveries import ResultDeliveries
from wallaroo.metrics.totals import Totals
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Delivered, Release

A, B, C = WorkerName("a"), WorkerName("b"), WorkerName("c")


def new_deliveries() -> ResultDeliveries:
    return ResultDeliveries(ClusterState(membership(), Totals(is_durable=False)))


def delivered(deliveries: ResultDeliveries, worker: WorkerName, *owed: int) -> list[Effect]:
    return deliveries.delivered(worker, Delivered(Epoch(1), 1, [*owed]))


def still_held(effects: list[Effect]) -> dict[int, list[int]]:
    """By resize, what workers are told to hold any longer."""
    released = [effect.frame for effect in effects if isinstance(effect, Send)]
    return {each.resize: each.held_sinks for each in released if isinstance(each, Release)}


def test_nothing_is_held_if_nobody_owes_anything() -> None:
    deliveries = new_deliveries()
    assert deliveries.begin(1, {A: [], B: []}) == []
    assert deliveries.announced(1) == []
    assert delivered(deliveries, A) == []
    assert deliveries.settled(A) == []


def test_a_sink_is_held_until_the_last_worker_has_delivered() -> None:
    deliveries = new_deliveries()
    assert deliveries.begin(1, {A: [0, 2], B: [2], C: []}) == [0, 2]
    assert len(deliveries.announced(1)) == 1
    assert still_held(delivered(deliveries, A, 2)) == {1: [2]}
    assert delivered(deliveries, A) == []
    assert still_held(delivered(deliveries, B)) == {1: []}
    assert delivered(deliveries, B) == []


def test_a_worker_that_is_gone_owes_nothing_of_any_resize() -> None:
    deliveries = new_deliveries()
    deliveries.begin(1, {A: [0], B: [1]})
    deliveries.begin(2, {A: [0]})
    assert still_held(deliveries.settled(A)) == {1: [1], 2: []}
    assert deliveries.settled(A) == []
    assert deliveries.settled(C) == []


def test_a_worker_that_leaves_is_told_what_it_need_not_hold_any_longer() -> None:
    state = ClusterState(membership(), Totals(is_durable=False))
    deliveries = ResultDeliveries(state)
    leaver = WorkerName("leaver")
    deliveries.begin(1, {A: [0]})
    # It holds results behind those of A, so it owes them to the sink when it leaves.
    deliveries.begin(2, {leaver: [0]})
    (release,) = delivered(deliveries, A)
    assert isinstance(release, Send)
    assert release.workers == (*state.workers, leaver)
    (release,) = deliveries.delivered(leaver, Delivered(Epoch(1), 2, []))
    assert isinstance(release, Send)
    assert release.workers == state.workers


def test_a_report_cannot_add_a_debt() -> None:
    deliveries = new_deliveries()
    deliveries.begin(1, {A: [0]})
    assert delivered(deliveries, A, 0, 1) == []
    assert still_held(delivered(deliveries, A)) == {1: []}


def test_after_a_recovery_nothing_is_held() -> None:
    deliveries = new_deliveries()
    deliveries.begin(1, {A: [0]})
    deliveries.forget()
    assert delivered(deliveries, A) == []
    assert deliveries.settled(A) == []
