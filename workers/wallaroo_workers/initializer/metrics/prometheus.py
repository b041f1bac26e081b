"""The metrics of a cluster by the conventions of Prometheus.

Counters end in ``_total``; what is counted where has the labels ``pipeline``, ``step`` and
``worker``, and the sums over the workers are the records of the whole cluster. Sources and sinks
are steps too, named ``source`` and as the plan describes the sink.
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
    ("wallaroo_records_in", "Records that came to a step."),
    ("wallaroo_records_out", "Records that left a step."),
    ("wallaroo_records_filtered", "Records that ended at a step because it returned nothing."),
    ("wallaroo_records_failed", "Records that became dead letters at a step."),
)

BOUNDS_S = (
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

WORKER_GAUGES = (
    ("wallaroo_worker_resident_bytes", "Memory of the worker's process.", "rss_bytes"),
    ("wallaroo_worker_backlog_bytes", "Bytes that wait in or for the worker.", "backlog_bytes"),
    ("wallaroo_worker_loop_lag_seconds", "Longest delay of its event loop in the last second.",
     "loop_lag_s"),
    ("wallaroo_worker_gc_pause_seconds", "Longest garbage collection in the last second.",
     "gc_pause_s"),
    ("wallaroo_worker_connections", "Connections of senders.", "connections"),
    ("wallaroo_worker_paused", "1 where its sources pause.", "paused"),
)  # fmt: skip

WORKER_COUNTERS = (
    ("wallaroo_worker_cpu_seconds", "Processor time of the worker's process.", "cpu_s"),
    ("wallaroo_worker_gc_seconds", "Time in garbage collections.", "gc_s"),
    ("wallaroo_worker_gc_collections", "Garbage collections.", "gc_count"),
)


def families(gathering: Gathering, view: dict[str, Any]) -> Iterator[Metric]:
    """Yield every metric; ``view`` is a snapshot of the same moment."""
    yield from _records(gathering)
    yield from _times(gathering)
    yield from _workers(gathering, view)
    yield from _outside(view)
    yield from _states(view)
    yield from _cluster(view)
    yield CounterMetricFamily(
        "wallaroo_journals_lost",
        "Journals that were needed and not there, or not all of them.",
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
        "Time of records from their source to their sinks.",
        labels=["pipeline", "worker"],
    )
    for (pipeline, worker), histogram in gathering.latency.items():
        _add_histogram(family, [pipeline, worker], histogram)
    yield family
    steps = HistogramMetricFamily(
        "wallaroo_step_seconds",
        "Time in the function of a step, of a sample of its records.",
        labels=["pipeline", "step", "worker"],
    )
    user = CounterMetricFamily(
        "wallaroo_user_seconds",
        "Time in the application's functions, estimated from the sample.",
        labels=["pipeline", "step", "worker"],
    )
    for node in gathering.nodes.all:
        for worker, member in gathering.members.items():
            labels = [node.pipeline, node.label, worker]
            times = gathering.times.get((node.id, worker))
            if times is not None:
                _add_histogram(steps, labels, times)
            if member.report is not None and node.id in member.report.user_s:
                user.add_metric(labels, member.report.user_s[node.id])
    yield steps
    yield user


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
        "wallaroo_worker_restarts", "Times that a lost worker was started again.", labels=["worker"]
    )
    for each in view["workers"]:
        restarts.add_metric([each["name"]], each["restarts"])
    yield restarts


def _outside(view: dict[str, Any]) -> Iterator[Metric]:
    by_link = ["from", "to"]
    rows = view["links"]
    yield _counter("wallaroo_link_bytes", "Bytes sent to another worker.", by_link, rows, "bytes")
    yield _gauge("wallaroo_link_queued_bytes", "Bytes that another worker has not processed.",
                 by_link, rows, "queued_bytes")  # fmt: skip
    yield _counter("wallaroo_link_reconnects", "Times that a link was connected again.",
                   by_link, rows, "reconnects")  # fmt: skip
    by_sink = ["name", "worker"]
    rows = _numbered(view["sinks"])
    yield _counter(
        "wallaroo_sink_bytes", "Bytes that a sink has taken.", by_sink, rows, "bytes", _SINK
    )
    yield _gauge("wallaroo_sink_queued_bytes", "Bytes that a sink has not acknowledged.",
                 by_sink, rows, "queued_bytes", _SINK)  # fmt: skip
    yield _gauge("wallaroo_sink_waiting_seconds", "Age of the oldest result that it has not taken.",
                 by_sink, rows, "waiting_s", _SINK)  # fmt: skip
    yield _counter("wallaroo_sink_reconnects", "Times that a sink was connected again.",
                   by_sink, rows, "reconnects", _SINK)  # fmt: skip
    yield _gauge("wallaroo_sink_connected", "1 where a worker is connected to a sink.",
                 by_sink, rows, "connected", _SINK)  # fmt: skip
    by_source = ["pipeline", "worker"]
    rows = view["sources"]
    yield _counter("wallaroo_source_bytes", "Bytes from senders.", by_source, rows, "bytes")
    yield _gauge("wallaroo_source_connections", "Connections of senders.",
                 by_source, rows, "connections")  # fmt: skip
    yield _counter("wallaroo_source_paused_seconds", "Time that a source did not read.",
                   by_source, rows, "paused_s")  # fmt: skip


_SINK = ["sink", "worker"]


def _numbered(sinks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return sinks with names of their own: two of one worker may have one address."""
    seen: dict[tuple[str, str], int] = {}
    rows = []
    for sink in sinks:
        place = sink["name"], sink["worker"]
        count = seen[place] = seen.get(place, 0) + 1
        rows.append({**sink, "name": sink["name"] if count == 1 else f"{sink['name']}#{count}"})
    return rows


