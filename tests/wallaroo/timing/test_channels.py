"""The slowest channel of those that count, compared with a look at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.timing.channels import COMPACT_AT_MIN, Channel, CountingChannels

STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 20), st.integers(0, 9)),
    max_size=80,
)


@given(STEPS)
def test_the_slowest_channel_is_the_lowest_of_all_that_count(
    steps: list[tuple[int, int, int, int]],
) -> None:
    channels = [Channel(number) for number in range(6)]
    counting, now_ns = CountingChannels(), 0
    for number, top, length, pause in steps:
        now_ns += pause
        channels[number].rise(top)
        if top % 7:
            counting.count(channels[number], now_ns + length)
        else:
            channels[number].count_until(None)
        tops = [each.top for each in channels if each.counts(now_ns)]
        slowest = counting.slowest(now_ns)
        assert (None if slowest is None else slowest.top) == min(tops, default=None)


def test_channels_behind_a_slow_one_that_have_gone_take_no_memory() -> None:
    counting, slow = CountingChannels(), Channel(0)
    for now_ns in range(10_000):
        counting.count(slow, now_ns + 100)
        counting.count(Channel(now_ns + 1), now_ns + 10)
        assert counting.slowest(now_ns) is slow
        assert len(counting) <= COMPACT_AT_MIN + 1


def test_all_channels_count_for_longer_but_those_that_count_no_more() -> None:
    counting, first, second = CountingChannels(), Channel(1), Channel(2)
    counting.count(first, 10)
    counting.count(second, 10)
    first.count_until(None)
    counting.count_all(30)
    assert counting.slowest(20) is second
    assert counting.slowest(30) is None
