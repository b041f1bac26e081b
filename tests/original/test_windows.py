"""Applications with windows that were written for Wallaroo 0.6; time is that of the wall clock."""

from collections import Counter
from typing import Any

import pytest

from tests.original.test_applications import plan_of
from wallaroo import milliseconds, seconds
from wallaroo.testing import AdvanceWall, collect

WORKERS = pytest.mark.parametrize("workers", [1, 3])


def lines_of(name: str, workers: int, source: str, items: list[Any], *options: str) -> list[str]:
    collected = collect(plan_of(name, *options), {source: items}, workers=workers)
    assert collected.failures == ()
    (output,) = collected.encoded.values()
    return [line.decode().rstrip("\n") for line in output]


@WORKERS
def test_alerts_windowed_looks_at_the_last_nine_seconds(workers: int) -> None:
    items = [b"ann 1500", b"bob 100", AdvanceWall(seconds(4)), b"ann 700", AdvanceWall(seconds(9))]
    lines = lines_of("alerts_windowed", workers, "transactions", items)
    # Both amounts are in the windows from -3 to 6 and from 0 to 9 seconds.
    assert lines == ["ann: 2200", "ann: 2200"]


NUMBERS = [
    item
    for number in range(1, 41)
    for item in (b"a %d" % number, b"b %d" % -number, AdvanceWall(milliseconds(7)))
]


@WORKERS
@pytest.mark.parametrize(("kind", "times"), [("tumbling", 1), ("sliding", 2), ("counting", 1)])
def test_window_detector_finds_each_number_in_as_many_windows_as_there_have_to_be(
    kind: str, times: int, workers: int
) -> None:
    lines = lines_of("window_detector", workers, "detector", NUMBERS, "--window-type", kind)
    found = Counter(int(number) for line in lines for number in line.partition(":")[2].split(","))
    assert found == dict.fromkeys([*range(1, 41), *range(-40, 0)], times)
    for line in lines:
        numbers = [int(number) for number in line.partition(":")[2].split(",")]
        step = 1 if line.startswith("a") else -1
        assert numbers == [*range(numbers[0], numbers[-1] + step, step)]


@WORKERS
def test_multi_aggregation_adds_up_what_windows_have_given(workers: int) -> None:
    words = [b"apple", b"and", b"apple", b"bean", AdvanceWall(seconds(1)), b"at", b"big"]
    lines = lines_of("multi_aggregation", workers, "words", words)
    assert [int(line.split()[1]) for line in lines] == [4, 2]
