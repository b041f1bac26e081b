"""The metrics of a cluster, named by the conventions of Prometheus.

Counters end in ``_total``. Metrics of records have the labels ``pipeline``, ``step`` and
``worker``; the sum over the workers is the number for the whole cluster. Sources and sinks count as
steps: a source is named ``source``, a sink by its name, or as the plan describes it.

A metric that gets a better name is exported under both names for one minor version, so that
dashboards and alert rules have time to follow. ``docs/upgrading.md`` lists these names.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from wallaroo.metrics.gathering import Gathering
from wallaroo.metrics.histogram import Histogram

RECORDS = (
    ("wallaroo_records_in", "Records that entered a step."),
    ("wallaroo_records_out", "Records that left a step."),
    ("wallaroo_records_filtered", "Records that a step dropped by returning nothing."),
    ("wallaroo_records_failed", "Records that became dead letters at a step."),
)

BOUNDS_S = (
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

WORKER_GAUGES = (
    ("wallaroo_worker_resident_memory_bytes", "Resident memory of the worker's process.",
     "rss_bytes"),
    ("wallaroo_worker_backlog_bytes", "Bytes that wait in the worker or for it.", "backlog_bytes"),
    ("wallaroo_worker_event_loop_lag_seconds", "Longest event loop delay in the last second.",
     "loop_lag_s"),
    ("wallaroo_worker_gc_pause_seconds", "Longest garbage collection in the last second.",
     "gc_pause_s"),
    ("wallaroo_worker_sources_paused", "1 if back-pressure pauses the worker's sources.", "paused"),
    ("wallaroo_worker_connections",
     "Deprecated: use sum by (worker) (wallaroo_source_connections).", "connections"),
)  # fmt: skip

WORKER_COUNTERS = (
    ("wallaroo_worker_cpu_seconds", "CPU time of the worker's process.", "cpu_s"),
    ("wallaroo_worker_gc_seconds", "Time in garbage collections.", "gc_s"),
    ("wallaroo_worker_gc_collections", "Garbage collections.", "gc_count"),
)

FORMER_NAMES = {
    "wallaroo_function_duration_seconds": "wallaroo_step_seconds",
    "wallaroo_function_seconds": "wallaroo_user_seconds",
    "wallaroo_sink_queue_age_seconds": "wallaroo_sink_waiting_seconds",
    "wallaroo_state_skew_ratio": "wallaroo_state_skew",
    "wallaroo_worker_event_loop_lag_seconds": "wallaroo_worker_loop_lag_seconds",
    "wallaroo_worker_resident_memory_bytes": "wallaroo_worker_resident_bytes",
    "wallaroo_worker_sources_paused": "wallaroo_worker_paused",
}
"""Former names of metrics, by their present names; without ``_total``."""


def families(gathering: Gathering, view: dict[str, Any]) -> Iterator[Metric]:
    """Yield every metric, renamed ones twice; ``view`` is a snapshot of the same moment."""
    for family in _current_families(gathering, view):
        yield family
        if family.name in FORMER_NAMES:
            yield _under_former_name(family)


def _under_former_name(family: Metric) -> Metric:
    former = FORMER_NAMES[family.name]
    copy = Metric(former, f"Deprecated: use {family.name}.", family.type)
    copy.samples = [
        sample._replace(name=former + sample.name.removeprefix(family.name))
        for sample in family.samples
    ]
    return copy


def _current_families(gathering: Gathering, view: dict[str, Any]) -> Iterator[Metric]:
    yield from _records(gathering)
    yield from _times(gathering)
    yield from _workers(gathering, view)
    yield from _connections(view)
    yield from _states(view)
    yield from _clocks(view)
    yield from _timers(view)
    yield from _cluster(view)
    yield CounterMetricFamily(
        "wallaroo_journals_lost",
        "Journals that a recovery needed and that were missing or too short.",
        value=gathering.lost_journal_count,
    )


def _records(gathering: Gathering) -> Iterator[Metric]:
    by_worker = gathering.totals.by_worker()
    for index, (name, text) in enumerate(RECORDS):
        family = CounterMetricFamily(name, text, labels=["pipeline", "step", "worker"])
        for worker, counts in by_worker.items():
            for node in gathering.nodes.all:
                if node.id in counts:
                    labels = [node.pipeline, node.label, worker]
                    family.add_metric(labels, counts[node.id][index])
        yield family


def _times(gathering: Gathering) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "wallaroo_latency_seconds",
        "Time from reading a record until its sink has the result.",
        labels=["pipeline", "worker"],
    )
    for (pipeline, worker), histogram in gathering.latency.items():
        _add_histogram(family, [pipeline, worker], histogram)
    yield family
    durations = HistogramMetricFamily(
        "wallaroo_function_duration_seconds",
        "Duration of calls of a step's function, from a sample if records do not wait there.",
        labels=["pipeline", "step", "worker"],
    )
    waits = HistogramMetricFamily(
        "wallaroo_step_wait_seconds",
        "Time for which records waited at a step, for a batch or for an answer.",
        labels=["pipeline", "step", "worker"],
    )
    total = CounterMetricFamily(
        "wallaroo_function_seconds",
        "CPU time in the application's functions, estimated from the sample.",
        labels=["pipeline", "step", "worker"],
    )
    for node in gathering.nodes.all:
        for worker, member in gathering.members.items():
            labels = [node.pipeline, node.label, worker]
            times = gathering.times.get((node.id, worker))
            if times is not None:
                _add_histogram(durations, labels, times)
            if (waited := gathering.waits.get((node.id, worker))) is not None:
                _add_histogram(waits, labels, waited)
            if member.report is not None and node.id in member.report.user_s:
                total.add_metric(labels, member.report.user_s[node.id])
    yield durations
    yield waits
    yield total


def _add_histogram(
    family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram
) -> None:
    counts = histogram.cumulative([round(bound * 1e9) for bound in BOUNDS_S])
    buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS_S, counts, strict=True)]
    buckets.append(("+Inf", float(histogram.count)))
    family.add_metric(labels, buckets=buckets, sum_value=histogram.total / 1e9)


def _workers(gathering: Gathering, view: dict[str, Any]) -> Iterator[Metric]:
    reports = {
        name: member.report.process
        for name, member in gathering.members.items()
        if member.report is not None and member.state != "gone"
    }
    for name, text, key in WORKER_GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=["worker"])
        for worker, process in reports.items():
            gauge.add_metric([worker], float(process.get(key, 0)))
        yield gauge
    for name, text, key in WORKER_COUNTERS:
        counter = CounterMetricFamily(name, text, labels=["worker"])
        for worker, process in reports.items():
            counter.add_metric([worker], float(process.get(key, 0)))
        yield counter
    restarts = CounterMetricFamily(
        "wallaroo_worker_restarts", "Restarts of a lost worker.", labels=["worker"]
    )
    for each in view["workers"]:
        restarts.add_metric([each["name"]], each["restarts"])
    yield restarts


def _connections(view: dict[str, Any]) -> Iterator[Metric]:
    by_link = ["from", "to"]
    rows = view["links"]
    yield _counter("wallaroo_link_bytes", "Bytes sent to another worker.", by_link, rows, "bytes")
    yield _gauge("wallaroo_link_queued_bytes", "Bytes that another worker has not processed.",
                 by_link, rows, "queued_bytes")  # fmt: skip
    yield _counter("wallaroo_link_reconnects", "Reconnects of a link.",
                   by_link, rows, "reconnects")  # fmt: skip
    by_sink = ["name", "worker"]
    rows = _numbered(view["sinks"])
    yield _counter(
        "wallaroo_sink_bytes", "Bytes that a sink has written.", by_sink, rows, "bytes", _SINK
    )
    yield _gauge("wallaroo_sink_queued_bytes", "Bytes that a sink has not acknowledged.",
                 by_sink, rows, "queued_bytes", _SINK)  # fmt: skip
    yield _gauge("wallaroo_sink_queue_age_seconds", "Age of the oldest result in its queue.",
                 by_sink, rows, "waiting_s", _SINK)  # fmt: skip
    yield _counter("wallaroo_sink_reconnects", "Reconnects of a sink.",
                   by_sink, rows, "reconnects", _SINK)  # fmt: skip
    yield _gauge("wallaroo_sink_connected", "1 if a worker is connected to a sink.",
                 by_sink, rows, "connected", _SINK)  # fmt: skip
    yield from _batches(rows)
    by_source = ["pipeline", "worker"]
    rows = view["sources"]
    yield _counter("wallaroo_source_bytes", "Bytes that senders sent.", by_source, rows, "bytes")
    yield _gauge("wallaroo_source_connections", "Open connections of senders.",
                 by_source, rows, "connections")  # fmt: skip
    yield _counter("wallaroo_source_paused_seconds", "Time for which a source was paused.",
                   by_source, rows, "paused_s")  # fmt: skip
    rows = [row for row in rows if row["splits"] is not None]
    yield _gauge("wallaroo_source_splits", "Splits of a source that a worker reads.",
                 by_source, rows, "splits")  # fmt: skip
    yield _counter("wallaroo_source_reconnects", "Readers that were made anew after an error.",
                   by_source, rows, "reconnects")  # fmt: skip
    by_split = ["pipeline", "split"]
    for name, text, key in (
        ("wallaroo_source_lag_records", "End of a split less the position read.", "lag"),
        ("wallaroo_source_lag_seconds", "Age of the last record read of a split; 0 at its end.",
         "lag_s"),
    ):  # fmt: skip
        rows = [split for split in view["splits"] if split[key] is not None]
        yield _gauge(name, text, by_split, rows, key)


_SINK = ["sink", "worker"]


def _batches(sinks: list[dict[str, Any]]) -> Iterator[Metric]:
    by_sink = ["name", "worker"]
    rows = [{**sink, **sink["batches"]} for sink in sinks if sink["batches"] is not None]
    for name, text, key in (
        ("batches", "Batches that a sink has taken.", "written"),
        ("retries", "Calls of a sink that failed and are made again.", "retries"),
        ("rejected", "Results that a sink refused, which are dead letters.", "rejected"),
    ):
        yield _counter(f"wallaroo_sink_{name}", text, by_sink, rows, key, _SINK)
    rows = [row for row in rows if row["undelivered"] is not None]
    yield _gauge("wallaroo_sink_undelivered_batches",
                 "Batches that a checkpoint has and the target of a sink does not.",
                 by_sink, rows, "undelivered", _SINK)  # fmt: skip
    yield _gauge("wallaroo_sink_undelivered_bytes", "Bytes of these batches.",
                 by_sink, rows, "undelivered_bytes", _SINK)  # fmt: skip
    delays = HistogramMetricFamily(
        "wallaroo_sink_batch_seconds",
        "Time from the commit of a checkpoint until the target of a sink has its batches.",
        labels=_SINK,
    )
    for row in rows:
        if row["delays"] is not None:
            labels = [row["name"], row["worker"]]
            _add_histogram(delays, labels, Histogram.from_wire(row["delays"]))
    yield delays


def _numbered(sinks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return sinks with unique names: two sinks of a worker may have the same address."""
    seen: dict[tuple[str, str], int] = {}
    rows = []
    for sink in sinks:
        place = sink["name"], sink["worker"]
        count = seen[place] = seen.get(place, 0) + 1
        rows.append({**sink, "name": sink["name"] if count == 1 else f"{sink['name']}#{count}"})
    return rows


