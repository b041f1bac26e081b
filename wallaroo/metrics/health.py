"""Judges the health of a cluster from a snapshot, and gives the reasons in words.

Results of sinks that are exactly once appear after their checkpoint. So their latency may be longer
by the interval of checkpoints, and the age of a result in such a sink says nothing.
"""

from typing import Any

SILENT_S = 5.0
"""If a worker has not reported for this long, something blocks its event loop."""
LAG_S = 0.25
LATENCY_DEGRADED_S = 1.0
LATENCY_UNHEALTHY_S = 10.0
"""Limits for the p99 of the last seconds."""
WAITING_DEGRADED_S = 2.0
WAITING_UNHEALTHY_S = 10.0
"""Limits for the age of the oldest result that a connected sink has not taken."""
AWAY_S = 10.0
"""How long a source may be unreachable."""
HELD_S = 60.0
"""How long available records may stay unreadable: most transactions are shorter."""
BATCH_WAITING_S = 10.0
"""How long a batch may wait that its checkpoint has released."""
QUIET_S = 30.0
"""How long windows may wait for a source that gives nothing."""
LATE_SHARE = 0.01
CPU_SHARE = 0.95
CHECKPOINT_LATE_S = 30.0
"""A checkpoint that is later than its interval by so much is missing."""
CHECKPOINT_DURATION_S = 10.0
CHECKPOINT_PAUSE_S = 0.25
BACKLOG_BYTES = 4 << 20
QUEUE_BYTES = 1 << 20
SKEW = 2.0
SKEW_KEYS_MIN = 1000

STATES = ("healthy", "degraded", "unhealthy")


def judge(view: dict[str, Any], silent_s: dict[str, float], failed_in_last_minute: int) -> Any:
    """Return ``{"state": …, "reasons": […]}``, the worst reasons first.

    ``silent_s`` holds the time since the last report of each worker.
    """
    slow = _slow(view)
    unhealthy = [
        *_phase(view),
        *_lost_input(view),
        *_broken_splits(view),
        *_held_splits(view, is_away=True),
        *_workers_unhealthy(view, silent_s),
        *_sinks(view),
        *(reason for is_bad, reason in slow if is_bad),
        *_checkpoints(view),
    ]
    degraded = [
        *(reason for is_bad, reason in slow if not is_bad),
        *_workers_degraded(view),
        *_slow_checkpoints(view),
        *_records(failed_in_last_minute),
        *_states(view),
        *_held_splits(view, is_away=False),
        *_splits(view),
        *_clocks(view),
    ]
    state = STATES[2] if unhealthy else STATES[1] if degraded else STATES[0]
    return {"state": state, "reasons": [*unhealthy, *degraded]}


def _phase(view: dict[str, Any]) -> list[str]:
    phase = view["phase"]
    if phase in ("running", "draining", "stopped", "moving"):
        return []
    return [f"the cluster is not running but {phase}; senders wait"]


def _lost_input(view: dict[str, Any]) -> list[str]:
    lost = view["checkpoints"]["lost_journals"]
    if not lost:
        return []
    return [f"accepted input is lost with {', '.join(lost)}; see journals.lost in the log"]


def _workers_unhealthy(view: dict[str, Any], silent_s: dict[str, float]) -> list[str]:
    reasons = []
    for worker in view["workers"]:
        name, silent = worker["name"], silent_s.get(worker["name"], 0.0)
        if worker["state"] == "lost":
            reasons.append(f"worker {name} was lost and is not back yet")
        elif worker["state"] == "running" and silent > SILENT_S:
            reasons.append(
                f"worker {name} has not reported for {silent:.0f} s: a long computation, or a hang"
            )
    return reasons


def _sinks(view: dict[str, Any]) -> list[str]:
    away = sorted({_called(sink) for sink in view["sinks"] if not sink["connected"]})
    return [f"{sink} is not connected: see that its target can be reached" for sink in away]


def _called(sink: dict[str, Any]) -> str:
    """Return what a sentence calls a sink: its name, unless that says the address anyway."""
    name, address = sink["name"], sink["address"]
    return f"the sink at {address}" if address in name else f"the sink {name!r}"


def waits_for_checkpoints(sink: dict[str, Any]) -> bool:
    """Return whether a sink gets results after their checkpoint."""
    batches: dict[str, Any] | None = sink["batches"]
    return batches is not None and batches["undelivered"] is not None