def _states(view: dict[str, Any]) -> Iterator[Metric]:
    rows = [
        {"state": state["name"], "worker": worker, **numbers}
        for state in view["states"]
        for worker, numbers in state["by_worker"].items()
    ]
    by = ["state", "worker"]
    yield _gauge("wallaroo_state_keys", "Keys of a state.", by, rows, "keys")
    yield _gauge("wallaroo_state_bytes", "Bytes of a state, estimated.", by, rows, "bytes")
    yield _gauge("wallaroo_state_skew", "Keys of the fullest worker over an even part.",
                 ["name"], view["states"], "skew", ["state"])  # fmt: skip


def _cluster(view: dict[str, Any]) -> Iterator[Metric]:
    checkpoints = view["checkpoints"]
    last = checkpoints["list"][-1] if checkpoints["list"] else None
    yield GaugeMetricFamily("wallaroo_epoch", "Number of the membership.", value=view["epoch"])
    yield GaugeMetricFamily("wallaroo_start_time_seconds", "When the run began, unix time.",
                            value=view["started_unix_s"])  # fmt: skip
    yield GaugeMetricFamily("wallaroo_healthy", "1 where the cluster is well.",
                            value=view["health"]["state"] == "well")  # fmt: skip
    for name, text, value in (
        ("number", "The last checkpoint.", last and last["number"]),
        ("age_seconds", "Age of the last checkpoint.", checkpoints["age_s"]),
        ("duration_seconds", "What the last checkpoint took.", last and last["duration_s"]),
        ("pause_seconds", "How long records waited for it at one go.", last and last["pause_s"]),
        ("bytes", "What the last checkpoint added to the store.", last and last["bytes"]),
    ):
        # A family without a value is there all the same: what there is never changes.
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

    ``labels`` are the labels' names where these are others.
    """
    family = kind(name, text, labels=labels or by)
    for row in rows:
        family.add_metric([row[each] for each in by], float(row[key]))
    return family


_counter = partial(_family, CounterMetricFamily)
_gauge = partial(_family, GaugeMetricFamily)