def _clocks(view: dict[str, Any]) -> Iterator[Metric]:
    rows = [
        {**row, "watermark_s": row["clock_ns"] / 1e9}
        for row in view["clocks"]
        if row["clock_ns"] is not None
    ]
    by = ["state"]
    yield _gauge("wallaroo_watermark_seconds",
                 "The slowest clock of a state, in seconds since 1970.",
                 by, rows, "watermark_s")  # fmt: skip
    yield _gauge("wallaroo_watermark_lag_seconds", "How far it is behind the wall clock.",
                 by, rows, "lag_s")  # fmt: skip
    yield _gauge("wallaroo_firing_backlog", "1 if results of a state are due and not given.",
                 ["state"], view["clocks"], "due")  # fmt: skip
    with_timers = {row["state"] for row in view["timers"]}
    yield from _windows([row for row in view["clocks"] if row["state"] not in with_timers])


def _windows(clocks: list[dict[str, Any]]) -> Iterator[Metric]:
    rows = [
        {"state": row["state"], "worker": worker, **numbers}
        for row in clocks
        for worker, numbers in row["by_worker"].items()
    ]
    by = ["state", "worker"]
    yield _gauge("wallaroo_windows_open", "Windows that are not due.", by, rows, "open")
    yield _counter("wallaroo_late", "Records whose windows had all fired.", by, rows, "late")
    rows = [
        {"state": row["state"], "kind": kind, "count": count}
        for row in clocks
        for kind, count in row["fired"].items()
    ]
    yield _counter("wallaroo_windows_fired", "Results that windows have given.",
                   ["state", "kind"], rows, "count")  # fmt: skip


