"""``make crash-test``: kills processes of clusters under load, and checks all totals.

A round runs one application from two files and a TCP sender to output files, and kills some of its
workers, or its initializer, at random moments. In the end every record must have counted once, in
state and in the output.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.crash.havoc import Kill, Round

KILLS_A_ROUND = 5

progress = Console(stderr=True, highlight=False)


def main() -> int:
    """Run rounds until there were enough kills; return the exit status."""
    arguments = _arguments()
    chance = random.Random(arguments.seed)
    kills: list[Kill] = []
    record_count = 0
    progress.print(f"seed {arguments.seed}")
    while len(kills) < arguments.kills:
        seed = chance.randrange(1 << 32)
        folder = Path(tempfile.mkdtemp(prefix="wallaroo-crash-"))
        round_ = Round(folder, seed, min(KILLS_A_ROUND, arguments.kills - len(kills)))
        try:
            for kill in round_.run():
                progress.print(
                    f"{len(kills) + len(round_.kills):4}  {kill.kind:12} "
                    f"recovered after {kill.recovered_after_s:.1f} s"
                )
        except BaseException as error:
            progress.print(f"[bold]round with seed {seed}, files in {folder}:[/] {error!r}")
            raise
        kills += round_.kills
        record_count += round_.record_count
        progress.print(f"      all {round_.record_count:,} records counted once")
        shutil.rmtree(folder)
    _print_table(kills, record_count)
    return 0


def _print_table(kills: list[Kill], record_count: int) -> None:
    table = Table(title=f"{len(kills)} kills, {record_count:,} records, each counted once")
    table.add_column("killed")
    for name in ("times", "processes", "ready again: median s", "longest s"):
        table.add_column(name, justify="right")
    for kind in sorted({kill.kind for kill in kills}):
        own = [kill for kill in kills if kill.kind == kind]
        times = [kill.recovered_after_s for kill in own]
        table.add_row(
            kind,
            str(len(own)),
            str(sum(kill.processes for kill in own)),
            f"{statistics.median(times):.2f}",
            f"{max(times):.2f}",
        )
    Console(highlight=False).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash-test", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many, default 100")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16), help="to repeat")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
