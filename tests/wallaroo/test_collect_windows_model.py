"""Windows that ``collect`` runs, against windows by definition, for any records and any workers."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import wallaroo
from tests.wallaroo.test_collect_windows import Move, application
from wallaroo.testing import collect
from wallaroo.testing.model import (
    TimedRecord,
    count_windows,
    fixed_windows,
    session_windows,
)

SPAN = 60

moves = st.lists(
    st.builds(
        Move,
        at=st.integers(-SPAN, SPAN),
        value=st.sampled_from("abcdef"),
        key=st.sampled_from(["j", "k", "l"]),
    ),
    max_size=25,
)
workers = st.integers(1, 3)


def found(windows: wallaroo.WindowsBuilder, given_moves: list[Move], worker_count: int) -> Counter:  # type: ignore[type-arg]
    """Return the results, whose values have their characters sorted: parts of a window come in the
    order of their time."""
    plan = application(windows, out_of_order=2 * SPAN)
    collected = collect(plan, {"moves": given_moves}, workers=worker_count)
    assert collected.failures == ()
    assert set(collected.late.values()) == {0}
    return Counter(
        (key, "".join(sorted(value)), start, end)
        for key, value, start, end, kind in collected.outputs["results"]
        if kind == "final"
    )


def timed(given_moves: list[Move]) -> list[TimedRecord]:
    return [TimedRecord(move.key, move.at, move.value) for move in given_moves]


def expected(contents: Any) -> Counter[Any]:
    return Counter(
        (each.key, "".join(sorted(values)), each.start, each.end)
        for each, values in contents.items()
    )


@settings(deadline=None, max_examples=40)
@given(moves, workers, st.integers(1, 30), st.integers(1, 30), st.integers(0, 9))
def test_fixed_windows_are_those_of_the_model(
    given_moves: list[Move], worker_count: int, size: int, every: int, offset: int
) -> None:
    every = min(size, every)
    windows = wallaroo.sliding(size, every=every, offset=offset)
    model = fixed_windows(timed(given_moves), size, every, offset)
    assert found(windows, given_moves, worker_count) == expected(model)


@settings(deadline=None, max_examples=40)
@given(moves, workers, st.integers(1, 30))
def test_sessions_are_those_of_the_model(
    given_moves: list[Move], worker_count: int, gap: int
) -> None:
    model = session_windows(timed(given_moves), gap)
    assert found(wallaroo.session(gap), given_moves, worker_count) == expected(model)


@settings(deadline=None, max_examples=40)
@given(moves, workers, st.integers(1, 6), st.integers(1, 6))
def test_count_windows_are_those_of_the_model(
    given_moves: list[Move], worker_count: int, count: int, slide: int
) -> None:
    slide = min(count, slide)
    windows = wallaroo.count_windows(count).with_slide(slide)
    model = count_windows(timed(given_moves), count, slide)
    contents = Counter(
        (key, "".join(sorted(values))) for key, each in model.items() for values in each
    )
    results = found(windows, given_moves, worker_count)
    assert Counter((key, value) for key, value, *_ in results.elements()) == contents


@settings(deadline=None, max_examples=40)
@given(moves, workers, st.integers(1, 20), st.integers(0, 20))
def test_each_record_is_in_a_window_or_late(
    given_moves: list[Move], worker_count: int, size: int, delay: int
) -> None:
    plan = application(wallaroo.tumbling(size).with_delay(delay))
    collected = collect(plan, {"moves": given_moves}, workers=worker_count)
    in_windows = sum(len(value) for _, value, *_ in collected.outputs["results"])
    assert in_windows + collected.late["joined"] == len(given_moves)
