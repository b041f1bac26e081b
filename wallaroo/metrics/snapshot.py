"""A snapshot of a cluster as plain values, for the page, the commands and tests.

Times are seconds since 1970, durations are seconds, and rates are per second over the last five. A
number that was not measured is ``None``.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from wallaroo.connectors.base import Promise
from wallaroo.metrics.clock_view import clock_rows
from wallaroo.metrics.gathering import Gathering, Member
from wallaroo.metrics.health import (
    BACKLOG_BYTES,
    BATCH_WAITING_S,
    QUEUE_BYTES,
    WAITING_DEGRADED_S,
    judge,
    waits_for_checkpoints,
)
from wallaroo.metrics.histogram import Histogram, bins, merged, seconds
from wallaroo.metrics.nodes import Edge
from wallaroo.metrics.tally import FAILED, FILTERED, IN, OUT, Counts
from wallaroo.metrics.totals import sums
from wallaroo.names import SinkId

HOTTEST_SHOWN = 20
EVENTS_SHOWN = 50

_NO_TIMES = Histogram()
"""Stands for the times of a node that were not measured; it stays empty."""


def snapshot(gathering: Gathering, facts: dict[str, Any], now_s: float) -> dict[str, Any]:
    """Return the snapshot.

    ``facts`` are the application, its phase, epoch and start, and the interval of checkpoints.
    """
    by_worker = gathering.totals.by_worker()
    counts = sums(by_worker)
    members = _members(gathering)
    recent = gathering.recent_latency(now_s)
    rates = gathering.rates
    kinds = ("in", "out", "filtered", "failed")
    view: dict[str, Any] = {
        **facts,
        "now_unix_s": now_s,
        "durable": gathering.is_durable,
        "health": None,
        "totals": gathering.total(counts),
        "rates": {kind: rates.rate(("total", kind)) for kind in kinds},
        "latency": _latency(recent.values()),
        "pipelines": _pipelines(gathering, facts["checkpoint_interval_s"], recent),
        "workers": [_worker(gathering, name, member, recent) for name, member in members.items()],
        "links": _links(gathering, members),
        "sinks": _sinks(gathering, members),
        "sources": _sources(gathering, members),
        "splits": _splits(members),
        "rising_lags": gathering.rising_lags,
        "clocks": _clocks(gathering, members, now_s),
        "timers": _timers(members),
        "states": _states(gathering, members),
        "checkpoints": _checkpoints(gathering, now_s),
        "dead_letters": [*gathering.dead_letters],
        "events": gathering.events.newest(EVENTS_SHOWN),
        "log": sorted(gathering.log, key=lambda line: float(line["unix_s"])),
    }
    view["graph"] = _graph(gathering, by_worker, counts, view)
    silent_s = {
        name: now_s - member.reported_s
        for name, member in members.items()
        if member.reported_s is not None
    }
    view["health"] = judge(view, silent_s, gathering.failed_in_last_minute)
    return view


def _members(gathering: Gathering) -> dict[str, Member]:
    """Return the members, and workers that were members until they were lost."""
    return {name: member for name, member in gathering.members.items() if member.state != "gone"}


def _latency(histograms: Iterable[Histogram]) -> dict[str, Any]:
    """Return the percentiles and the distribution of all these values."""
    histogram = merged(histograms)
    return {**seconds(histogram), "bins": bins(histogram)}


def _pipelines(
    gathering: Gathering, interval_s: float, recent: dict[tuple[str, str], Histogram]
) -> list[dict[str, Any]]:
    plan = gathering.plan
    found = []
    for pipeline in plan.flows:
        is_late = gathering.is_durable and any(
            plan.sinks[sink].promise in (Promise.OUTBOX, Promise.TWO_PHASES)
            for sink in pipeline.sinks
        )
        late_s = interval_s if is_late else 0.0
        found.append({**_pipeline(pipeline.name, recent), "late_by_design_s": late_s})
    return found


def _pipeline(name: str, recent: dict[tuple[str, str], Histogram]) -> dict[str, Any]:
    here = {worker: each for (pipeline, worker), each in recent.items() if pipeline == name}
    return {
        "name": name,
        "latency": _latency(here.values()),
        "by_worker": {worker: seconds(each) for worker, each in here.items() if each.count},
    }


def _graph(
    gathering: Gathering, by_worker: dict[str, Counts], counts: Counts, view: dict[str, Any]
) -> dict[str, Any]:
    rates = gathering.rates
    cpu = sum(rates.rate(("cpu", name)) for name in gathering.members)
    is_paused = any(worker["paused"] for worker in view["workers"])
    is_behind = any(worker["backlog_bytes"] > BACKLOG_BYTES for worker in view["workers"])
    slow_sinks = _slow_sinks(gathering)
    times, waits = _by_node(gathering.times), _by_node(gathering.waits)
    nodes = []
    for node in gathering.nodes.all:
        four = counts.get(node.id, [0, 0, 0, 0])
        pressed = {
            "source": is_paused,
            "feed": False,
            "step": is_behind and node.edge is not None,
            "sink": node.index in slow_sinks,
        }
        nodes.append(
            {
                "id": node.id,
                "kind": node.kind,
                "name": node.label,
                "pipeline": node.pipeline,
                "step_kind": node.step_kind,
                "state": node.state,
                **_counts(four),
                "rate": rates.rate(("node", node.id)),
                "user_share": _share(rates.rate(("user of node", node.id)), cpu),
                "under_pressure": pressed[node.kind],
                "latency": _latency(times[node.id].values()),
                "wait": _latency(waits[node.id].values()),
                "by_worker": {
                    worker: _node_of_worker(gathering, node.id, worker, there[node.id])
                    for worker, there in by_worker.items()
                    if node.id in there
                },
            }
        )
    edges = [
        {
            "from": edge.before,
            "to": edge.after,
            "rate": _edge_rate(gathering, edge),
            "exchange": edge.is_exchange,
        }
        for edge in gathering.nodes.edges
    ]
    return {"nodes": nodes, "edges": edges}


def _edge_rate(gathering: Gathering, edge: Edge) -> float | None:
    """Return the records over an edge; ``None`` for a branch that is merged with others."""
    match edge.flow:
        case "after":
            return gathering.rates.rate(("node", edge.after))
        case "before":
            return gathering.rates.rate(("node out", edge.before))
    return None


def _slow_sinks(gathering: Gathering) -> set[int]:
    """Return the node indexes of sinks that are disconnected or do not keep up."""
    return {
        gathering.nodes.of_sink[SinkId(number)]
        for member in _members(gathering).values()
        if member.report is not None
        for number, sink in enumerate(member.report.sinks)
        if not sink["connected"] or _is_slow(sink)
    }


def _is_slow(sink: dict[str, Any]) -> bool:
    if waits_for_checkpoints(sink):
        batches = sink["batches"]
        return bool(batches["undelivered"] and batches["waiting_s"] > BATCH_WAITING_S)
    return bool(sink["queued_bytes"] > QUEUE_BYTES or sink["waiting_s"] > WAITING_DEGRADED_S)


def _counts(four: list[int]) -> dict[str, int]:
    return {
        "in": four[IN],
        "out": four[OUT],
        "filtered": four[FILTERED],
        "failed": four[FAILED],
    }


def _by_node(times: dict[tuple[str, str], Histogram]) -> defaultdict[str, dict[str, Histogram]]:
    """Return the times of each node, by worker."""
    found: defaultdict[str, dict[str, Histogram]] = defaultdict(dict)
    for (node, worker), histogram in times.items():
        found[node][worker] = histogram
    return found


def _node_of_worker(
    gathering: Gathering, node: str, worker: str, four: list[int]
) -> dict[str, Any]:
    return {
        **_counts(four),
        "rate": gathering.rates.rate(("node of worker", node, worker)),
        "latency": seconds(gathering.times.get((node, worker), _NO_TIMES)),
        "wait": seconds(gathering.waits.get((node, worker), _NO_TIMES)),
    }


def _worker(
    gathering: Gathering, name: str, member: Member, recent: dict[tuple[str, str], Histogram]
) -> dict[str, Any]:
    rates = gathering.rates
    process = {} if member.report is None else member.report.process
    states = {} if member.report is None else member.report.states
    cpu = rates.rate(("cpu", name))
    return {
        "name": name,
        "pid": member.pid,
        "address": member.address,
        "state": member.state,
        "epoch": member.epoch,
        "in_rate": rates.rate(("worker in", name)),
        "out_rate": rates.rate(("worker out", name)),
        "latency": _latency(each for (_, worker), each in recent.items() if worker == name),
        "backlog_bytes": process.get("backlog_bytes", 0),
        "cpu_share": cpu,
        "rss_bytes": process.get("rss_bytes", 0),
        "loop_lag_s": process.get("loop_lag_s", 0.0),
        "gc_pause_s": process.get("gc_pause_s", 0.0),
        "connections": process.get("connections", 0),
        "keys": sum(state["keys"] for state in states.values()),
        "paused": process.get("paused", False),
        "user_share": _share(rates.rate(("user", name)), cpu),
        "restarts": member.restarts,
    }


def _share(part: float, whole: float) -> float:
    return min(part / whole, 1.0) if whole > 0 else 0.0


def _links(gathering: Gathering, members: dict[str, Member]) -> list[dict[str, Any]]:
    return [
        {
            "from": name,
            "to": link["to"],
            "bytes": link["bytes"],
            "bytes_per_s": gathering.rates.rate(("link", name, link["to"])),
            "queued_bytes": link["queued_bytes"],
            "reconnects": max(link["connections"] - 1, 0),
        }
        for name, member in members.items()
        if member.report is not None
        for link in member.report.links
    ]


def _sinks(gathering: Gathering, members: dict[str, Member]) -> list[dict[str, Any]]:
    return [
        {
            "name": sink["name"],
            "worker": name,
            "address": sink["address"],
            "bytes": sink["bytes"],
            "bytes_per_s": gathering.rates.rate(("sink", name, index)),
            "queued_bytes": sink["queued_bytes"],
            "reconnects": max(sink["connections"] - 1, 0),
            "connected": sink["connected"],
            "waiting": sink["waiting"],
            "waiting_s": sink["waiting_s"],
            "batches": sink["batches"],
        }
        for name, member in members.items()
        if member.report is not None
        for index, sink in enumerate(member.report.sinks)
    ]


def _sources(gathering: Gathering, members: dict[str, Member]) -> list[dict[str, Any]]:
    return [
        {
            "pipeline": source["pipeline"],
            "worker": name,
            "address": source["address"],
            "connections": source["connections"],
            "bytes": source["bytes"],
            "bytes_per_s": gathering.rates.rate(("source", name, source["pipeline"])),
            "paused_s": source["paused_s"],
            "splits": source.get("splits"),
            "reconnects": source.get("reconnects"),
        }
        for name, member in members.items()
        if member.report is not None
        for source in member.report.sources
    ]


def _splits(members: dict[str, Member]) -> list[dict[str, Any]]:
    return [
        {**split, "worker": name}
        for name, member in members.items()
        if member.report is not None
        for split in member.report.splits
    ]


def _clocks(gathering: Gathering, members: dict[str, Member], now_s: float) -> list[dict[str, Any]]:
    facts = {
        name: member.report.clocks for name, member in members.items() if member.report is not None
    }
    return [
        {**row, "late_rate": gathering.rates.rate(("late", row["state"]))}
        for row in clock_rows(facts, gathering.plan.pipelines, round(now_s * 1e9))
    ]


def _timers(members: dict[str, Member]) -> list[dict[str, Any]]:
    return [
        {**state, "worker": name}
        for name, member in members.items()
        if member.report is not None
        for state in member.report.timers
    ]


def _states(gathering: Gathering, members: dict[str, Member]) -> list[dict[str, Any]]:
    reports = {
        name: member.report.states for name, member in members.items() if member.report is not None
    }
    return [_state(gathering, state, [*members], reports) for state in gathering.plan.states]


def _state(
    gathering: Gathering, state: str, workers: list[str], reports: dict[str, Any]
) -> dict[str, Any]:
    here = {name: states[state] for name, states in reports.items() if state in states}
    keys = {name: each["keys"] for name, each in here.items()}
    # Compare with an even distribution: one key on one of many workers is not uneven.
    even = -(-sum(keys.values()) // len(keys)) if keys else 0
    sampled = sum(each["sampled"] for each in here.values())
    arrived = sum(
        gathering.rates.rate(("node", node.id))
        for node in gathering.nodes.all
        if node.state == state
    )
    # Each key is on one worker only, so the counts of workers need not be added.
    hottest = [
        {"key": key, "share": count / sampled, "count": count, "worker": name}
        for name, each in here.items()
        for key, count in each["hottest"]
    ]
    hottest.sort(key=lambda each: -each["count"])
    partitions = gathering.partition_maps.get(state)
    owners = [] if partitions is None else [*partitions.owners]
    hashed = 0 if partitions is None else partitions.hashed_partition_count
    return {
        "name": state,
        "keys": sum(keys.values()),
        "bytes": sum(each["bytes"] for each in here.values()),
        "rate": arrived,
        "by_worker": {
            name: {"keys": each["keys"], "bytes": each["bytes"]} for name, each in here.items()
        },
        "skew": max(keys.values()) / even if even else 1.0,
        "hottest": hottest[:HOTTEST_SHOWN],
        "partitions": {
            "count": len(owners),
            "by_worker": {name: owners.count(name) for name in workers if name in owners},
            "owners": [workers.index(name) for name in owners[:hashed] if name in workers],
        },
    }


def _checkpoints(gathering: Gathering, now_s: float) -> dict[str, Any]:
    last = gathering.checkpoints[-1] if gathering.checkpoints else None
    return {
        "last_number": None if last is None else last["number"],
        "age_s": None if last is None else max(now_s - last["unix_s"], 0.0),
        "failed_in_a_row": gathering.checkpoint_failures,
        "lost_journals": [*gathering.lost_journals],
        "list": [*gathering.checkpoints],
    }
