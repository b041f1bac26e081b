"""The clocks of a worker: watermarks go from sources over exchanges to states, and never back."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.timed import EVENT_TIME, at, kept, tcp
from tests.wallaroo.runtime.clock_cluster import MS, SECOND, ClockCluster, ClockWorker
from wallaroo.names import EdgeId, Epoch, WorkerName
from wallaroo.runtime.clocks import ReplayedChannel, Sender
from wallaroo.timing.clocks import Clock, Status, Watermark
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.topology.plan import Application

E1, E2 = Epoch(1), Epoch(2)
W1, W2 = WorkerName("w1"), WorkerName("w2")
EDGE = EdgeId(0)
START = 1_000 * SECOND


def one_source(time: Any = EVENT_TIME) -> Application:
    return kept(wallaroo.source("p", tcp(time)))


@wallaroo.computation("same")
def same(record: Any) -> Any:
    return record


def two_exchanges() -> Application:
    return kept(wallaroo.source("p", tcp()).to_parallel(same))


def two_sources() -> Application:
    one, two = wallaroo.source("p", tcp()), wallaroo.source("q", tcp(port=7011))
    return kept(one.merge(two.to_parallel(same)))


PLANS = [one_source(), two_exchanges(), two_sources()]


def alone(plan: Application) -> ClockWorker:
    worker = ClockWorker(plan, W1, (W1,))
    worker.flush(START)
    return worker


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", range(40))
def test_the_cuts_of_all_workers_hold_the_same_vector(plan: Application, seed: int) -> None:
    cluster = ClockCluster(plan, 3, seed)
    compared = 0
    for _ in range(40):
        cluster.run(60)
        if cluster.cuts:
            first, *others = cluster.vectors("seen")
            assert all(vector == first for vector in others)
            compared += 1
    assert compared


def test_without_holding_own_watermarks_the_cuts_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "hold_own", lambda self, sender: None)
    with pytest.raises(AssertionError):
        for seed in range(100):
            test_the_cuts_of_all_workers_hold_the_same_vector(PLANS[0], seed)


def test_without_a_watermark_before_each_barrier_the_cuts_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier_only: Any = lambda self, edge, now_ns: []  # noqa: E731
    monkeypatch.setattr("wallaroo.runtime.clocks.Clocks.pass_barrier", barrier_only)
    with pytest.raises(AssertionError):
        for seed in range(100):
            test_the_cuts_of_all_workers_hold_the_same_vector(PLANS[0], seed)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_clocks_of_all_workers_move_together(plan: Application, count: int) -> None:
    cluster = ClockCluster(plan, count)
    cluster.now_ns = START
    for worker in cluster.workers.values():
        for pipeline in range(len(plan.pipelines)):
            worker.clocks.processed(pipeline, 1, START + 7 * MS, START)
    cluster.settle()
    assert {each.work.advanced["seen"] for each in cluster.workers.values()} == {START + 7 * MS}
    _, *others = cluster.workers.values()
    for worker in others:
        worker.clocks.processed(0, 1, START + 20 * MS, cluster.now_ns)
    cluster.settle()
    held = START + 7 * MS
    assert {each.work.advanced["seen"] for each in cluster.workers.values()} == {held}
    cluster.now_ns += 20 * SECOND
    cluster.settle()
    expected = START + 20 * MS if others else held
    assert {each.work.advanced["seen"] for each in cluster.workers.values()} == {expected}


def test_a_quick_row_of_slices_is_evaluated_each_20_ms_and_the_last_one_too() -> None:
    worker = alone(one_source())
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START + 5 * MS)
    assert worker.work.advanced == {}
    assert worker.clocks.wake_ns == START + 20 * MS
    worker.flush(START + 20 * MS)
    assert worker.work.advanced == {"seen": START}


def test_a_worker_alone_sends_no_watermark() -> None:
    worker = alone(one_source())
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START + SECOND)
    assert worker.sent == []


def test_an_idle_source_is_noticed_without_a_record() -> None:
    worker = ClockWorker(one_source(), W1, (W1, W2))
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START)
    now_ns = START
    while (wake_ns := worker.clocks.wake_ns) is not None:
        assert wake_ns > now_ns
        now_ns = wake_ns
        worker.flush(now_ns)
    assert START + 10 * SECOND <= now_ns <= START + 11.25 * SECOND
    assert [message.content for message in worker.sent] == [
        Watermark(START),
        Watermark(START, Status.IDLE),
    ]


def test_records_that_wait_at_a_step_hold_the_watermark() -> None:
    @wallaroo.computation_batch("batch")
    def batch(records: list[Any]) -> list[Any]:
        return records

    worker = alone(kept(wallaroo.source("p", tcp()).to(batch)))
    worker.work.waiting[0] = START + 3 * MS
    worker.clocks.processed(0, 1, START + 9 * MS, START)
    worker.flush(START + SECOND)
    assert worker.work.advanced == {"seen": START + 3 * MS}
    worker.work.waiting.clear()
    worker.flush(START + 2 * SECOND)
    assert worker.work.advanced == {"seen": START + 9 * MS}


def test_ingest_time_moves_with_the_wall_clock_until_its_windows_are_over() -> None:
    worker = alone(one_source(None))
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START + 100 * MS)
    assert worker.work.advanced == {"seen": START + 100 * MS}
    now_ns = START
    while (wake_ns := worker.clocks.wake_ns) is not None:
        assert wake_ns - now_ns <= 1.25 * SECOND
        now_ns = wake_ns
        worker.flush(now_ns)
    assert worker.work.advanced["seen"] == START + SECOND + 1


def test_ingest_time_does_not_overtake_what_was_read_and_waits() -> None:
    worker = alone(one_source(None))
    worker.clocks.processed(0, 1, START, START)
    worker.work.unprocessed[0] = START + 4 * MS
    worker.flush(START + 100 * MS)
    assert worker.work.advanced == {"seen": START + 4 * MS}


def test_a_quiet_source_advances_only_if_all_others_are_idle() -> None:
    plan = one_source(wallaroo.event_time(at, when_quiet="advance"))
    worker = ClockWorker(plan, W1, (W1, W2))
    worker.clocks.processed(0, 1, START, START)
    worker.clocks.received(EDGE, W2, E1, Watermark(START + 5 * MS))
    for second in range(1, 13):
        worker.flush(START + second * SECOND)
    assert worker.work.advanced == {"seen": START + 5 * MS}
    worker.clocks.received(EDGE, W2, E1, Watermark(START + 5 * MS, Status.IDLE))
    for second in range(13, 15):
        worker.flush(START + second * SECOND)
    assert worker.work.advanced == {"seen": START + SECOND}


def test_a_source_too_far_ahead_waits_for_the_slowest() -> None:
    plan = one_source(wallaroo.event_time(at, align=wallaroo.seconds(1)))
    worker = ClockWorker(plan, W1, (W1, W2))
    worker.clocks.received(EDGE, W2, E1, Watermark(START))
    worker.clocks.processed(0, 1, START + 3 * SECOND, START)
    worker.flush(START)
    assert worker.clocks.blocks(0)
    worker.clocks.received(EDGE, W2, E1, Watermark(START + 2 * SECOND))
    worker.flush(START + SECOND)
    assert not worker.clocks.blocks(0)


def test_all_clocks_end_when_all_sources_have_ended() -> None:
    cluster = ClockCluster(two_sources(), 3)
    cluster.now_ns = START
    cluster.workers[W1].clocks.processed(0, 1, START, START)
    cluster.settle()
    for worker in cluster.workers.values():
        worker.clocks.end_sources()
    cluster.settle()
    assert {each.work.advanced["seen"] for each in cluster.workers.values()} == {END}


def test_an_ended_source_counts_no_more() -> None:
    worker = alone(two_sources())
    worker.clocks.processed(0, 1, START, START)
    worker.clocks.processed(1, 1, START + 9 * MS, START)
    worker.flush(START + SECOND)
    worker.clocks.end_source(0)
    for second in range(2, 5):
        worker.flush(START + second * SECOND)
    assert worker.work.advanced == {"seen": START + 9 * MS}


def test_a_replay_holds_the_watermark_and_its_connections_count_after_it() -> None:
    worker = ClockWorker(one_source(), W1, (W1,))
    worker.clocks.restore_sources([{0: START}, {0: START + SECOND}, {}], START + SECOND)
    worker.clocks.processed(0, ReplayedChannel("j", 1), START + 9 * SECOND, START)
    worker.clocks.processed(0, ReplayedChannel("j", 2), START + 5 * SECOND, START)
    worker.flush(START + 2 * SECOND)
    assert worker.work.advanced == {"seen": START}
    worker.clocks.replayed(START + 3 * SECOND)
    # The lost connections may come back for as long as any connection may be silent.
    worker.flush(START + 4 * SECOND)
    assert worker.work.advanced == {"seen": START}
    worker.flush(START + 14 * SECOND)
    assert worker.work.advanced == {"seen": START + 9 * SECOND}


def test_a_restored_clock_goes_on_from_where_its_state_is() -> None:
    worker = ClockWorker(one_source(), W1, (W1, W2))
    worker.clocks.catch_up("seen", START + 1)
    assert worker.clocks.states["seen"].time == START + 1
    worker.clocks.received(EDGE, W2, E1, Watermark(START, Status.IDLE))
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START)
    assert worker.work.advanced == {}
    worker.clocks.processed(0, 1, START + 2, START)
    worker.flush(START + SECOND)
    assert worker.work.advanced == {"seen": START + 2}


def test_a_worker_that_was_started_again_starts_anew_and_gets_all_watermarks() -> None:
    worker = ClockWorker(one_source(), W1, (W1, W2))
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START)
    worker.clocks.received(EDGE, W2, E1, Watermark(START + SECOND))
    worker.sent.clear()
    worker.carry_out(worker.clocks.set_members([(W1, E1), (W2, E2)]))
    worker.flush(START + 50 * MS)
    assert [message.content for message in worker.sent] == [Watermark(START)]
    assert worker.clocks.received(EDGE, W2, E1, Watermark(START + 2 * SECOND)) == []
    worker.clocks.received(EDGE, W2, E2, Watermark(START - SECOND))
    assert worker.clocks.states["seen"].vector[Sender(EDGE, W2)] == Watermark(START - SECOND)
    assert worker.clocks.states["seen"].time == START


def test_a_clock_waits_at_a_resize_for_what_each_worker_has_then() -> None:
    worker = ClockWorker(one_source(), W1, (W1, W2))
    worker.clocks.processed(0, 1, START + 5 * SECOND, START)
    worker.flush(START)
    worker.clocks.received(EDGE, W2, E1, Watermark(START))
    # Keys of the worker that leaves may have moved here, and their windows have fired less far.
    assert worker.clocks.set_members([(W1, E1)], is_resize=True) == []
    worker.clocks.send_again()
    worker.flush(START + SECOND)
    assert worker.clocks.states["seen"].time == START + 5 * SECOND


def test_a_source_that_waits_for_other_senders_is_waited_for_after_a_restore() -> None:
    plan = one_source(wallaroo.event_time(at, settle=wallaroo.seconds(5)))
    worker = ClockWorker(plan, W1, (W1,))
    assert worker.clocks.source_times() == {}
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START)
    assert worker.clocks.source_times() == {0: BEFORE_ALL}
    other = ClockWorker(one_source(), W1, (W1,))
    other.clocks.restore_sources([{0: START + 9 * SECOND}, {0: BEFORE_ALL}], START)
    other.clocks.replayed(START)
    other.clocks.processed(0, 1, START + 9 * SECOND, START)
    other.flush(START + SECOND)
    assert other.work.advanced == {}, "senders of the other worker may come back"


def test_if_all_are_idle_one_that_resumes_behind_the_clock_counts_at_once() -> None:
    worker = ClockWorker(one_source(), W1, (W1, W2))
    for other, time in ((W1, START), (W2, START + SECOND)):
        worker.clocks.received(EDGE, other, E1, Watermark(time, Status.IDLE))
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START)
    worker.clocks.received(EDGE, W2, E1, Watermark(START + 9 * SECOND))
    assert worker.clocks.states["seen"].time == START + SECOND, "records from here are waited for"
    worker.clocks.processed(0, 1, START + 2 * SECOND, START)
    worker.flush(START + SECOND)
    assert worker.clocks.states["seen"].time == START + 2 * SECOND


def test_one_source_that_has_ended_does_not_end_a_clock_while_the_other_is_idle() -> None:
    worker = alone(two_sources())
    worker.clocks.processed(1, 1, START, START)
    worker.clocks.end_source(0)
    worker.flush(START + SECOND)
    worker.flush(START + 20 * SECOND)
    assert worker.work.advanced == {"seen": START}


def test_a_last_barrier_ends_clocks_of_idle_sources() -> None:
    worker = alone(one_source())
    worker.clocks.processed(0, 1, START, START)
    worker.flush(START + 20 * SECOND)
    worker.clocks.end_sources()
    worker.flush(START + 21 * SECOND)
    assert worker.work.advanced == {"seen": END}
