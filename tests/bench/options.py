"""What ``make bench`` can measure, and its command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tests.bench.processes import ROOT
from tests.bench.rows.answers import AnswerCostRow, CallsRow
from tests.bench.rows.checkpoints import LOADS, CheckpointRow
from tests.bench.rows.cost import CostRow
from tests.bench.rows.due import DueRow
from tests.bench.rows.idle import WORKER_COUNTS, IdleRow
from tests.bench.rows.in_python import in_python_rows
from tests.bench.rows.memory import MemoryRow
from tests.bench.rows.recovery import KEY_COUNTS, RecoveryRow
from tests.bench.rows.resize import KEY_COUNTS as RESIZED_KEY_COUNTS
from tests.bench.rows.resize import ResizeRow
from tests.bench.rows.row import Row
from tests.bench.rows.speed_up import SpeedUpRow
from tests.bench.rows.start_up import StartUpRow
from tests.bench.rows.switched import OutboxRow, durability_rows, metrics_rows
from tests.bench.rows.timing import timing_rows
from tests.bench.rows.windows import windows_rows
from tests.bench.scenarios import COST, GROWTH

PAIR_GROUPS = ("cost", "one by one")
"""What is compared with another commit if nothing is named."""
PAIR_ROUNDS = 7


def all_rows() -> list[Row]:
    """Return every row, in the order in which they take turns."""
    rows: list[Row] = [*map(CostRow, COST), SpeedUpRow(), *durability_rows(), *metrics_rows()]
    rows += windows_rows()
    rows += [OutboxRow(), *in_python_rows(), AnswerCostRow(), CallsRow()]
    rows += [*timing_rows(), DueRow()]
    rows += [MemoryRow(), StartUpRow(), *map(CostRow, GROWTH)]
    rows += [*map(CheckpointRow, LOADS), *map(RecoveryRow, KEY_COUNTS)]
    rows += [*map(ResizeRow, RESIZED_KEY_COUNTS), *map(IdleRow, WORKER_COUNTS)]
    return rows


def arguments_of(rows: Sequence[Row], arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(rows)
    read = parser.parse_args(arguments)
    known = {name for row in rows for name in (row.group, row.name)}
    # A row that only the other commit has is for the comparison to judge.
    if read.against is None and (unknown := {*(read.only or ())} - known):
        parser.error(f"no row and no group: {', '.join(sorted(unknown))}")
    return read


def parser_of(rows: Sequence[Row]) -> argparse.ArgumentParser:
    """Return what reads the command line; other commits read the rows from its help."""
    groups = dict.fromkeys(row.group for row in rows)
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure what the runtime costs over your own functions.",
        epilog="rows: "
        + "; ".join(f"{group}: " + ", ".join(_names(rows, group)) for group in groups),
    )
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="interleaved rounds (default 7, 5, 3 or 1, by the group)")  # fmt: skip
    parser.add_argument("--only", metavar="NAME", action="append",
                        help="a row or a group of rows; repeat it for more")  # fmt: skip
    parser.add_argument("--against", metavar="REF",
                        help="measure another commit too, in pairs, and compare; exit status 1 if "
                             f"a row is worse (default {PAIR_ROUNDS} rounds of the groups "
                             f"{' and '.join(PAIR_GROUPS)})")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, default=ROOT / "build" / "bench",
                        help="for plots and bench.json (default build/bench)")  # fmt: skip
    return parser


def _names(rows: Sequence[Row], group: str) -> list[str]:
    return [f"'{row.name}'" for row in rows if row.group == group]
