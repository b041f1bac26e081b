from itertools import islice

import pytest

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.pacing import BATCHES_BETWEEN_DRAWS, Pace, Schedule, parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5_000_000", 0.005), ("5ms", 0.005), ("250 us", 0.00025), ("1.5s", 1.5), ("10ns", 1e-8)],
)
def test_an_interval_is_nanoseconds_unless_it_has_a_unit(text: str, seconds: float) -> None:
    assert parse_interval(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "ms", "-5", "5 m", "_5", "1e3"])
def test_a_value_that_is_not_a_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration"):
        parse_interval(text)


def test_without_rate_or_interval_there_is_nothing_to_wait_for() -> None:
    assert Pace().is_full_speed
    assert Pace(interval_s=0).is_full_speed
    assert not Pace(rate=5).is_full_speed


def test_batches_are_due_by_the_clock_of_the_start() -> None:
    schedule = Schedule(100.0, batch_s=0.5)
    assert schedule.wait_s(100.0) == 0
    schedule.batch_sent(500)
    assert schedule.wait_s(100.2) == pytest.approx(0.3)
    schedule.batch_sent(500)
    assert schedule.wait_s(100.9) == pytest.approx(0.1), "a late batch delays none after it"


def test_a_rate_counts_messages_whatever_the_batches_are() -> None:
    schedule = Pace(rate=100).schedule(10.0)
    schedule.batch_sent(30)
    schedule.batch_sent(20)
    assert schedule.wait_s(10.0) == pytest.approx(0.5)


def test_no_more_than_a_second_is_caught_up() -> None:
    schedule = Pace(rate=100).schedule(0.0)
    burst = 0
    while schedule.wait_s(60.0) == 0:
        schedule.batch_sent(1)
        burst += 1
    assert burst == pytest.approx(100, abs=1)


def test_a_low_rate_is_not_bunched_into_large_batches() -> None:
    assert next(Pace(rate=10).batch_sizes()) == 1
    assert next(Pace(rate=1_000_000).batch_sizes()) == 1000
    assert next(Pace(rate=10, batch_size=7).batch_sizes()) == 7
    assert next(Pace(interval_s=1).batch_sizes()) == 500


def test_varied_batches_keep_their_size_until_the_next_draw() -> None:
    pace = Pace(interval_s=1, batch_size=10, vary_by=5, seed=3)
    sizes = list(islice(pace.batch_sizes(), 40 * BATCHES_BETWEEN_DRAWS))
    runs = [set(sizes[at : at + BATCHES_BETWEEN_DRAWS]) for at in range(0, len(sizes), 1000)]
    assert all(len(run) == 1 for run in runs)
    assert set(sizes) == {10, 11, 12, 13, 14}
    assert sizes == list(islice(pace.batch_sizes(), len(sizes))), "a seed draws the same again"


def test_rate_and_interval_exclude_each_other() -> None:
    assert [*Pace(rate=1, interval_s=1).problems()]
