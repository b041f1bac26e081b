"""The rows of growing and shrinking: for how long records wait meanwhile, and how deep the dip is.

Two workers hold all keys, and two connections bring records at a steady rate. A third worker joins
and leaves again, a few times, as ``wallaroo-cluster grow`` and ``shrink`` ask. What the answer
tells (the pause, and how much of it keys were moving) stands beside what the receiver sees: the
longest wait of a record from the sender's write to its own read while the members changed, and
while nothing happened; the fewest records of any 100 ms; and for how long it was behind what was
offered by more than these 100 ms.
"""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.processes import APPLICATIONS, Cluster, running_cluster
from tests.bench.rows.row import Result
from tests.bench.stamped.load import fill, sending
from tests.bench.stamped.sink import Arrival, Sink
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.control_client import ask
from wallaroo_cli.tools.running_clusters import Target
from wallaroo_workers.run_file import living_runs

KEY_COUNTS = (10_000, 100_000, 1_000_000)
CONNECTIONS = 2
RATE = 20_000
"""Records a second, of all connections."""
TURNS = 4
"""So many times a worker joins and leaves."""
QUIET_S = 2.0
"""Between two changes."""
SETTLE_S = 1.0
"""After a change; what comes then counts neither as during nor as between."""
WINDOW_S = 0.1
TARGET_S = 0.25
"""Of the pause, beside the time in which keys move."""
SECONDS_MAX = 1000
"""Senders end before."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the members."""

    verb: str
    begun_s: float
    """On the monotonic clock, as all times here."""
    ended_s: float
    facts: dict[str, Any]

    @property
    def rest_s(self) -> float:
        """The pause without the time in which keys moved."""
        return float(self.facts["pause_s"] - self.facts["moving_s"])


@dataclass(frozen=True, slots=True)
class Dip:
    """What the receiver saw of a change."""

    longest_wait_ms: float
    lowest_share: float
    """Records in the leanest 100 ms as a share of what was offered."""
    behind_s: float
    """Longest time for which more was missing than is offered in 100 ms."""


class ResizeRow:
    """Two workers, a third that comes and goes, and so many keys."""

    group = "resize"

    def __init__(self, key_count: int) -> None:
        self.name = f"resize, {key_count:,} keys"
        self._key_count = key_count
        self._changes: list[Change] = []
        self._dips: list[Dip] = []
        self._quiet_ms: list[float] = []

    def measure(self, folder: Path) -> None:
        """Fill the state, then have a worker join and leave under load."""
        with Sink() as sink, running_cluster("stamps", 2, sink.address, ["many"]) as cluster:
            fill(cluster, sink, self._key_count)
            filled = len(sink.arrivals)
            with ExitStack() as senders:
                for _ in range(CONNECTIONS):
                    share = RATE // CONNECTIONS
                    steady = sending(cluster, self._key_count, share, SECONDS_MAX * share)
                    senders.enter_context(steady)
                changes = [
                    _change(cluster, verb) for _ in range(TURNS) for verb in ("grow", "shrink")
                ]
                time.sleep(QUIET_S)
                arrivals = sink.arrivals[filled:]
            self._changes += changes
            self._dips += [_dip(arrivals, change) for change in changes]
            self._quiet_ms.append(_longest_quiet_ms(arrivals, changes))

    def result(self) -> Result:
        """Return pauses and dips."""
        more: dict[str, float] = {"keys": self._key_count, "records_per_s": RATE}
        for verb in ("grow", "shrink"):
            both = zip(self._changes, self._dips, strict=True)
            chosen = [(change, dip) for change, dip in both if change.verb == verb]
            facts = [change.facts for change, _ in chosen]
            pauses_s = [one["pause_s"] for one in facts]
            more |= {
                f"{verb}_pause_median_s": statistics.median(pauses_s),
                f"{verb}_pause_max_s": max(pauses_s),
                f"{verb}_barrier_s": statistics.median(one["barrier_s"] for one in facts),
                f"{verb}_moving_s": statistics.median(one["moving_s"] for one in facts),
                f"{verb}_rest_max_s": max(change.rest_s for change, _ in chosen),
                f"{verb}_took_s": statistics.median(one["took_s"] for one in facts),
                f"{verb}_moved_keys": statistics.median(one["moved_keys"] for one in facts),
                f"{verb}_moved_bytes": statistics.median(one["moved_bytes"] for one in facts),
                f"{verb}_wait_max_ms": max(dip.longest_wait_ms for _, dip in chosen),
                f"{verb}_lowest_share": statistics.median(dip.lowest_share for _, dip in chosen),
                f"{verb}_behind_s": statistics.median(dip.behind_s for _, dip in chosen),
            }
        rests_s = [change.rest_s for change in self._changes]
        return Result(
            name=self.name,
            group=self.group,
            unit="seconds of pause beside those in which keys moved",
            values=rests_s,
            target=TARGET_S,
            verdict=max(rests_s) <= TARGET_S,
            more={**more, "wait_between_max_ms": max(self._quiet_ms)},
        )


def _change(cluster: Cluster, verb: str) -> Change:
    """Have one worker more or less, after a while in which nothing happens."""
    time.sleep(QUIET_S)
    cluster.check()
    begun_s = time.monotonic()
    facts = ask(_target(cluster), verb, {"workers": 1, "wait": True})
    return Change(verb, begun_s, time.monotonic(), facts)


def _target(cluster: Cluster) -> Target:
    """Return what ``wallaroo-cluster`` would ask; its start would take CPU meanwhile."""
    runs = living_runs(APPLICATIONS)
    [secret] = [run["secret"] for run in runs if run["control"] == cluster.control]
    return Target(parse_address(cluster.control, "the ready file's"), bytes.fromhex(secret))


def _dip(arrivals: Sequence[Arrival], change: Change) -> Dip:
    """Return what the receiver saw while a change was made, and right after it."""
    begun_s, end_s = change.begun_s, change.ended_s + SETTLE_S
    during = [one for one in arrivals if begun_s <= one.at_ns / 1e9 < end_s]
    windows = [0] * int((end_s - begun_s) / WINDOW_S)
    level_s, longest_s, came = begun_s, 0.0, 0
    for one in during:
        at_s = one.at_ns / 1e9
        window = int((at_s - begun_s) / WINDOW_S)
        if window < len(windows):
            windows[window] += one.record_count
        came += one.record_count
        if RATE * (at_s - begun_s) - came <= RATE * WINDOW_S:
            longest_s, level_s = max(longest_s, at_s - level_s), at_s
    return Dip(
        longest_wait_ms=max(one.waited_ms for one in during),
        lowest_share=min(windows) / (RATE * WINDOW_S),
        behind_s=max(longest_s, end_s - level_s),
    )


def _longest_quiet_ms(arrivals: Sequence[Arrival], changes: Sequence[Change]) -> float:
    """Return the longest wait of a record that arrived while nothing happened."""
    begun_s = arrivals[0].at_ns / 1e9 + SETTLE_S
    spans = [(change.begun_s, change.ended_s + SETTLE_S) for change in changes]
    return max(
        one.waited_ms
        for one in arrivals
        if (at_s := one.at_ns / 1e9) >= begun_s
        and not any(begin <= at_s < end for begin, end in spans)
    )
