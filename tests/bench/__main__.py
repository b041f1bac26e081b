"""``make bench``: what the runtime costs over the user's own functions, measured side by side.

The unit is CPU seconds (user and system, all processes of the cluster; sender and receiver are not
counted) per million records, divided by the same of the bare loop with the same functions. Machines
get faster and slower within seconds, each CPU by itself, so the bare loop runs at the same time on
the same CPUs (see ``speed``); all rows take turns in each round. Beside that: the gain of a second
worker, memory, the start; pauses of checkpoints, of recovery and of resizes, and many workers
without input, which are not compared with anything.
"""

import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.against import compare_with
from tests.bench.machine import OtherPrograms
from tests.bench.options import PAIR_GROUPS, PAIR_ROUNDS, all_rows, arguments_of
from tests.bench.plots import plot_checkpoints, plot_workers
from tests.bench.report import print_results
from tests.bench.rows.cost import CostRow
from tests.bench.rows.row import Result, Row
from tests.bench.speed import METHOD

ROUNDS = {
    "cost": 7,
    "one by one": 7,
    "timing": 3,
    "growth": 5,
    "checkpoints": 1,
    "recovery": 3,
    "resize": 1,
    "idle": 3,
}
"""Rounds of each group where ``--rounds`` does not say."""

progress = Console(stderr=True, highlight=False)


def main() -> None:
    """Measure, print, plot; or compare with another commit."""
    rows = all_rows()
    arguments = arguments_of(rows, sys.argv[1:])
    if arguments.against is not None:
        only = arguments.only or PAIR_GROUPS
        rounds = arguments.rounds or PAIR_ROUNDS
        sys.exit(compare_with(arguments.against, only, rounds, as_json=arguments.json))
    only = arguments.only or {row.group for row in rows}
    chosen = [row for row in rows if row.name in only or row.group in only]
    others = OtherPrograms()
    _measure(chosen, arguments.rounds)
    results = {row.name: row.result() for row in chosen}
    facts = _facts([*results.values()], others)
    arguments.plots.mkdir(parents=True, exist_ok=True)
    (arguments.plots / "bench.json").write_text(json.dumps(facts, indent=2) + "\n")
    if arguments.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        print_results([*results.values()], others.describe())
    plot = arguments.plots / "workers.svg"
    counted = [row for row in chosen if isinstance(row, CostRow)]
    if plot_workers([(row.scenario, results[row.name]) for row in counted], plot):
        progress.print(f"plot: {plot}")
    plot = arguments.plots / "checkpoints.svg"
    if plot_checkpoints([*results.values()], plot):
        progress.print(f"plot: {plot}")


def _measure(rows: list[Row], round_count: int | None) -> None:
    started_s = time.monotonic()
    counts = {row.name: round_count or ROUNDS[row.group] for row in rows}
    turns = [
        (number, row)
        for number in range(1, max(counts.values()) + 1)
        for row in rows
        if number <= counts[row.name]
    ]
    with tempfile.TemporaryDirectory() as folder:
        for done, (number, row) in enumerate(turns):
            minutes, seconds = divmod(int(time.monotonic() - started_s), 60)
            part, where = done / len(turns), f"round {number} of {counts[row.name]}"
            progress.print(f"{minutes:3}:{seconds:02}  {part:4.0%}  {where}: {row.name}")
            row.measure(Path(folder))


def _facts(results: list[Result], others: OtherPrograms) -> dict[str, Any]:
    return {
        "method": METHOD,
        "cpu_share_of_other_programs": others.share(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "results": [result.as_json() for result in results],
    }


if __name__ == "__main__":
    main()
