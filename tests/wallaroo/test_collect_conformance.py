"""Cases of time in which stream processors differ, run by ``collect``, besides those of windows."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.test_collect_windows import (
    Move,
    application,
    decode,
    key_of,
    moved_at,
    rows,
    sink,
)
from wallaroo import sliding, tumbling
from wallaroo.errors import WallarooParameterError
from wallaroo.testing import AdvanceWall, Collected, collect


@pytest.fixture(params=[1, 3], name="workers")
def _workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


class Chain:
    """How often the timers of a key were called."""

    def __init__(self) -> None:
        self.count = 0


@wallaroo.state_computation("chained", Chain)
def chained(move: Move, chain: Chain, ctx: wallaroo.Context) -> None:
    ctx.set_timer("first", move.at + 10)


@chained.on_timer("first")
def first(chain: Chain, ctx: wallaroo.Context) -> str:
    chain.count += 1
    ctx.set_timer("second", ctx.time)
    return f"first at {ctx.time}"


@chained.on_timer("second")
def second(chain: Chain, ctx: wallaroo.Context) -> str:
    chain.count += 1
    if chain.count < 4:
        ctx.set_timer("second", ctx.time)
    return f"second at {ctx.time}"


def chained_of(workers: int, *items: Any) -> Collected:
    time = wallaroo.event_time(moved_at)
    config = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline", time=time)
    lines = wallaroo.source("moves", config).key_by(key_of).to(chained)
    plan = wallaroo.build_application("app", lines.to_sink(sink("lines")))
    return collect(plan, {"moves": items}, workers=workers)


def test_a_timer_that_is_set_in_a_timer_for_the_same_time_fires_with_it(workers: int) -> None:
    collected = chained_of(workers, Move(1), Move(11, key="j"))
    lines = ["first at 11", "second at 11", "second at 11", "second at 11"]
    assert collected.outputs["lines"][:4] == lines
    assert collected.outputs["lines"][4:] == [line.replace("11", "21") for line in lines]


def test_windows_of_a_source_that_is_idle_fire_at_the_end_of_the_input(workers: int) -> None:
    plan = application(tumbling(10), idle_after=100)
    collected = collect(plan, {"moves": [Move(3, "a"), AdvanceWall(500)]}, workers=workers)
    assert rows(collected) == [("k", "a", 0, 10, "final")]


def test_a_source_that_resumes_behind_an_idle_clock_is_in_time_within_its_bound(
    workers: int,
) -> None:
    plan = application(tumbling(10), idle_after=100, out_of_order=20)
    items = [Move(40, "a"), AdvanceWall(500), Move(21, "b"), Move(60, "c")]
    collected = collect(plan, {"moves": items}, workers=workers)
    assert [(value, start) for _, value, start, *_ in rows(collected)] == [
        ("b", 20),
        ("a", 40),
        ("c", 60),
    ]
    assert collected.late == {"joined": 0}


def test_a_slide_that_is_longer_than_its_windows_is_a_mistake() -> None:
    with pytest.raises(WallarooParameterError, match="longer than the size"):
        application(sliding(10, every=11))
