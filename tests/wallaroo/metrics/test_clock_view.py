"""What is shown of the clocks of a cluster."""

from typing import Any

from tests.graphs import compiled
from tests.graphs import source as pipeline
from wallaroo.durations import seconds
from wallaroo.metrics.clock_view import clock_rows

NOW_NS = seconds(100)
PLAN = compiled(pipeline("clicks"))


def source(status: str, time_s: int | None, silent_s: float = 0.0) -> dict[str, Any]:
    return {
        "pipeline": 0,
        "time_ns": None if time_s is None else seconds(time_s),
        "status": status,
        "silent_ns": seconds(silent_s),
        "waits": True,
    }


def facts(clock_s: int | None, *sources: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    row: dict[str, Any] = {
        "state": "counts",
        "clock_ns": None if clock_s is None else seconds(clock_s),
        "ended": False,
        "due": False,
        "open": 1,
        "late": 0,
        "fired": {},
        "sources": [*sources],
    }
    return [{**row, **more}]


def only_row(**by_worker: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = clock_rows(by_worker, PLAN.pipelines, NOW_NS)
    return row


def test_the_slowest_worker_has_the_clock_and_numbers_are_sums() -> None:
    row = only_row(
        w1=facts(90, source("active", 95), late=2, fired={"final": 3}),
        w2=facts(80, source("active", 85), late=1, fired={"final": 1, "early": 4}, due=True),
    )
    assert (row["clock_ns"], row["lag_s"]) == (seconds(80), 20)
    assert (row["open"], row["late"], row["due"]) == (2, 3, True)
    assert row["fired"] == {"final": 4, "early": 4}
    assert row["quiet_s"] is None


def test_the_active_source_that_is_furthest_back_holds_the_clock() -> None:
    row = only_row(
        w1=facts(80, source("idle", 10, 60)),
        w2=facts(80, source("active", 85)),
        w3=facts(80, source("active", 80, 5)),
    )
    assert row["held_by"] == "source 'clicks' on w3, silent for 5 s"


def test_a_source_that_has_given_nothing_yet_holds_the_clock() -> None:
    row = only_row(w1=facts(None, source("active", None)), w2=facts(80, source("active", 80)))
    assert row["held_by"] == "source 'clicks' on w1"
    assert row["clock_ns"] is None


def test_silent_sources_hold_nobody_but_nothing_moves() -> None:
    row = only_row(w1=facts(80, source("idle", 80, 70)), w2=facts(80, source("idle", 70, 40)))
    assert row["held_by"] == "the next record: all sources are silent"
    assert row["quiet_s"] == 40
    first = only_row(w1=facts(None, {**source("idle", None), "silent_ns": None}))
    assert first["held_by"] == "the first record"


def test_all_sources_have_ended() -> None:
    row = only_row(w1=facts(None, source("ended", None), ended=True, open=0))
    assert (row["ended"], row["held_by"]) == (True, "nothing: all sources have ended")


def test_a_source_that_goes_on_with_the_wall_clock_is_not_waited_for() -> None:
    moves = {**source("idle", 80, 70), "waits": False}
    assert only_row(w1=facts(80, moves))["quiet_s"] is None
