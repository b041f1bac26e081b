"""What a snapshot makes of reports: sinks under pressure, and how even states lie."""

from dataclasses import replace
from typing import Any

import pytest

from tests.workers.dashboard.exported import gathered, view_of
from wallaroo.connectors.base import Promise
from wallaroo.connectors.custom_sinks import Custom
from wallaroo.metrics.gathering import Gathering
from wallaroo_workers.initializer.metrics.prometheus import families

BATCHES = {"written": 4, "retries": 3, "rejected": 2, "waiting_s": 0.0, "undelivered": 1,
           "undelivered_bytes": 64}  # fmt: skip


def view_with(change: Any) -> dict[str, Any]:
    gathering = gathered()
    for member in gathering.members.values():
        assert member.report is not None
        change(member.report)
    return view_of(gathering)


def pressed(view: dict[str, Any]) -> list[str]:
    return [node["id"] for node in view["graph"]["nodes"] if node["under_pressure"]]


@pytest.mark.parametrize(
    "facts",
    [
        {"connected": False},
        {"queued_bytes": 9 << 20, "batches": None},
        {"waiting_s": 3.0, "batches": None},
        {"batches": {**BATCHES, "waiting_s": 11.0}},
    ],
)
def test_a_sink_that_does_not_keep_up_is_under_pressure(facts: dict[str, Any]) -> None:
    view = view_with(lambda report: report.sinks[0].update(facts))
    assert len(pressed(view)) == 1
    assert "sink" in pressed(view)[0]


def test_a_sink_with_results_that_wait_for_their_checkpoint_is_not_under_pressure() -> None:
    facts = {"queued_bytes": 9 << 20, "waiting_s": 3.0, "batches": BATCHES}
    assert pressed(view_with(lambda report: report.sinks[0].update(facts))) == []


def test_results_are_late_by_the_interval_if_a_sink_waits_for_checkpoints() -> None:
    gathering = gathered()
    [pipeline] = view_of(gathering)["pipelines"]
    assert pipeline["late_by_design_s"] == 0
    plan = gathering.plan
    author: Any = None
    gathering.plan = replace(plan, sinks=(Custom(author, Promise.OUTBOX, ""),))
    [pipeline] = view_of(gathering)["pipelines"]
    assert pipeline["late_by_design_s"] == 5
    gathering.is_durable = False
    [pipeline] = view_of(gathering)["pipelines"]
    assert pipeline["late_by_design_s"] == 0


def test_a_sink_is_not_taken_for_one_whose_name_begins_like_its_own() -> None:
    def renamed(report: Any) -> None:
        report.sinks[0].update(name="tcp sink to 127.0.0.1:7", address="127.0.0.1:7")

    assert pressed(view_with(renamed)) == []


def keys_of(gathering: Gathering, *counts: int) -> dict[str, Any]:
    for member, count in zip(gathering.members.values(), counts, strict=True):
        assert member.report is not None
        [state] = member.report.states.values()
        state["keys"] = count
    [shown] = view_of(gathering)["states"]
    assert isinstance(shown, dict)
    return shown


@pytest.mark.parametrize(
    ("counts", "skew"),
    [((1, 0), 1.0), ((0, 0), 1.0), ((2, 1), 1.0), ((3000, 1000), 1.5), ((4000, 0), 2.0)],
)
def test_one_key_on_one_worker_is_not_uneven_but_all_of_many_are(
    counts: tuple[int, int], skew: float
) -> None:
    assert keys_of(gathered(), *counts)["skew"] == skew


def lost_count(gathering: Gathering) -> float:
    exported = {each.name: each for each in families(gathering, view_of(gathering))}
    (sample,) = exported["wallaroo_journals_lost"].samples
    return float(sample.value)


def test_health_tells_of_lost_input_until_the_next_checkpoint_and_the_counter_for_good() -> None:
    gathering = gathered()
    assert lost_count(gathering) == 0
    for journal in ("w1-0000000001", "w2-0000000001"):
        gathering.journal_lost(journal)
    health = view_of(gathering)["health"]
    assert health["state"] == "unhealthy"
    assert "w1-0000000001, w2-0000000001" in " ".join(health["reasons"])
    gathering.checkpoint_written({**gathering.checkpoints[-1], "number": 2})
    assert "lost" not in " ".join(view_of(gathering)["health"]["reasons"])
    assert lost_count(gathering) == 2
