"""Splits and batches from the reports of workers to snapshots, health and Prometheus."""

from dataclasses import replace

import pytest

from tests.workers.dashboard.exported import exported_families, gathered, view_of


def test_a_snapshot_names_the_worker_of_each_split() -> None:
    splits = view_of(gathered())["splits"]
    assert [(each["split"], each["worker"], each["lag"]) for each in splits] == [
        ("p-w1", "w1", 2),
        ("p-w2", "w2", 2),
    ]


def test_the_lags_of_all_workers_make_the_lag_of_a_source() -> None:
    gathering = gathered()
    [pipeline] = [each.name for each in gathering.plan.pipelines]
    now_s = 2e9
    for second in range(90):
        for name in ("w1", "w2"):
            report = gathering.member(name).report
            assert report is not None
            report = replace(report, lags={pipeline: second * 10})
            gathering.reported(name, 1, report, now_s + second)
        gathering.tick(now_s + second)
    assert gathering.rising_lags == {pipeline: 2 * 890}
    reasons = view_of(gathering)["health"]["reasons"]
    assert any("has risen for a minute and is 1,780" in reason for reason in reasons)


def test_prometheus_has_the_batches_of_each_sink() -> None:
    values = {
        sample.name: sample.value
        for family in exported_families()
        for sample in family.samples
        if sample.labels == {"sink": "out", "worker": "w1"}
    }
    assert values["wallaroo_sink_batches_total"] == 4
    assert values["wallaroo_sink_retries_total"] == 3
    assert values["wallaroo_sink_rejected_total"] == 2
    assert values["wallaroo_sink_undelivered_batches"] == 1
    assert values["wallaroo_sink_undelivered_bytes"] == 64
    assert values["wallaroo_sink_batch_seconds_count"] == 2
    assert values["wallaroo_sink_batch_seconds_sum"] == pytest.approx(0.0021)


def test_prometheus_has_splits_by_worker_and_lags_by_split() -> None:
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in exported_families()
        for sample in family.samples
    }
    [pipeline] = [each.name for each in gathered().plan.pipelines]
    assert samples["wallaroo_source_splits", pipeline, "w1"] == 1
    assert samples["wallaroo_source_reconnects_total", pipeline, "w2"] == 2
    assert samples["wallaroo_source_lag_records", pipeline, "p-w1"] == 2
    assert samples["wallaroo_source_lag_seconds", pipeline, "p-w2"] == 0.5
