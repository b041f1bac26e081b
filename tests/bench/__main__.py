"""``make bench``: what the runtime costs over the user's own functions, measured side by side.

The unit is CPU seconds (user and system, all processes of the cluster) per million records. Rounds
interleave the bare loop and the clusters, since machines get faster and slower by the minute; a
ratio is the median over the rounds of (cluster / bare loop of the same round).
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.cluster_run import Measured, run_bare_loop, run_cluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "alphabet"
SAMPLE = EXAMPLE / "votes.bin"
SENDER_OPTIONS = ["--binary", "--msg-size", "9"]
BARE = "bare loop"
SCENARIOS = {"1 worker": 1, "2 workers": 2, "4 workers": 4}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--records", type=int, default=2_000_000, help="records a run (2,000,000)")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="leave out the others")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()
    names = arguments.only or list(SCENARIOS)
    runs: dict[str, list[Measured]] = {name: [] for name in (BARE, *names)}
    progress = Console(stderr=True)
    for number in range(1, arguments.rounds + 1):
        progress.print(f"round {number} of {arguments.rounds}")
        runs[BARE].append(run_bare_loop(SAMPLE, arguments.records))
        for name in names:
            workers = SCENARIOS[name]
            measured = run_cluster(EXAMPLE, SAMPLE, workers, arguments.records, SENDER_OPTIONS)
            runs[name].append(measured)
    rows = [_row(name, measured, runs[BARE]) for name, measured in runs.items()]
    if arguments.json:
        json.dump({"application": "alphabet", "records": arguments.records, "rows": rows},
                  sys.stdout, indent=2)  # fmt: skip
        sys.stdout.write("\n")
    else:
        _print(rows)


def _row(name: str, runs: list[Measured], bare: list[Measured]) -> dict[str, object]:
    ratios = [run.cpu_s / base.cpu_s for run, base in zip(runs, bare, strict=True)]
    return {
        "scenario": name,
        "cpu_s_per_million": statistics.median(run.cpu_s_per_million for run in runs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "records_per_s": statistics.median(run.record_count / run.elapsed_s for run in runs),
    }


def _print(rows: list[dict[str, object]]) -> None:
    table = Table(title="alphabet, one connection, full speed")
    for heading in ("scenario", "CPU s / million", "ratio", "min to max", "records / s"):
        table.add_column(heading, justify="left" if heading == "scenario" else "right")
    for row in rows:
        is_bare = row["scenario"] == BARE
        table.add_row(
            str(row["scenario"]),
            f"{row['cpu_s_per_million']:.2f}",
            f"{row['ratio']:.2f}",
            "" if is_bare else f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}",
            "" if is_bare else f"{row['records_per_s']:,.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
