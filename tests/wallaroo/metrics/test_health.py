"""Health: from numbers to words."""

from typing import Any

import pytest

from wallaroo.metrics.health import judge

WORKER = {"name": "w1", "state": "running", "paused": False, "loop_lag_s": 0.0, "cpu_share": 0.5}
SINK = {"address": "127.0.0.1:7002", "connected": True, "queued_bytes": 0}


def view(**changes: Any) -> dict[str, Any]:
    return {
        "phase": "running",
        "durable": True,
        "workers": [WORKER],
        "sinks": [SINK],
        "states": [],
        "checkpoints": {"age_s": 1.0, "failed_in_a_row": 0},
        **changes,
    }


def test_a_cluster_that_works_is_well() -> None:
    assert judge(view(), {"w1": 1.0}, 0) == {"state": "well", "reasons": []}


@pytest.mark.parametrize(
    ("changes", "silent_s", "reason"),
    [
        ({"phase": "forming"}, 0.0, "is not running, it is forming"),
        ({"workers": [{**WORKER, "state": "lost"}]}, 0.0, "worker w1 was lost"),
        ({}, 7.0, "worker w1 has told nothing for 7 s"),
        ({"sinks": [{**SINK, "connected": False}]}, 0.0, "127.0.0.1:7002 is not connected"),
        ({"checkpoints": {"age_s": 99.0, "failed_in_a_row": 0}}, 0.0, "is 99 s old"),
        ({"checkpoints": {"age_s": 1.0, "failed_in_a_row": 3}}, 0.0, "last 3 checkpoints"),
    ],
)
def test_what_stands_still_is_unwell(changes: dict[str, Any], silent_s: float, reason: str) -> None:
    judged = judge(view(**changes), {"w1": silent_s}, 0)
    assert judged["state"] == "unwell"
    assert reason in judged["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "failed_count", "reason"),
    [
        ({"workers": [{**WORKER, "paused": True}]}, 0, "sources of w1 pause, senders wait"),
        (
            {
                "workers": [{**WORKER, "paused": True}],
                "sinks": [{**SINK, "queued_bytes": 9 << 20}],
            },
            0,
            "the sink at 127.0.0.1:7002 does not keep up",
        ),
        ({"workers": [{**WORKER, "loop_lag_s": 0.4}]}, 0, "worker w1 was 400 ms late"),
        ({"workers": [{**WORKER, "cpu_share": 0.99}]}, 0, "worker w1 uses all"),
        ({}, 1200, "1,200 records failed in the last minute"),
        ({"states": [{"name": "s", "skew": 3.0, "keys": 5000}]}, 0, "'s' is uneven"),
    ],
)
def test_what_goes_on_with_effort_is_strained(
    changes: dict[str, Any], failed_count: int, reason: str
) -> None:
    judged = judge(view(**changes), {"w1": 0.0}, failed_count)
    assert judged["state"] == "strained"
    assert reason in judged["reasons"][0]


def test_without_checkpoints_their_age_is_nothing() -> None:
    never = {"age_s": None, "failed_in_a_row": 0}
    assert judge(view(durable=False, checkpoints=never), {}, 0)["state"] == "well"


def test_the_worst_comes_first() -> None:
    judged = judge(view(sinks=[{**SINK, "connected": False}]), {}, 3)
    assert judged["state"] == "unwell"
    assert len(judged["reasons"]) == 2
    assert "sink" in judged["reasons"][0]
