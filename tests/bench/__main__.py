"""``make bench``: what the runtime costs over the user's own functions, measured side by side.

The unit is CPU seconds (user and system, all processes of the cluster) per million records. Rounds
interleave each cluster with the bare loop over the same records, since machines get faster and
slower by the minute; a ratio is the median over the rounds of (cluster / bare loop of that round).
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.cluster_run import Measured, run_bare_loop, run_cluster
from tests.bench.scenarios import SCENARIOS, Scenario, make_sample

Runs = dict[str, list[tuple[Measured, Measured]]]
"""By scenario: of each round the cluster's run and the bare loop's."""


def main() -> None:
    """Measure and print."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=names,
                        help=f"leave out the others; one of: {', '.join(names)}")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()
    chosen = [one for one in SCENARIOS if not arguments.only or one.name in arguments.only]
    runs = _measure(chosen, arguments.rounds)
    rows = [_row(scenario, runs[scenario.name]) for scenario in chosen]
    if arguments.json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(rows)


def _measure(chosen: list[Scenario], rounds: int) -> Runs:
    progress = Console(stderr=True)
    runs: Runs = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, rounds + 1):
            for scenario in chosen:
                progress.print(f"round {number} of {rounds}: {scenario.name}")
                sample = make_sample(scenario, Path(folder))
                bare = run_bare_loop(scenario, sample)
                runs[scenario.name].append((run_cluster(scenario, sample), bare))
    return runs


def _row(scenario: Scenario, runs: list[tuple[Measured, Measured]]) -> dict[str, Any]:
    ratios = [cluster.cpu_s / bare.cpu_s for cluster, bare in runs]
    return {
        "scenario": scenario.name,
        "bare_cpu_s_per_million": statistics.median(b.cpu_s_per_million for _, b in runs),
        "cpu_s_per_million": statistics.median(c.cpu_s_per_million for c, _ in runs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "records_per_s": statistics.median(c.record_count / c.elapsed_s for c, _ in runs),
        "target": scenario.target,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="CPU seconds per million records")
    table.add_column("scenario")
    for heading in ("bare loop", "cluster", "ratio", "min to max", "target", "records / s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["scenario"],
            f"{row['bare_cpu_s_per_million']:.2f}",
            f"{row['cpu_s_per_million']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}",
            row["target"],
            f"{row['records_per_s']:,.0f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
