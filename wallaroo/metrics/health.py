"""Whether a cluster is well, and if not, why, in words: judged from a snapshot."""

from typing import Any

SILENT_S = 5.0
"""A worker that has not reported for so long has something that keeps its loop."""
LAG_S = 0.25
CPU_SHARE = 0.95
CHECKPOINT_AGE_S = 30.0
QUEUE_BYTES = 1 << 20
SKEW = 2.0
SKEW_KEYS_MIN = 1000

STATES = ("well", "strained", "unwell")


def judge(view: dict[str, Any], silent_s: dict[str, float], failed_in_last_minute: int) -> Any:
    """Return ``{"state": …, "reasons": […]}``, the worst reasons first.

    ``silent_s`` says for how long each worker has not reported.
    """
    unwell = [*_phase(view), *_workers_unwell(view, silent_s), *_sinks(view), *_checkpoints(view)]
    strained = [*_workers_strained(view), *_records(failed_in_last_minute), *_states(view)]
    state = STATES[2] if unwell else STATES[1] if strained else STATES[0]
    return {"state": state, "reasons": [*unwell, *strained]}


def _phase(view: dict[str, Any]) -> list[str]:
    phase = view["phase"]
    if phase in ("running", "draining", "stopped", "moving"):
        return []
    return [f"the cluster is not running, it is {phase}: senders wait"]


def _workers_unwell(view: dict[str, Any], silent_s: dict[str, float]) -> list[str]:
    reasons = []
    for worker in view["workers"]:
        name, silent = worker["name"], silent_s.get(worker["name"], 0.0)
        if worker["state"] == "lost":
            reasons.append(f"worker {name} was lost and is not back yet")
        elif worker["state"] == "running" and silent > SILENT_S:
            reasons.append(
                f"worker {name} has told nothing for {silent:.0f} s: a long computation, or a hang"
            )
    return reasons


def _sinks(view: dict[str, Any]) -> list[str]:
    away = sorted({sink["address"] for sink in view["sinks"] if not sink["connected"]})
    return [f"the sink at {address} is not connected: start the receiver" for address in away]


def _checkpoints(view: dict[str, Any]) -> list[str]:
    if not view["durable"] or view["phase"] != "running":
        return []
    age_s, failures = view["checkpoints"]["age_s"], view["checkpoints"]["failed_in_a_row"]
    reasons = []
    if failures:
        reasons.append(f"the last {failures} checkpoints could not be saved; see the log")
    if age_s is not None and age_s > CHECKPOINT_AGE_S:
        reasons.append(f"the last checkpoint is {age_s:.0f} s old; a recovery replays all since")
    return reasons


def _workers_strained(view: dict[str, Any]) -> list[str]:
    reasons = []
    paused = [worker["name"] for worker in view["workers"] if worker["paused"]]
    if paused:
        slow = [
            f"the sink at {sink['address']}"
            for sink in view["sinks"]
            if sink["queued_bytes"] > QUEUE_BYTES
        ]
        cause = f"; {', '.join(sorted(set(slow)))} does not keep up" if slow else ""
        reasons.append(f"sources of {', '.join(paused)} pause, senders wait{cause}")
    for worker in view["workers"]:
        if worker["loop_lag_s"] > LAG_S:
            lag_ms = worker["loop_lag_s"] * 1000
            reasons.append(f"worker {worker['name']} was {lag_ms:.0f} ms late: a long computation")
        if worker["cpu_share"] > CPU_SHARE:
            reasons.append(f"worker {worker['name']} uses all of its processor core")
    return reasons


def _records(failed_in_last_minute: int) -> list[str]:
    if not failed_in_last_minute:
        return []
    return [f"{failed_in_last_minute:,} records failed in the last minute; see the dead letters"]


def _states(view: dict[str, Any]) -> list[str]:
    return [
        f"state {state['name']!r} is uneven: one worker has {state['skew']:.1f} times the mean"
        for state in view["states"]
        if state["skew"] > SKEW and state["keys"] >= SKEW_KEYS_MIN
    ]
