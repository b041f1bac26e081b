"""When workers that have lost the same peer dial it again."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from wallaroo.links.dial_pauses import BACK_OFF_FIRST_S, BACK_OFF_MAX_S, DialPauses

RESTART_S = 0.7
"""How long it takes until the successor of a lost worker listens."""
PROOF_S = 0.001
"""CPU time of the dialed worker for each connection."""
WINDOW_S = 0.01

Chance = Callable[[], float]


def dials_of_all(count: int, chance: Chance, *, listens_at_s: float = RESTART_S) -> list[float]:
    """Return when each of ``count`` workers reaches a peer that listens from that time on."""
    reached = []
    for _ in range(count):
        pauses = DialPauses(count, chance)
        # The link stood, and is lost at the time 0.
        pauses.next_s()
        pauses.connected()
        now_s = pauses.next_s()
        while now_s < listens_at_s:
            now_s += pauses.next_s()
        reached.append(now_s)
    return sorted(reached)


def most_at_once(times_s: list[float]) -> int:
    """Return how many of these times at most lie within one window."""
    return max(sum(t <= each < t + WINDOW_S for each in times_s) for t in times_s)


def longest_queue(times_s: list[float]) -> int:
    """Return how many connections at most wait for the dialed worker, which takes one at a time."""
    ends_s: list[float] = []
    longest = 0
    for time_s in times_s:
        ends_s.append(max(time_s, ends_s[-1] if ends_s else 0.0) + PROOF_S)
        longest = max(longest, sum(end_s > time_s for end_s in ends_s))
    return longest


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_workers_that_have_lost_a_peer_do_not_dial_it_at_the_same_moment(
    seed: int,
) -> None:
    chance = random.Random(seed).random
    assert most_at_once(dials_of_all(100, chance)) <= 20
    assert most_at_once(dials_of_all(100, chance, listens_at_s=0.0)) <= 20
    # Without chance, all of them would.
    assert most_at_once(dials_of_all(100, lambda: 0.5)) == 100


def test_a_thousand_workers_do_not_fill_the_port_that_they_dial() -> None:
    chance = random.Random(1).random
    first = sorted(DialPauses(1000, chance).next_s() for _ in range(1000))
    assert longest_queue(first) < 100
    assert longest_queue(dials_of_all(1000, chance)) < 100


def test_two_workers_dial_each_other_without_a_pause() -> None:
    assert DialPauses(1, lambda: 1.0).next_s() == 0.0


def test_a_few_workers_do_not_wait_noticeably() -> None:
    assert DialPauses(8, lambda: 1.0).next_s() < 0.02


@pytest.mark.parametrize("drawn", [0.0, 1.0])
def test_pauses_become_longer_up_to_a_limit_whatever_is_drawn(drawn: float) -> None:
    pauses = DialPauses(4, lambda: drawn)
    pauses.next_s()
    taken = [pauses.next_s() for _ in range(10)]
    assert taken[0] <= BACK_OFF_FIRST_S
    assert all(before <= after for before, after in pairwise(taken))
    assert BACK_OFF_MAX_S / 2 <= taken[-1] <= BACK_OFF_MAX_S
