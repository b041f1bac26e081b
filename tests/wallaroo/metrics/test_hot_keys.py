"""The hottest keys, found in a sample."""

import random

from wallaroo.metrics.hot_keys import GENERATION_S, HottestKeys
from wallaroo.routing.keys import canonical_key


def test_the_keys_that_come_most_are_found_among_very_many() -> None:
    chance = random.Random(7)
    hottest = HottestKeys()
    for second in range(30):
        keys = [f"cold {chance.random()}" for _ in range(200)]
        keys += ["hot"] * 60 + ["warm"] * 30
        chance.shuffle(keys)
        hottest.add(float(second), keys)
    assert hottest.sample_count == 30 * 290
    (first, first_count), (second_key, second_count), *_ = hottest.top(5)
    assert (first, second_key) == ("hot", "warm")
    assert 1800 <= first_count <= 1900
    assert 900 <= second_count <= 1000


def test_keys_that_were_hot_are_forgotten() -> None:
    hottest = HottestKeys()
    hottest.add(0.0, ["old"] * 1000)
    hottest.add(GENERATION_S, ["new"] * 10)
    assert hottest.top(2) == [["old", 1000], ["new", 10]]
    hottest.add(2 * GENERATION_S, ["new"] * 10)
    assert hottest.top(2) == [["new", 20]]
    assert hottest.sample_count == 20


def test_keys_of_every_kind_are_shown_as_text() -> None:
    hottest = HottestKeys()
    keys = ["\ud800", b"raw", 12, True, ("a", 1), "x" * 1000]
    hottest.add(0.0, [canonical_key(key) for key in keys])
    assert all(isinstance(key, str) and len(key) <= 100 for key, _ in hottest.top(10))
    for key, _ in hottest.top(10):
        key.encode()
    assert len(hottest.top(10)) == len(keys)
