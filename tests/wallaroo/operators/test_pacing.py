"""How many records a slice has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.operators.pacing import RECORDS_MAX, RECORDS_MIN, SLICE_S, Pacer


def settled(record_s: float, turns: int = 30) -> int:
    """Return the slice that a pacer comes to when each record takes this long."""
    pacer = Pacer()
    for _ in range(turns):
        pacer.observe(pacer.record_count, pacer.record_count * record_s)
    return pacer.record_count


def test_nothing_seen_is_nothing_learned() -> None:
    pacer = Pacer()
    before = pacer.record_count
    pacer.observe(0, 5.0)
    assert pacer.record_count == before


@pytest.mark.parametrize("record_s", [2e-6, 1e-5, 1e-4, 1e-3])
def test_a_slice_comes_to_take_the_time_it_should(record_s: float) -> None:
    assert settled(record_s) * record_s == pytest.approx(SLICE_S, rel=0.05)


def test_slow_records_go_one_by_one() -> None:
    assert settled(1.0) == RECORDS_MIN
    assert settled(1.0, turns=1) == RECORDS_MIN


def test_records_too_fast_for_the_clock_reach_the_largest_slice() -> None:
    assert settled(0.0) == RECORDS_MAX


def test_a_slice_at_most_doubles_however_fast_its_records_were() -> None:
    pacer = Pacer()
    pacer.observe(100, 1e-9)
    assert pacer.record_count == 200


def test_few_fast_records_after_slow_ones_do_not_make_a_large_slice() -> None:
    pacer = Pacer()
    pacer.observe(64, 10.0)
    pacer.observe(1, 1e-9)
    assert pacer.record_count == 64


@given(st.lists(st.tuples(st.integers(0, 10_000), st.just(0.0) | st.floats(1e-9, 100))))
def test_a_slice_stays_within_its_bounds(turns: list[tuple[int, float]]) -> None:
    pacer = Pacer()
    for record_count, elapsed_s in turns:
        pacer.observe(record_count, elapsed_s)
        assert RECORDS_MIN <= pacer.record_count <= RECORDS_MAX