def _slow(view: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return the reasons for slow results, each with whether it makes the cluster unhealthy."""
    found = []
    waits: dict[str, float] = {}
    for sink in view["sinks"]:
        if sink["connected"] and not waits_for_checkpoints(sink):
            waits[_called(sink)] = max(waits.get(_called(sink), 0.0), sink["waiting_s"])
    for called, waiting_s in sorted(waits.items()):
        if waiting_s > WAITING_DEGRADED_S:
            reason = f"{called} has accepted no results for {waiting_s:.0f} s: it is slow, or hangs"
            found.append((waiting_s > WAITING_UNHEALTHY_S, reason))
    found += [(True, reason) for reason in _waiting_batches(view)]
    for pipeline in view["pipelines"]:
        p99_s, late_s = pipeline["latency"]["p99"], pipeline["late_by_design_s"]
        if p99_s is not None and p99_s > late_s + LATENCY_DEGRADED_S:
            reason = f"the latency of {pipeline['name']!r} is {p99_s:.1f} s (p99 of the last 10 s)"
            found.append((p99_s > late_s + LATENCY_UNHEALTHY_S, reason))
    return found


def _waiting_batches(view: dict[str, Any]) -> list[str]:
    waits: dict[str, float] = {}
    for sink in view["sinks"]:
        if waits_for_checkpoints(sink) and sink["batches"]["undelivered"]:
            waiting_s = sink["batches"]["waiting_s"]
            waits[_called(sink)] = max(waits.get(_called(sink), 0.0), waiting_s)
    return [
        f"a batch for {called} has waited for {waiting_s:.0f} s: its target does not take it; see "
        "sink.waiting in the log"
        for called, waiting_s in sorted(waits.items())
        if waiting_s > BATCH_WAITING_S
    ]


def _slow_checkpoints(view: dict[str, Any]) -> list[str]:
    made = view["checkpoints"]["list"]
    if not made or view["phase"] != "running":
        return []
    last, reasons = made[-1], []
    if last["duration_s"] > CHECKPOINT_DURATION_S:
        reasons.append(f"the last checkpoint took {last['duration_s']:.0f} s to become durable")
    if last["pause_s"] > CHECKPOINT_PAUSE_S:
        reasons.append(f"records waited {last['pause_s'] * 1000:.0f} ms for the last checkpoint")
    return reasons


def _checkpoints(view: dict[str, Any]) -> list[str]:
    if not view["durable"] or view["phase"] != "running":
        return []
    age_s, failures = view["checkpoints"]["age_s"], view["checkpoints"]["failed_in_a_row"]
    reasons = []
    if failures:
        reasons.append(f"the last {failures} checkpoints could not be saved; see the log")
    up_s = view["now_unix_s"] - view["started_unix_s"]
    late_s = view["checkpoint_interval_s"] + CHECKPOINT_LATE_S
    if age_s is None and up_s > late_s:
        reasons.append(f"there is no checkpoint yet, {up_s:.0f} s after the start")
    if age_s is not None and age_s > late_s:
        reasons.append(
            f"the last checkpoint is {age_s:.0f} s old; a recovery replays all input since then"
        )
    return reasons


def _workers_degraded(view: dict[str, Any]) -> list[str]:
    reasons = []
    paused = [worker["name"] for worker in view["workers"] if worker["paused"]]
    if paused:
        slow = [_called(sink) for sink in view["sinks"] if sink["queued_bytes"] > QUEUE_BYTES]
        cause = f"; {', '.join(sorted(set(slow)))} does not keep up" if slow else ""
        reasons.append(f"sources of {', '.join(paused)} pause, senders wait{cause}")
    for worker in view["workers"]:
        if worker["loop_lag_s"] > LAG_S:
            lag_ms = worker["loop_lag_s"] * 1000
            reasons.append(
                f"the event loop of worker {worker['name']} was blocked for {lag_ms:.0f} ms "
                "by a long computation"
            )
        if worker["backlog_bytes"] > BACKLOG_BYTES:
            backlog_mib = worker["backlog_bytes"] / (1 << 20)
            reasons.append(f"worker {worker['name']} has a backlog of {backlog_mib:.0f} MiB")
        if worker["cpu_share"] > CPU_SHARE:
            reasons.append(f"worker {worker['name']} uses its whole CPU core")
    return reasons


def _records(failed_in_last_minute: int) -> list[str]:
    if not failed_in_last_minute:
        return []
    return [f"{failed_in_last_minute:,} records failed in the last minute; see the dead letters"]


def _states(view: dict[str, Any]) -> list[str]:
    return [
        f"state {state['name']!r} is uneven: one worker has {state['skew']:.1f} times an even share"
        for state in view["states"]
        if state["skew"] > SKEW and state["keys"] >= SKEW_KEYS_MIN
    ]


def _clocks(view: dict[str, Any]) -> list[str]:
    rates = {state["name"]: state["rate"] for state in view["states"]}
    reasons = []
    for row in view["clocks"]:
        state, quiet_s = row["state"], row["quiet_s"]
        if row["open"] and quiet_s is not None and quiet_s > QUIET_S:
            what = f"{row['open']:,} windows of {state!r} wait" if row["open"] > 1 else (
                f"a window of {state!r} waits"
            )  # fmt: skip
            reasons.append(
                f"{what}: no source has given anything for {quiet_s:.0f} s; "
                'when_quiet="advance" would close them'
            )
        share = row["late_rate"] / rates[state] if rates.get(state) else 0.0
        if share > LATE_SHARE:
            reasons.append(
                f"{min(share, 1.0):.0%} of the records of {state!r} are late: out_of_order of its "
                "sources is too short, or a source was silent for longer than idle_after"
            )
    return reasons


def _broken_splits(view: dict[str, Any]) -> list[str]:
    """Return a sentence for each source of which something is not read and never will be."""
    problems: dict[str, list[str]] = {}
    for split in view["splits"]:
        if split["problem"]:
            problems.setdefault(split["pipeline"], []).append(split["problem"])
    reasons = []
    for _, found in sorted(problems.items()):
        first, *others = sorted(found)
        more = f" (and {len(others)} more)" if others else ""
        reasons.append(f"{first}{more}; what follows there is not read")
    return reasons


def _held_splits(view: dict[str, Any], *, is_away: bool) -> list[str]:
    """Return a sentence for each source that cannot be reached, or that holds records back."""
    held: dict[str, list[dict[str, Any]]] = {}
    for split in view["splits"]:
        if split["held"] and (split["lag"] is None) == is_away:
            held.setdefault(split["pipeline"], []).append(split)
    reasons = []
    for pipeline, found in sorted(held.items()):
        longest = max(found, key=lambda each: float(each["held_s"]))
        waiting_s, name = longest["held_s"], longest["split"]
        if waiting_s <= (AWAY_S if is_away else HELD_S):
            continue
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"{name!r}{more} of {pipeline!r} {'have' if more else 'has'} not "
        if is_away:
            what += f"been readable for {waiting_s:.0f} s, so the lag is not known"
        else:
            what += f"gone on for {waiting_s:.0f} s"
        reasons.append(f"{what}: {longest['held']}")
    return reasons


def _splits(view: dict[str, Any]) -> list[str]:
    reasons = [
        f"the lag of {pipeline!r} has risen for a minute and is {lag:,}: records arrive faster "
        "than they are processed"
        for pipeline, lag in sorted(view["rising_lags"].items())
    ]
    counts: dict[str, dict[str, int]] = {}
    for source in view["sources"]:
        if source["splits"] is not None:
            counts.setdefault(source["pipeline"], {})[source["worker"]] = source["splits"]
    lost = {worker["name"] for worker in view["workers"] if worker["state"] == "lost"}
    for pipeline, by_worker in sorted(counts.items()):
        reasons += _idle_workers(pipeline, by_worker)
        waiting = sum(count for worker, count in by_worker.items() if worker in lost)
        if waiting:
            reasons.append(
                f"{waiting} of {sum(by_worker.values())} splits of {pipeline!r} are not read "
                f"until {', '.join(sorted(lost & by_worker.keys()))} is back"
            )
    return reasons


def _idle_workers(pipeline: str, by_worker: dict[str, int]) -> list[str]:
    idle = sorted(worker for worker, count in by_worker.items() if not count)
    count = sum(by_worker.values())
    if not idle or not count:
        return []
    verb = "reads" if len(idle) == 1 else "read"
    splits = "1 split" if count == 1 else f"{count} splits"
    return [
        f"{', '.join(idle)} {verb} nothing of {pipeline!r}, which has {splits} for "
        f"{len(by_worker)} workers: add partitions there, or run fewer workers"
    ]
