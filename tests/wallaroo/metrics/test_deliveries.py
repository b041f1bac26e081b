"""What sinks have taken: counts and latencies, by turns of output."""

from wallaroo.metrics.deliveries import GRACE_NS, Deliveries

MS = 1_000_000


class Delivered:
    """Two pipelines: sinks 0 and 1 end the first one, sink 2 the second."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000 * MS
        self.made = [0, 0, 0]
        self.deliveries = Deliveries(3, [{0: [0], 1: [0]}, {2: [1]}], lambda: self.now_ns)

    def ran(self, sink: int, count: int, ago_ms: int = 3) -> None:
        self.made[sink] += count
        pipeline, counts = (0, self.made[:2]) if sink < 2 else (1, self.made[2:])
        self.deliveries.slice_processed(pipeline, self.now_ns - ago_ms * MS, counts)

    def hand(self, sink: int, byte_count: int) -> None:
        self.deliveries.output_queued(sink, byte_count, self.made[sink])
        self.made[sink] = 0

    def latencies_ms(self, pipeline: int = 0) -> tuple[int, float]:
        histogram = self.deliveries.take()[pipeline]
        return histogram.count, histogram.maximum / MS


def test_nothing_counts_before_the_sink_has_it() -> None:
    run = Delivered()
    run.ran(0, 5)
    run.hand(0, 100)
    run.deliveries.turn_flushed()
    run.deliveries.settled(0, 99)
    assert run.deliveries.pending_count(0) == 5
    assert run.latencies_ms() == (0, 0.0)
    run.deliveries.settled(0, 100)
    assert run.deliveries.pending_count(0) == 0
    assert run.latencies_ms() == (5, 3.0)


def test_a_look_shortly_after_does_not_make_latencies_longer() -> None:
    run = Delivered()
    run.ran(0, 1, ago_ms=3)
    run.hand(0, 10)
    run.now_ns += GRACE_NS
    run.deliveries.settled(0, 10)
    assert run.latencies_ms() == (1, 3.0)


def test_what_waits_longer_counts_until_it_is_found_to_be_there() -> None:
    run = Delivered()
    run.ran(0, 1, ago_ms=3)
    run.hand(0, 10)
    run.now_ns += 2_000 * MS
    assert run.deliveries.oldest_pending_s(0) == 2.0
    run.deliveries.settled(0, 10)
    assert run.latencies_ms() == (1, 2003.0)
    assert run.deliveries.oldest_pending_s(0) == 0.0


def test_turns_are_taken_one_after_the_other_and_in_part() -> None:
    run = Delivered()
    for count in (2, 3, 4):
        run.ran(0, count)
        run.hand(0, 10)
    run.deliveries.settled(0, 25)
    assert run.deliveries.pending_count(0) == 4
    run.deliveries.settled(0, 30)
    assert run.latencies_ms()[0] == 9


def test_each_slice_of_a_turn_counts_with_its_own_time() -> None:
    run = Delivered()
    run.ran(0, 2, ago_ms=1)
    run.ran(0, 3, ago_ms=8)
    run.hand(0, 50)
    run.deliveries.settled(0, 50)
    [histogram, _] = run.deliveries.take()
    assert histogram.count == 5
    assert histogram.total == (2 * 1 + 3 * 8) * MS


def test_one_sink_that_is_gone_does_not_hold_up_another() -> None:
    run = Delivered()
    for sink in (0, 1, 2):
        run.ran(sink, 7)
        run.hand(sink, 70)
    run.deliveries.settled(1, 70)
    run.deliveries.settled(2, 70)
    assert [run.deliveries.pending_count(sink) for sink in (0, 1, 2)] == [7, 0, 0]
    first, second = run.deliveries.take()
    assert (first.count, second.count) == (7, 7)


def test_a_slice_without_results_takes_no_part() -> None:
    run = Delivered()
    run.ran(0, 2, ago_ms=1)
    run.ran(0, 0, ago_ms=500)
    run.ran(1, 3, ago_ms=4)
    run.hand(0, 10)
    run.hand(1, 10)
    run.deliveries.settled(0, 10)
    run.deliveries.settled(1, 10)
    assert run.latencies_ms() == (5, 4.0)


def test_results_without_a_time_count_but_have_no_latency() -> None:
    run = Delivered()
    run.deliveries.slice_processed(0, 0, [4, 0])
    run.deliveries.output_queued(0, 40, 4)
    assert run.deliveries.pending_count(0) == 4
    run.deliveries.settled(0, 40)
    assert run.latencies_ms() == (0, 0.0)


def test_after_going_back_what_was_on_its_way_counts_for_nothing() -> None:
    run = Delivered()
    run.ran(0, 5)
    run.hand(0, 100)
    run.deliveries.restart()
    assert run.deliveries.pending_count(0) == 0
    # The sink still gets the old bytes first, so the numbers of bytes go on.
    run.ran(0, 2)
    run.hand(0, 20)
    run.deliveries.settled(0, 100)
    assert run.deliveries.pending_count(0) == 2
    run.deliveries.settled(0, 120)
    assert run.latencies_ms()[0] == 2


def test_the_oldest_record_of_a_turn_is_known_until_it_is_flushed() -> None:
    run = Delivered()
    run.ran(0, 1, ago_ms=3)
    run.ran(0, 0, ago_ms=9)
    assert dict(run.deliveries.oldest_ns) == {0: run.now_ns - 9 * MS}
    run.deliveries.turn_flushed()
    assert dict(run.deliveries.oldest_ns) == {}


def test_latencies_of_a_shared_sink_count_for_each_pipeline_that_its_records_took() -> None:
    now_ns = 1_000 * MS
    ends = [{0: [0, 2]}, {0: [1]}, {0: [2]}]
    deliveries = Deliveries(1, ends, lambda: now_ns)
    deliveries.slice_processed(0, now_ns - 3 * MS, [4])
    deliveries.slice_processed(1, now_ns - 5 * MS, [5])
    deliveries.output_queued(0, 100, 5)
    deliveries.turn_flushed()
    deliveries.settled(0, 100)
    found = [(each.count, each.maximum / MS) for each in deliveries.take()]
    assert found == [(4, 3.0), (1, 5.0), (4, 3.0)]
