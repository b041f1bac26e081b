"""Latency from source to sink: percentiles at several rates, beside a bare echo of the same bytes.

``make bench-latency``. Echo, one worker and two workers take turns at each rate of each round.
Shown is the median over the rounds of each percentile, and in brackets the best round: the
difference is what the machine adds when other programs run.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.latency.one_run import SECONDS, SYSTEMS, WARM_UP_S, Latency, System, measure
from tests.bench.latency.plots import plot_latency
from tests.bench.machine import OtherPrograms
from tests.bench.processes import ROOT

RATES = (1_000, 10_000, 25_000, 50_000, 100_000)
PERCENTILES = {"p50_ms": "p50", "p99_ms": "p99", "p999_ms": "p99.9"}
TARGET_RATES = (10_000, 50_000)
TARGETS_MS = {
    "1 worker": {"p50_ms": 0.3, "p99_ms": 1.0, "p999_ms": 3.0},
    "2 workers": {"p99_ms": 1.5},
}

Runs = dict[tuple[System, int], list[Latency]]
progress = Console(stderr=True, highlight=False)


def main() -> None:
    """Measure, print, plot."""
    arguments = _arguments()
    others = OtherPrograms()
    runs = _measure(sorted(arguments.rates), arguments.rounds)
    rows = [_row(system, rate, runs[system, rate]) for system, rate in runs]
    rows.sort(key=lambda row: int(row["rate"]))
    facts = {"cpu_share_of_other_programs": others.share(), "results": rows}
    arguments.plots.mkdir(parents=True, exist_ok=True)
    (arguments.plots / "latency.json").write_text(json.dumps(facts, indent=2) + "\n")
    if arguments.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        _print(rows, others.describe())
    plot = arguments.plots / "latency.svg"
    plot_latency(rows, PERCENTILES, plot)
    progress.print(f"plot: {plot}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.latency", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, metavar="N",
                        help=f"records a second (default {' '.join(map(str, RATES))})")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, default=ROOT / "build" / "bench",
                        help="for the plot and latency.json (default build/bench)")  # fmt: skip
    return parser.parse_args()


def _measure(rates: list[int], round_count: int) -> Runs:
    started_s = time.monotonic()
    runs: Runs = defaultdict(list)
    for number in range(1, round_count + 1):
        for rate in rates:
            minutes, seconds = divmod(int(time.monotonic() - started_s), 60)
            progress.print(
                f"{minutes:3}:{seconds:02}  round {number} of {round_count}: {rate:,} records / s"
            )
            for system in SYSTEMS:
                runs[system, rate].append(measure(system, rate))
    return runs


def _row(system: System, rate: int, runs: list[Latency]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "system": system.name,
        "rate": rate,
        "round_count": len(runs),
        "seconds_counted": SECONDS - WARM_UP_S,
        "reached_rate": statistics.median(run.reached_rate for run in runs),
        "cpu_s_per_million": statistics.median(run.cpu_s_per_million for run in runs),
    }
    for name in PERCENTILES:
        values = [getattr(run, name) for run in runs]
        target = TARGETS_MS.get(system.name, {}).get(name) if rate in TARGET_RATES else None
        median = statistics.median(values)
        row[name] = {
            "median": median,
            "min": min(values),
            "max": max(values),
            "target": target,
            "is_met": None if target is None else median <= target,
        }
    return row


def _print(rows: list[dict[str, Any]], remark: str) -> None:
    table = Table(title="Milliseconds from source to sink: median of the rounds (best round)")
    for heading in ("records / s", "", *PERCENTILES.values(), "CPU s / million"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        if row["system"] == SYSTEMS[0].name:
            table.add_section()
        late = "" if row["reached_rate"] > 0.95 * row["rate"] else " (sender late)"
        table.add_row(
            f"{row['rate']:,}{late}",
            row["system"],
            *(_cell(row[name]) for name in PERCENTILES),
            f"{row['cpu_s_per_million']:.2f}",
        )
    console = Console(width=110)
    console.print(table)
    console.print(remark, style="dim")


def _cell(values: dict[str, Any]) -> str:
    text = f"{values['median']:.2f} ({values['min']:.2f})"
    if values["target"] is None:
        return text
    return f"[{'green' if values['is_met'] else 'red'}]{text}[/] ≤ {values['target']:g}"


if __name__ == "__main__":
    main()
