"""Clocks: what a vector gives, what never goes back, and that all workers cut the same time."""

from hypothesis import given
from hypothesis import strategies as st

from tests.wallaroo.timing.cut_model import ClusterModel, FaultyClock
from wallaroo.timing.clocks import (
    Clock,
    ClockSender,
    Status,
    Watermark,
    combine,
    of_stage,
    passed_on,
)
from wallaroo.timing.instants import BEFORE_ALL, END

ACTIVE, IDLE, ENDED = Status

WATERMARKS = st.builds(Watermark, st.integers(-100, 100), st.sampled_from(Status))


def clock_of(**watermarks: Watermark) -> Clock[str]:
    clock = Clock(watermarks)
    for sender, watermark in watermarks.items():
        clock.receive(sender, watermark)
    return clock


@given(st.lists(WATERMARKS, min_size=1))
def test_a_vector_gives_what_three_lines_say(watermarks: list[Watermark]) -> None:
    active = [time for time, status in watermarks if status is ACTIVE]
    idle = [time for time, status in watermarks if status is IDLE]
    expected = min(active) if active else max(idle) if idle else END
    assert combine(watermarks) == expected


def test_a_clock_waits_for_a_sender_that_has_sent_nothing() -> None:
    clock = Clock(["a", "b"])
    assert not clock.receive("a", Watermark(7))
    assert clock.time == BEFORE_ALL
    assert clock.receive("b", Watermark(5))
    assert clock.time == 5


def test_an_ended_sender_beside_an_idle_one_does_not_end_the_clock() -> None:
    clock = clock_of(a=Watermark(END, ENDED), b=Watermark(5, IDLE))
    assert clock.time == 5


def test_all_senders_together_end_the_clock() -> None:
    assert clock_of(a=Watermark(END, ENDED), b=Watermark(END, ENDED)).time == END


def test_if_all_are_idle_the_one_that_is_furthest_counts() -> None:
    assert clock_of(a=Watermark(3, IDLE), b=Watermark(9, IDLE)).time == 9


def test_a_sender_that_resumes_behind_the_clock_holds_it_but_does_not_move_it_back() -> None:
    clock = clock_of(a=Watermark(3, IDLE), b=Watermark(9))
    assert clock.time == 9
    clock.receive("a", Watermark(3))
    assert not clock.receive("b", Watermark(12))
    assert clock.time == 9
    assert clock.vector["a"] == Watermark(3)


def test_a_worker_that_joins_stops_the_clock_until_its_first_watermark() -> None:
    clock = clock_of(a=Watermark(5))
    clock.set_senders(["a", "b"])
    clock.receive("a", Watermark(8))
    assert clock.time == 5
    clock.receive("b", Watermark(7))
    assert clock.time == 7


def test_a_worker_that_leaves_is_not_waited_for() -> None:
    clock = clock_of(a=Watermark(5), b=Watermark(2))
    assert clock.set_senders(["a"])
    assert clock.time == 5


def test_a_clock_stays_if_a_watermark_goes_back() -> None:
    clock = clock_of(a=Watermark(5))
    assert not clock.receive("a", Watermark(4))
    assert (clock.time, clock.vector) == (5, {"a": Watermark(4)})


@given(st.lists(st.tuples(st.sampled_from("abc"), WATERMARKS), max_size=30))
def test_a_clock_is_always_the_highest_time_that_its_vector_gave(
    received: list[tuple[str, Watermark]],
) -> None:
    clock, highest = Clock("abc", lambda sender: sender in "ab"), BEFORE_ALL
    for sender, watermark in received:
        clock.receive(sender, watermark)
        stages = [clock.vector["a"], clock.vector["b"]], [clock.vector["c"]]
        highest = max(highest, combine(map(of_stage, stages)))
        assert clock.time == highest


def test_the_watermark_of_results_has_the_status_of_the_inputs() -> None:
    assert passed_on({"a": Watermark(5), "b": Watermark(9, IDLE)}, 4) == Watermark(4)
    assert passed_on({"a": Watermark(5, ENDED), "b": Watermark(9, IDLE)}, 4).status is IDLE
    assert passed_on({"a": Watermark(5, ENDED)}, 4).status is ENDED


def test_a_watermark_is_sent_at_most_every_20_ms_but_before_each_barrier() -> None:
    sender = ClockSender(interval_ns=20)
    assert sender.due(Watermark(1), 100, is_forced=False)
    assert not sender.due(Watermark(2), 110, is_forced=False)
    assert sender.wait_ns(110) == 10
    assert sender.due(Watermark(2), 110, is_forced=True)
    assert not sender.due(Watermark(2), 200, is_forced=True)
    assert sender.due(Watermark(2, IDLE), 200, is_forced=False)


def models(clock_class: type[Clock[str]] = Clock, seeds: int = 300) -> list[ClusterModel]:
    made = [ClusterModel(seed, clock_class) for seed in range(seeds)]
    for model in made:
        model.run()
    return made


def test_all_workers_hold_the_same_vector_at_a_barrier() -> None:
    cuts = [cut for model in models() for cut in model.complete_cuts()]
    assert len(cuts) > 1_000
    for cut in cuts:
        (_, first), *others = cut
        assert all(vector == first for _, vector in others)


def test_the_vectors_differ_if_a_worker_does_not_hold_its_own_watermark_back() -> None:
    cuts = [cut for model in models(FaultyClock, 100) for cut in model.complete_cuts()]
    different = [cut for cut in cuts if any(vector != cut[0][1] for _, vector in cut)]
    assert len(different) > len(cuts) / 10


def test_a_worker_of_a_stage_that_is_idle_beside_an_active_one_is_waited_for() -> None:
    clock = Clock([("stage", "w1"), ("stage", "w2"), ("source", "w1")], lambda sender: sender[0])
    clock.receive(("source", "w1"), Watermark(50))
    clock.receive(("stage", "w2"), Watermark(3, Status.IDLE))
    clock.receive(("stage", "w1"), Watermark(20))
    assert clock.time == 3
    clock.receive(("stage", "w2"), Watermark(30))
    assert clock.time == 20


def test_a_stage_of_which_one_worker_has_ended_waits_for_the_others() -> None:
    clock = Clock([("stage", "w1"), ("stage", "w2")], lambda sender: sender[0])
    clock.receive(("stage", "w1"), Watermark(END, Status.ENDED))
    clock.receive(("stage", "w2"), Watermark(7, Status.IDLE))
    assert clock.time == 7
    clock.receive(("stage", "w2"), Watermark(END, Status.ENDED))
    assert clock.time == END


def test_an_idle_stage_holds_no_other_sender_back() -> None:
    clock = Clock([("stage", "w1"), ("stage", "w2"), ("source", "w1")], lambda sender: sender[0])
    for worker in ("w1", "w2"):
        clock.receive(("stage", worker), Watermark(3, Status.IDLE))
    clock.receive(("source", "w1"), Watermark(50))
    assert clock.time == 50
