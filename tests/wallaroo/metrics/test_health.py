"""Health: from numbers to words."""

from typing import Any

import pytest

from wallaroo.metrics.health import judge

WORKER = {
    "name": "w1", "state": "running", "paused": False, "loop_lag_s": 0.0, "cpu_share": 0.5,
    "backlog_bytes": 0,
}  # fmt: skip
SINK: dict[str, Any] = {
    "name": "tcp sink to 127.0.0.1:7002", "address": "127.0.0.1:7002", "connected": True,
    "queued_bytes": 0, "waiting_s": 0.0, "batches": None,
}  # fmt: skip
CHECKPOINT = {"duration_s": 0.1, "pause_s": 0.002}


def pipelines(p99_s: float | None, late_s: float = 0.0) -> list[dict[str, Any]]:
    return [{"name": "words", "latency": {"p99": p99_s}, "late_by_design_s": late_s}]


def once_sink(undelivered: int, waiting_s: float) -> dict[str, Any]:
    return {**SINK, "batches": {"undelivered": undelivered, "waiting_s": waiting_s}}


def checkpoints(age_s: float | None = 1.0, failures: int = 0, **last: float) -> dict[str, Any]:
    made = [] if age_s is None else [{**CHECKPOINT, **last}]
    return {"age_s": age_s, "failed_in_a_row": failures, "list": made, "lost_journals": []}


def sources(*split_counts: int | None) -> list[dict[str, Any]]:
    return [
        {"pipeline": "words", "worker": f"w{number}", "splits": count}
        for number, count in enumerate(split_counts, 1)
    ]


def view(**changes: Any) -> dict[str, Any]:
    return {
        "phase": "running",
        "durable": True,
        "checkpoint_interval_s": 1.0,
        "workers": [WORKER],
        "sinks": [SINK],
        "sources": [],
        "splits": [],
        "rising_lags": {},
        "clocks": [],
        "states": [],
        "pipelines": pipelines(0.01),
        "started_unix_s": 1000.0,
        "now_unix_s": 2000.0,
        "checkpoints": checkpoints(),
        **changes,
    }


def test_a_cluster_without_problems_is_healthy() -> None:
    assert judge(view(), {"w1": 1.0}, 0) == {"state": "healthy", "reasons": []}


def clock(**more: Any) -> dict[str, Any]:
    return {"state": "counts", "open": 0, "quiet_s": None, "late_rate": 0.0, **more}


@pytest.mark.parametrize(
    ("changes", "silent_s", "reason"),
    [
        ({"phase": "forming"}, 0.0, "is not running but forming"),
        ({"workers": [{**WORKER, "state": "lost"}]}, 0.0, "worker w1 was lost"),
        ({}, 7.0, "worker w1 has not reported for 7 s"),
        ({"sinks": [{**SINK, "connected": False}]}, 0.0, "127.0.0.1:7002 is not connected"),
        ({"sinks": [{**SINK, "waiting_s": 12.0}]}, 0.0, "127.0.0.1:7002 has accepted no results"),
        ({"pipelines": pipelines(76.0)}, 0.0, "the latency of 'words' is 76.0 s"),
        ({"pipelines": pipelines(76.0, 60.0)}, 0.0, "the latency of 'words' is 76.0 s"),
        (
            {"sinks": [once_sink(1, 12.0)]},
            0.0,
            "a batch for the sink at 127.0.0.1:7002 has waited for 12 s",
        ),
        ({"checkpoints": checkpoints(99.0)}, 0.0, "is 99 s old"),
        ({"checkpoints": checkpoints(failures=3)}, 0.0, "last 3 checkpoints"),
        ({"checkpoints": checkpoints(None)}, 0.0, "no checkpoint yet, 1000 s after the start"),
        ({"checkpoints": {**checkpoints(), "lost_journals": ["w1-1"]}}, 0.0, "lost with w1-1"),
    ],
)
def test_a_cluster_that_makes_no_progress_is_unhealthy(
    changes: dict[str, Any], silent_s: float, reason: str
) -> None:
    judged = judge(view(**changes), {"w1": silent_s}, 0)
    assert judged["state"] == "unhealthy"
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
        ({"workers": [{**WORKER, "loop_lag_s": 0.4}]}, 0, "worker w1 was blocked for 400 ms"),
        ({"workers": [{**WORKER, "cpu_share": 0.99}]}, 0, "worker w1 uses its whole CPU core"),
        (
            {"workers": [{**WORKER, "backlog_bytes": 9 << 20}]},
            0,
            "worker w1 has a backlog of 9 MiB",
        ),
        ({"sinks": [{**SINK, "waiting_s": 3.0}]}, 0, "has accepted no results for 3 s"),
        ({"pipelines": pipelines(1.5)}, 0, "the latency of 'words' is 1.5 s"),
        ({"pipelines": pipelines(7.0, 5.0)}, 0, "the latency of 'words' is 7.0 s"),
        ({"checkpoints": checkpoints(duration_s=12.0)}, 0, "took 12 s to become durable"),
        ({"checkpoints": checkpoints(pause_s=0.8)}, 0, "records waited 800 ms"),
        ({}, 1200, "1,200 records failed in the last minute"),
        ({"states": [{"name": "s", "skew": 3.0, "rate": 1.0, "keys": 5000}]}, 0, "'s' is uneven"),
        ({"clocks": [clock(open=3, quiet_s=40.0)]}, 0, "3 windows of 'counts' wait: no source has"),
        ({"clocks": [clock(open=1, quiet_s=40.0)]}, 0, "a window of 'counts' waits"),
        (
            {
                "clocks": [clock(late_rate=12.0)],
                "states": [{"name": "counts", "rate": 100.0, "skew": 1.0, "keys": 1}],
            },
            0,
            "12% of the records of 'counts' are late",
        ),
        ({"rising_lags": {"words": 4000}}, 0, "lag of 'words' has risen for a minute and is 4,000"),
        (
            {"sources": sources(2, 0, 1)},
            0,
            "w2 reads nothing of 'words', which has 3 splits for 3 workers: add partitions there",
        ),
        ({"sources": sources(1, 0, 0)}, 0, "w2, w3 read nothing of 'words', which has 1 split for"),
    ],
)
def test_a_cluster_that_is_slow_is_degraded(
    changes: dict[str, Any], failed_count: int, reason: str
) -> None:
    judged = judge(view(**changes), {"w1": 0.0}, failed_count)
    assert judged["state"] == "degraded"
    assert reason in judged["reasons"][0]


