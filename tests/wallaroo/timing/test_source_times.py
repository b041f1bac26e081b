"""The watermark of a source: channels that count, are silent, are gone, and what a replay holds."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.timing.clocks import Status, Watermark
from wallaroo.timing.instants import BEFORE_ALL, END, TimestampUnit
from wallaroo.timing.source_times import SourceTimes
from wallaroo.timing.spec import EventTime, IngestTime, WhenQuiet

ACTIVE, IDLE, ENDED = Status


def at(record: Any) -> Any:
    return record


def event_time(**options: Any) -> EventTime:
    given_options = {"out_of_order_ns": 5, "idle_after_ns": 100, **options}
    return EventTime(timestamp=at, unit=TimestampUnit.NANOSECONDS, **given_options)


def source(*channels: str, **options: Any) -> SourceTimes[str]:
    times: SourceTimes[str] = SourceTimes(event_time(**options))
    for channel in channels:
        times.opened(channel)
    return times


def test_a_source_without_a_channel_is_idle() -> None:
    assert source().watermark(0) == Watermark(BEFORE_ALL, IDLE)
    assert source("a").watermark(0) == Watermark(BEFORE_ALL, IDLE)


def test_the_watermark_is_behind_the_slowest_channel_by_out_of_order() -> None:
    times = source("a", "b")
    times.processed("a", 50, 0)
    assert times.watermark(1) == Watermark(45)
    times.processed("b", 70, 1)
    times.processed("a", 60, 2)
    assert times.watermark(3) == Watermark(55)


def test_a_channel_that_opens_later_does_not_move_the_watermark_back() -> None:
    times = source("a", "b")
    times.processed("a", 50, 0)
    times.watermark(1)
    times.processed("b", 10, 1)
    assert times.watermark(2) == Watermark(45)
    times.processed("a", 90, 3)
    assert times.watermark(4) == Watermark(45)


def test_a_channel_that_is_expected_is_waited_for_before_its_first_record() -> None:
    times = source()
    times.expect("a", 0)
    times.expect("b", 0)
    times.processed("a", 50, 10)
    assert times.watermark(20) == Watermark(BEFORE_ALL)
    times.processed("b", 30, 30)
    assert times.watermark(40) == Watermark(25)


def test_a_channel_that_is_expected_is_not_waited_for_longer_than_idle_after() -> None:
    times = source()
    times.expect("a", 0)
    assert times.next_check_ns(0) is not None
    assert times.watermark(99) == Watermark(BEFORE_ALL)
    assert times.watermark(100) == Watermark(BEFORE_ALL, IDLE)
    times.expect("a", 200)
    times.hold()
    times.replayed([], 290)
    assert times.watermark(389) == Watermark(BEFORE_ALL), "nothing was read before that"
    assert times.watermark(390) == Watermark(BEFORE_ALL, IDLE)


def test_a_source_that_waits_for_its_first_record_is_in_checkpoints_and_moves() -> None:
    times = source()
    times.watermark(0)
    assert (times.has_begun, times.moving_time) == (False, None)
    times.expect("a", 0)
    times.watermark(1)
    assert (times.has_begun, times.moving_time) == (True, BEFORE_ALL)
    times.watermark(100)
    assert (times.has_begun, times.moving_time) == (False, None)


def test_a_source_that_has_ended_is_at_the_end_of_time() -> None:
    times = source("a")
    times.processed("a", 50, 0)
    times.end()
    times.watermark(1, unprocessed_ns=0)
    assert times.time < END
    times.watermark(2)
    assert times.time == END


def test_channels_that_come_and_go_take_no_memory_with_ingest_time() -> None:
    times: SourceTimes[int] = SourceTimes(IngestTime(idle_after_ns=100), horizon_ns=500)
    for now_ns in range(5_000):
        times.processed(now_ns, now_ns, now_ns)
        times.closed(now_ns, now_ns)
        times.watermark(now_ns)
        assert times.next_check_ns(now_ns) is not None
    assert len(times._counting) < 300


def test_a_channel_without_any_record_is_not_waited_for() -> None:
    times = source()
    times.expect("a", 0)
    assert times.expect_no_longer("a")
    assert times.watermark(1) == Watermark(BEFORE_ALL, IDLE)
    assert not times.expect_no_longer("a")
    times.processed("a", 50, 2)
    assert not times.expect_no_longer("a")
    assert times.watermark(3) == Watermark(45)


def test_a_silent_channel_holds_the_others_for_idle_after_and_no_longer() -> None:
    times = source("a", "b")
    times.processed("a", 50, 0)
    times.processed("b", 90, 90)
    assert times.watermark(99) == Watermark(45)
    assert times.watermark(100) == Watermark(85)
    assert times.watermark(190) == Watermark(85, IDLE)


def test_a_channel_that_is_gone_counts_for_idle_after_and_then_never_again() -> None:
    times = source("a", "b")
    times.processed("a", 50, 0)
    times.closed("a", 80)
    times.processed("b", 90, 80)
    assert times.watermark(179) == Watermark(45)
    times.processed("b", 95, 179)
    assert times.watermark(180) == Watermark(90)


def test_a_worker_waits_for_channels_that_have_moved_where_the_giver_was() -> None:
    giver, taker = source("a"), source("b")
    giver.processed("a", 50, 0)
    assert giver.watermark(1) == Watermark(45)
    time = giver.moving_time
    assert time == 45
    giver.handed_over("a")
    giver.handed_over("never seen")
    assert giver.watermark(1).status is IDLE and giver.moving_time is None
    taker.processed("b", 500, 0)
    assert taker.watermark(1) == Watermark(495)
    taker.wait_for_moved(time, 10)
    assert taker.watermark(11) == Watermark(45)
    taker.processed("a", 48, 50)
    taker.processed("b", 600, 50)
    assert taker.watermark(109) == Watermark(45)
    assert taker.watermark(110) == Watermark(45), "the channel itself counts now"
    taker.processed("a", 300, 110)
    assert taker.watermark(111) == Watermark(295)


def test_a_worker_that_gets_no_moved_channel_waits_for_idle_after_only() -> None:
    other = source("b")
    other.processed("b", 500, 0)
    other.wait_for_moved(45, 0)
    other.processed("b", 600, 60)
    assert other.watermark(99) == Watermark(45)
    assert other.watermark(100) == Watermark(595)
    new = source()
    new.wait_for_moved(45, 0)
    assert new.watermark(99) == Watermark(45)
    assert new.watermark(100) == Watermark(45, IDLE)


def test_channels_wait_where_the_giver_was_during_a_replay_as_well() -> None:
    times = source("b")
    times.processed("b", 500, 0)
    assert times.watermark(1) == Watermark(495)
    times.hold()
    times.wait_for_moved(45, 0)
    assert times.watermark(2) == Watermark(45)


def test_read_times_need_no_channel_to_wait_for() -> None:
    times = SourceTimes[str](IngestTime())
    times.processed("a", 50, 50)
    assert times.watermark(50).status is ACTIVE
    assert times.moving_time is None


def test_what_moves_while_a_source_waits_for_other_senders_is_waited_for() -> None:
    times = source("a", settle_ns=30)
    times.processed("a", 50, 10)
    assert times.watermark(39) == Watermark(BEFORE_ALL)
    assert times.has_begun
    assert times.moving_time == BEFORE_ALL


def test_a_source_that_ended_says_so_once_everything_is_processed() -> None:
    times = source("a")
    times.processed("a", 50, 0)
    times.end()
    assert times.watermark(1, unprocessed_ns=0) == Watermark(45)
    assert times.watermark(1) == Watermark(END, ENDED)
    assert times.next_check_ns(1) is None


def test_the_watermark_waits_for_other_senders_after_the_first_record() -> None:
    times = source("a", "b", settle_ns=30)
    times.processed("a", 50, 10)
    assert times.watermark(39) == Watermark(BEFORE_ALL)
    assert times.next_check_ns(39) == 40
    times.processed("b", 20, 39)
    assert times.watermark(40) == Watermark(15)


def test_silence_is_found_within_an_eighth_more_than_idle_after() -> None:
    times = source("a")
    times.processed("a", 50, 0)
    now_ns = 0
    while (next_ns := times.next_check_ns(now_ns)) is not None:
        now_ns = next_ns
    assert times.watermark(now_ns).status is IDLE
    assert 100 <= now_ns <= 113


def test_a_quiet_source_waits_by_default() -> None:
    times = source("a")
    times.processed("a", 50, 0)
    assert times.watermark(10_000, others_are_idle=True) == Watermark(45, IDLE)


def test_a_quiet_source_goes_on_with_the_wall_clock_if_it_shall_and_all_others_are_idle() -> None:
    times: SourceTimes[str] = SourceTimes(
        event_time(when_quiet=WhenQuiet.ADVANCE), horizon_ns=1_000
    )
    times.opened("a")
    times.processed("a", 50, 0)
    assert times.watermark(100, others_are_idle=False) == Watermark(45, IDLE)
    assert times.watermark(200, others_are_idle=True) == Watermark(45, IDLE)
    assert times.watermark(260, others_are_idle=True) == Watermark(105, IDLE)
    assert times.watermark(270, others_are_idle=False) == Watermark(105, IDLE)
    assert times.watermark(9_000, others_are_idle=True) == Watermark(105, IDLE)
    assert times.watermark(99_000, others_are_idle=True) == Watermark(1_051, IDLE)
    assert times.next_check_ns(99_000) is None, "an idle cluster has nothing to do"


def test_a_source_that_is_ahead_is_not_read_until_the_slowest_clock_follows() -> None:
    times = source("a", align_ns=20)
    times.processed("a", 50, 0)
    assert times.watermark(1) == Watermark(45)
    assert times.may_read(25, 1)
    assert not times.may_read(24, 1)
    assert not times.may_read(24, 90)
    assert not times.may_read(24, 150), "a channel that is not read is not silent"
    assert times.watermark(150).status is ACTIVE
    assert times.may_read(30, 160)


def test_a_quiet_source_that_is_aligned_goes_on_with_the_wall_clock() -> None:
    times: SourceTimes[str] = SourceTimes(
        event_time(when_quiet=WhenQuiet.ADVANCE, align_ns=20), horizon_ns=1_000
    )
    times.opened("a")
    times.processed("a", 50, 0)
    for now_ns in range(100, 400, 50):
        times.watermark(now_ns, others_are_idle=True)
        times.may_read(END, now_ns)
    assert times.time == 45 + 250


def test_a_replay_holds_the_watermark_whatever_is_replayed() -> None:
    times = source("new")
    times.restore(45, 1_000)
    times.processed("new", 500, 1_001)
    assert times.watermark(1_500) == Watermark(45)
    assert times.next_check_ns(1_500) is None
    times.replayed([80, 60], 1_500)
    times.processed("new", 505, 1_510)
    assert times.watermark(1_599) == Watermark(45), "senders may still come back"
    assert times.watermark(1_600) == Watermark(500)


def test_a_restored_source_without_a_replay_waits_for_its_senders() -> None:
    times = source()
    times.restore(45, 0)
    times.replayed([], 0)
    assert times.watermark(99) == Watermark(45)
    assert times.watermark(100) == Watermark(45, IDLE)


def test_ingest_time_moves_without_records_until_all_windows_are_over() -> None:
    times: SourceTimes[str] = SourceTimes(IngestTime(idle_after_ns=100), horizon_ns=500)
    times.opened("a")
    assert times.watermark(10) == Watermark(BEFORE_ALL, IDLE)
    assert times.watermark(20, unprocessed_ns=15) == Watermark(15)
    times.processed("a", 15, 15)
    assert times.watermark(40) == Watermark(40)
    assert times.next_check_ns(40) is not None
    assert times.watermark(800) == Watermark(516, IDLE)
    assert times.next_check_ns(800) is None
    assert times.may_read(0, 800)


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 200), st.integers(0, 60), st.booleans()),
    max_size=60,
)


@given(STEPS, st.integers(0, 40))
def test_the_watermark_never_passes_a_counting_channel_unless_it_was_there_before(
    steps: list[tuple[str, int, int, bool]], bound: int
) -> None:
    times = source("a", "b", "c", out_of_order_ns=bound)
    tops: dict[str, int] = {}
    last_ns: dict[str, int] = {}
    now_ns, before = 0, BEFORE_ALL
    for channel, time, pause_ns, is_closed in steps:
        now_ns += pause_ns
        times.processed(channel, time, now_ns)
        tops[channel] = max(tops.get(channel, BEFORE_ALL), time)
        last_ns[channel] = now_ns
        if is_closed:
            times.closed(channel, now_ns)
            times.opened(channel)
        counting = [tops[each] for each, ns in last_ns.items() if now_ns < ns + 100]
        mark = times.watermark(now_ns)
        assert mark.time >= before
        assert mark.time <= max(before, min(counting) - bound)
        before = mark.time
