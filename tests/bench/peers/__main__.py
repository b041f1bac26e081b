"""``make bench-peers``: the work of ``letters`` in other stream processors, beside Wallaroo's.

All run the functions of ``examples/alphabet`` on the same Python, in rounds: Wallaroo with one and
with two workers, then each peer. Machines get faster and slower, each CPU by itself, so the bare
loop runs beside each of them, on the CPUs to which its processes are bound (see ``speed``); a peer
that several CPUs have work for is divided by the mean of their speeds. A ratio is the median over
the rounds.

CPU is user and system of all processes of the peer: the JVM, Ray's services and workers, and what
feeds it where that is the peer itself. Of each peer a short and a long run are made, and what is
shown is the difference, so start-up and imports are not counted. Wallaroo leaves them out by
itself; its run has sockets on both ends, the peers' have none (each module tells what else
differs). Peers whose only input is Kafka read from a topic and write to one, and so does Wallaroo
beside them, by message key and with checkpoints; what the broker uses is not counted.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.kafka_totals.kafka_brokers import start_broker
from tests.bench.cluster_run import Measured, run_cluster
from tests.bench.kafka.runs import run_to_topic
from tests.bench.kafka.topics import Topics
from tests.bench.peers.kafka_common import BROKER_VARIABLE, TOPIC_VARIABLE
from tests.bench.peers.peer_run import (
    PEERS,
    SAMPLE,
    WALLAROO_KAFKA,
    Peer,
    PeerFailed,
    run_peer,
    why_missing,
)
from tests.bench.scenarios import Scenario

WALLAROO = {
    "Wallaroo, 1 worker": Scenario(name="1 worker", module="letters"),
    "Wallaroo, 2 workers": Scenario(name="2 workers", module="letters", workers=2),
}
BESIDE = {peer.name: peer.beside for peer in PEERS} | {
    name: name for name in (*WALLAROO, WALLAROO_KAFKA)
}
KAFKA_RECORDS = 1_000_000
"""In the topic that is read; a peer reads its beginning."""

Wallaroo = dict[str, Callable[[], Measured]]
"""Measures Wallaroo, by name."""

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
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    chosen = _those_here(
        [peer for peer in PEERS if not arguments.only or peer.name in arguments.only]
    )
    with wallaroo_runs(chosen) as wallaroo:
        measured = _measure(chosen, wallaroo, arguments.rounds)
    rows = [_row(name, rounds) for name, rounds in measured.items()]
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


@contextmanager
def wallaroo_runs(peers: list[Peer]) -> Iterator[Wallaroo]:
    """Yield the runs of Wallaroo beside which peers are shown, with a broker if one reads there."""
    runs: Wallaroo = {
        name: partial(run_cluster, scenario, SAMPLE)
        for name, scenario in WALLAROO.items()
        if any(peer.beside == name for peer in peers)
    }
    if not any(peer.is_from_kafka for peer in peers):
        yield runs
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        broker = start_broker(Path(folder))
        try:
            topics = Topics(broker.bootstrap)
            topic = topics.filled(KAFKA_RECORDS)
            os.environ |= {BROKER_VARIABLE: broker.bootstrap, TOPIC_VARIABLE: topic}
            runs[WALLAROO_KAFKA] = partial(
                run_to_topic, topics, topic, KAFKA_RECORDS, options=["by-key"]
            )
            yield runs
        finally:
            broker.stop()


def _measure(peers: list[Peer], wallaroo: Wallaroo, round_count: int) -> Runs:
    runs: Runs = defaultdict(list)
    failed: set[str] = set()
    for number in range(1, round_count + 1):
        _say(f"round {number} of {round_count}: Wallaroo")
        measured = {name: run() for name, run in wallaroo.items()}
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
    runs = [measured[name] for measured in rounds]
    beside = BESIDE[name]
    return {
        "name": name,
        "round_count": len(rounds),
        "cpu_s_per_million": statistics.median(run.cpu_s_per_million for run in runs),
        "bare_cpu_s_per_million": statistics.median(run.bare_cpu_s_per_million for run in runs),
        "ratio_to_bare_loop": statistics.median(run.ratio for run in runs),
        "beside": beside,
        "times_wallaroo": statistics.median(
            measured[name].ratio / measured[beside].ratio for measured in rounds
        ),
        "records_per_s": statistics.median(run.records_per_s for run in runs),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="CPU seconds per million records", caption="* with as many workers")
    table.add_column("")
    for heading in ("bare loop", "CPU s", "to bare loop", "times Wallaroo's CPU *", "records / s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['bare_cpu_s_per_million']:.2f}",
            f"{row['cpu_s_per_million']:.2f}",
            f"{row['ratio_to_bare_loop']:.2f}",
            f"{row['times_wallaroo']:.2f}",
            f"{row['records_per_s']:,.0f}",
        )
    Console(width=100).print(table)


def _say(text: str) -> None:
    progress.print(text, highlight=False)


if __name__ == "__main__":
    main()