def _timers(view: dict[str, Any]) -> Iterator[Metric]:
    by_kind = ["state", "worker", "kind"]
    rows = [
        {**row, "kind": kind, "count": count, "fired": row["fired"][kind]}
        for row in view["timers"]
        for kind, count in row["pending"].items()
    ]
    yield _gauge("wallaroo_timers_pending", "Timers and alarms that have not fired.",
                 by_kind, rows, "count")  # fmt: skip
    yield _counter("wallaroo_timers_fired", "Timers and alarms that have fired.",
                   by_kind, rows, "fired")  # fmt: skip
    rows = [row for row in view["timers"] if row["expired"] is not None]
    yield _counter("wallaroo_expired", "Keys that were forgotten after their time to live.",
                   ["state", "worker"], rows, "expired")  # fmt: skip


def _states(view: dict[str, Any]) -> Iterator[Metric]:
    rows = [
        {"state": state["name"], "worker": worker, **numbers}
        for state in view["states"]
        for worker, numbers in state["by_worker"].items()
    ]
    by = ["state", "worker"]
    yield _gauge("wallaroo_state_keys", "Number of keys of a state.", by, rows, "keys")
    yield _gauge("wallaroo_state_bytes", "Estimated size of a state.", by, rows, "bytes")
    yield _gauge("wallaroo_state_skew_ratio",
                 "Keys of the fullest worker relative to an even share.", ["name"],
                 view["states"], "skew", ["state"])  # fmt: skip


