"""``make bench-kafka``: what reading from and writing to Kafka costs, on a real broker.

All rows take turns in each round, and both sides of a pair are measured one after the other. CPU
seconds are corrected for the speed of the CPUs by the bare loop beside them (see ``speed``). The
broker is found or started as for the example, and what it uses is not counted.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from examples.kafka_totals.kafka_brokers import start_broker
from tests.bench.kafka.rows import all_rows
from tests.bench.kafka.topics import Topics
from tests.bench.machine import OtherPrograms
from tests.bench.report import one_by_one_table
from tests.bench.rows.row import Row

progress = Console(stderr=True, highlight=False)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        broker = start_broker(folder)
        try:
            _measure(Topics(broker.bootstrap), folder)
        finally:
            broker.stop()


def _measure(topics: Topics, folder: Path) -> None:
    rows = all_rows(topics)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--only", metavar="ROW", action="append", choices=[r.name for r in rows],
                        help="leave out the other rows")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    chosen: list[Row] = [row for row in rows if not arguments.only or row.name in arguments.only]
    others = OtherPrograms()
    for number in range(1, arguments.rounds + 1):
        for row in chosen:
            progress.print(f"round {number} of {arguments.rounds}: {row.name}")
            row.measure(folder)
    results = [row.result() for row in chosen]
    if arguments.json:
        sys.stdout.write(json.dumps([each.as_json() for each in results], indent=2) + "\n")
        return
    console = Console(width=118)
    console.print(one_by_one_table("Kafka", results))
    for each in results:
        console.print(each.name, {name: round(value, 2) for name, value in each.more.items()})
    console.print(others.describe(), style="dim")


if __name__ == "__main__":
    main()