def test_splits_of_a_lost_worker_are_not_read_until_it_is_back() -> None:
    workers = [WORKER, {**WORKER, "name": "w2", "state": "lost"}]
    judged = judge(view(workers=workers, sources=sources(2, 3)), {}, 0)
    assert judged["reasons"][1] == "3 of 5 splits of 'words' are not read until w2 is back"


@pytest.mark.parametrize(
    ("lag", "held_s", "state", "reason"),
    [
        (None, 9.0, "healthy", None),
        (
            None, 35.0, "unhealthy",
            "'o-1' and 1 more of 'words' have not been readable for 35 s, "
            "so the lag is not known: why",
        ),
        (3, 59.0, "healthy", None),
        (3, 61.0, "degraded", "'o-1' and 1 more of 'words' have not gone on for 61 s: why"),
    ],
)  # fmt: skip
def test_splits_that_do_not_go_on_are_named_with_the_reason_and_the_time(
    lag: int | None, held_s: float, state: str, reason: str | None
) -> None:
    usual = {"pipeline": "words", "lag": lag, "problem": ""}
    splits = [
        {**usual, "split": "o-0", "held": "another reason", "held_s": held_s / 2},
        {**usual, "split": "o-1", "held": "why", "held_s": held_s},
        {**usual, "split": "o-2", "held": "", "held_s": None},
    ]
    judged = judge(view(splits=splits), {}, 0)
    assert judged == {"state": state, "reasons": [] if reason is None else [reason]}


def test_a_split_that_broke_off_is_unhealthy_and_the_first_problem_is_named() -> None:
    splits = [
        {"pipeline": "words", "problem": problem, "held": ""}
        for problem in ("split 'b' ended early: damaged", "", "split 'a' ended early: gone")
    ]
    judged = judge(view(splits=splits), {}, 0)
    assert judged["state"] == "unhealthy"
    assert judged["reasons"] == [
        "split 'a' ended early: gone (and 1 more); what follows there is not read"
    ]


def test_a_checkpoint_may_be_as_old_as_its_interval() -> None:
    changes: dict[str, Any] = {"checkpoint_interval_s": 120.0}
    assert judge(view(checkpoints=checkpoints(130.0), **changes), {}, 0)["state"] == "healthy"
    assert judge(view(checkpoints=checkpoints(160.0), **changes), {}, 0)["state"] == "unhealthy"
    early = {**changes, "started_unix_s": 1900.0, "checkpoints": checkpoints(None)}
    assert judge(view(**early), {}, 0)["state"] == "healthy"


def test_a_sink_with_a_name_is_called_by_it() -> None:
    sink = {**SINK, "name": "totals", "connected": False}
    (reason,) = judge(view(sinks=[sink]), {}, 0)["reasons"]
    assert reason == "the sink 'totals' is not connected: see that its target can be reached"


def test_without_checkpoints_their_age_does_not_matter() -> None:
    assert judge(view(durable=False, checkpoints=checkpoints(None)), {}, 0)["state"] == "healthy"


def test_a_sink_is_named_once_even_if_several_workers_wait_for_it() -> None:
    judged = judge(view(sinks=[{**SINK, "waiting_s": wait_s} for wait_s in (3.0, 5.0)]), {}, 0)
    assert len(judged["reasons"]) == 1
    assert "for 5 s" in judged["reasons"][0]


def test_a_pipeline_without_measurements_is_not_slow() -> None:
    assert judge(view(pipelines=pipelines(None)), {}, 0)["state"] == "healthy"


@pytest.mark.parametrize(
    "changes",
    [
        {"pipelines": pipelines(5.9, 5.0)},
        {"sinks": [once_sink(0, 12.0)]},
        {"sinks": [once_sink(1, 9.0)]},
        {"sinks": [{**once_sink(1, 0.0), "waiting_s": 60.0}]},
    ],
)
def test_results_that_wait_for_their_checkpoint_are_not_slow(changes: dict[str, Any]) -> None:
    assert judge(view(**changes), {}, 0) == {"state": "healthy", "reasons": []}


def test_the_worst_reasons_are_first() -> None:
    judged = judge(view(sinks=[{**SINK, "connected": False}]), {}, 3)
    assert judged["state"] == "unhealthy"
    assert len(judged["reasons"]) == 2
    assert "sink" in judged["reasons"][0]


@pytest.mark.parametrize("counts", [(0, 0), (1, 1), (None, None)])
def test_workers_are_not_idle_if_no_partition_is_known_or_the_source_has_none(counts: Any) -> None:
    assert judge(view(sources=sources(*counts)), {}, 0)["state"] == "healthy"