def _cluster(view: dict[str, Any]) -> Iterator[Metric]:
    checkpoints = view["checkpoints"]
    last = checkpoints["list"][-1] if checkpoints["list"] else None
    yield GaugeMetricFamily("wallaroo_epoch", "Increases when a worker is lost and at a resize.",
                            value=view["epoch"])  # fmt: skip
    yield GaugeMetricFamily("wallaroo_start_time_seconds", "Start of the run, in Unix time.",
                            value=view["started_unix_s"])  # fmt: skip
    yield GaugeMetricFamily("wallaroo_healthy", "1 if the cluster is healthy.",
                            value=view["health"]["state"] == "healthy")  # fmt: skip
    hosts = view["hosts"]
    for name, text in (
        ("wanted", "Hosts that should be connected, with those to be kept in reserve."),
        ("here", "Hosts that run a worker."),
        ("standby", "Hosts that stand by."),
    ):
        yield GaugeMetricFamily(f"wallaroo_hosts_{name}", text, value=hosts[name])
    for name, text, value in (
        ("number", "Number of the last checkpoint.", last and last["number"]),
        ("last_timestamp_seconds", "Time of the last checkpoint, in Unix time.",
         last and last["unix_s"]),
        ("age_seconds", "Deprecated: use time() - wallaroo_checkpoint_last_timestamp_seconds.",
         checkpoints["age_s"]),
        ("duration_seconds", "Duration of the last checkpoint.", last and last["duration_s"]),
        ("pause_seconds", "Longest pause of records for the last checkpoint.",
         last and last["pause_s"]),
        ("bytes", "Bytes that the last checkpoint added to the store.", last and last["bytes"]),
    ):  # fmt: skip
        # A family without a value is exported too, so that the set of metrics never changes.
        yield GaugeMetricFamily(f"wallaroo_checkpoint_{name}", text, value=value)


def _family(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    text: str,
    by: list[str],
    rows: list[dict[str, Any]],
    key: str,
    labels: list[str] | None = None,
) -> Metric:
    """Return a family with the value ``key`` of each row, labelled by the row's values of ``by``.

    ``labels`` are the names of the labels if they differ from ``by``.
    """
    family = kind(name, text, labels=labels or by)
    for row in rows:
        family.add_metric([row[each] for each in by], float(row[key]))
    return family


_counter = partial(_family, CounterMetricFamily)
_gauge = partial(_family, GaugeMetricFamily)
