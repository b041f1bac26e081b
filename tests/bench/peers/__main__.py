"""``make bench-peers``: the work of ``letters`` in other stream processors, beside Wallaroo's.

All run the functions of ``examples/alphabet`` on the same Python, in rounds: the bare loop,
Wallaroo with one and with two workers, then each peer, since machines get faster and slower by the
minute. A ratio is the median over the rounds of (peer / the other one in that round).

CPU is user and system of all processes of the peer: the JVM, Ray's services and workers, and what
feeds it where that is the peer itself. Of each peer a short and a long run are made, and what is
shown is the difference, so start-up and imports are not counted. Wallaroo and the bare loop leave
them out by themselves; Wallaroo's run has sockets on both ends, the peers' have none (each module
tells what else differs).
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.cluster_run import Measured, run_bare_loop, run_cluster
from tests.bench.peers.peer_run import (
    PEERS,
    Peer,
    PeerFailed,
    run_peer,
    why_missing,
)
from tests.bench.scenarios import VOTES, Sample, Scenario

BARE_LOOP = "bare loop"
WALLAROO = {
    "Wallaroo, 1 worker": Scenario(name="1 worker", module="letters", record_count=1_000_000),
    "Wallaroo, 2 workers": Scenario(
        name="2 workers", module="letters", workers=2, record_count=1_000_000
    ),
}
BESIDE = {peer.name: peer.beside for peer in PEERS} | {name: name for name in WALLAROO}

Runs = dict[str, list[dict[str, Measured]]]
"""By name: of each of its rounds everything that was measured in that round."""

progress = Console(stderr=True)


def main() -> None:
    """Measure and print."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=names,
                        help=f"leave out the other peers; one of: {'; '.join(names)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()
    chosen = _those_here(
        [peer for peer in PEERS if not arguments.only or peer.name in arguments.only]
    )
    rows = [_row(name, rounds) for name, rounds in _measure(chosen, arguments.rounds).items()]
    if arguments.json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(rows)


def _those_here(peers: list[Peer]) -> list[Peer]:
    here = []
    for peer in peers:
        reason = why_missing(peer)
        if reason is None:
            here.append(peer)
        else:
            _say(f"skipped: {peer.name}: {reason}")
    return here


def _measure(peers: list[Peer], round_count: int) -> Runs:
    runs: Runs = defaultdict(list)
    failed: set[str] = set()
    sample = Sample(VOTES, 9)
    for number in range(1, round_count + 1):
        _say(f"round {number} of {round_count}: {BARE_LOOP}, Wallaroo")
        measured = {BARE_LOOP: run_bare_loop(WALLAROO["Wallaroo, 1 worker"], sample)}
        for name, scenario in WALLAROO.items():
            measured[name] = run_cluster(scenario, sample)
        for peer in peers:
            if peer.name in failed:
                continue
            _say(f"round {number} of {round_count}: {peer.name}")
            try:
                measured[peer.name] = run_peer(peer)
            except PeerFailed as error:
                failed.add(peer.name)
                _say(f"skipped from here on: {peer.name}: {error}")
        for name in measured:
            runs[name].append(measured)
    return runs


def _row(name: str, rounds: list[dict[str, Measured]]) -> dict[str, Any]:
    costs = [measured[name].cpu_s_per_million for measured in rounds]
    beside = BESIDE.get(name)
    return {
        "name": name,
        "round_count": len(rounds),
        "cpu_s_per_million": statistics.median(costs),
        "ratio_to_bare_loop": _median_ratio(name, BARE_LOOP, rounds),
        "beside": beside,
        "times_wallaroo": None if beside is None else _median_ratio(name, beside, rounds),
        "records_per_s": statistics.median(
            measured[name].record_count / measured[name].elapsed_s for measured in rounds
        ),
    }


def _median_ratio(name: str, other: str, rounds: list[dict[str, Measured]]) -> float:
    return statistics.median(
        measured[name].cpu_s_per_million / measured[other].cpu_s_per_million for measured in rounds
    )


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="CPU seconds per million records", caption="* with as many workers")
    table.add_column("")
    for heading in ("CPU s", "to bare loop", "times Wallaroo's CPU *", "records / s"):
        table.add_column(heading, justify="right")
    for row in rows:
        times = row["times_wallaroo"]
        table.add_row(
            row["name"],
            f"{row['cpu_s_per_million']:.2f}",
            f"{row['ratio_to_bare_loop']:.2f}",
            "" if times is None else f"{times:.2f}",
            f"{row['records_per_s']:,.0f}",
        )
    Console(width=100).print(table)


def _say(text: str) -> None:
    progress.print(text, highlight=False)


if __name__ == "__main__":
    main()
