"""The clocks of a cluster as plain values: how far each timed state is, and who holds it back."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wallaroo.topology.plan import Pipeline

Facts = Mapping[str, Any]
"""What one worker says of one state, as ``wallaroo.runtime.clock_facts`` has it."""


def clock_rows(
    facts: Mapping[str, Iterable[Facts]], pipelines: Sequence[Pipeline], now_ns: int
) -> list[dict[str, Any]]:
    """Return a row for each timed state, from what the workers say of it.

    ``clock_ns`` is the slowest clock, ``lag_s`` how long that is behind the wall clock, ``open``,
    ``late`` and ``fired`` are sums, and ``held_by`` is a sentence: what the clock waits for.
    ``quiet_s`` says for how long no source has given anything, while the clock waits for that.
    """
    by_state: dict[str, dict[str, Facts]] = {}
    for worker, states in facts.items():
        for each in states:
            by_state.setdefault(each["state"], {})[worker] = each
    names = {index: pipeline.name for index, pipeline in enumerate(pipelines)}
    return [_row(state, here, names, now_ns) for state, here in by_state.items()]


def _row(
    state: str, here: Mapping[str, Facts], pipelines: Mapping[int, str], now_ns: int
) -> dict[str, Any]:
    clocks = [each["clock_ns"] for each in here.values() if each["clock_ns"] is not None]
    has_clock = len(clocks) == len(here)
    clock_ns = min(clocks) if has_clock else None
    fired: Counter[str] = Counter()
    for each in here.values():
        fired.update(each["fired"])
    sources = [
        {**source, "worker": worker, "name": pipelines.get(source["pipeline"], "")}
        for worker, each in here.items()
        for source in each["sources"]
    ]
    return {
        "state": state,
        "clock_ns": clock_ns,
        "lag_s": None if clock_ns is None else max(now_ns - clock_ns, 0) / 1e9,
        "ended": all(each["ended"] for each in here.values()),
        "open": sum(each["open"] for each in here.values()),
        "due": any(each["due"] for each in here.values()),
        "late": sum(each["late"] for each in here.values()),
        "fired": dict(fired),
        "by_worker": {
            worker: {"late": each["late"], "open": each["open"], "clock_ns": each["clock_ns"]}
            for worker, each in here.items()
        },
        "held_by": _held_by(sources),
        "quiet_s": _quiet_s(sources),
    }


def _held_by(sources: list[dict[str, Any]]) -> str:
    """Return what a clock waits for, in words."""
    active = [each for each in sources if each["status"] == "active"]
    if not active:
        if all(each["status"] == "ended" for each in sources):
            return "nothing: all sources have ended"
        if all(each["time_ns"] is None for each in sources):
            return "the first record"
        return "the next record: all sources are silent"
    slowest = min(active, key=_time_of)
    text = f"source {slowest['name']!r} on {slowest['worker']}"
    silent_ns = slowest["silent_ns"]
    if silent_ns is not None and silent_ns >= 1_000_000_000:
        text += f", silent for {silent_ns / 1e9:.0f} s"
    return text


def _time_of(source: dict[str, Any]) -> int:
    time_ns: int | None = source["time_ns"]
    return -(1 << 63) if time_ns is None else time_ns


def _quiet_s(sources: list[dict[str, Any]]) -> float | None:
    if any(each["status"] == "active" or not each["waits"] for each in sources):
        return None
    silent = [each["silent_ns"] for each in sources if each["silent_ns"] is not None]
    return min(silent) / 1e9 if silent else None
