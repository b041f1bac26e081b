"""Tables for a terminal of any width: numbers are never cut, minor columns are left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

GAP = 2
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column. If room is short, the highest ``rank`` is left out first; rank 0 always stays."""

    heading: str
    cells: Sequence[Cell]
    rank: int = 0
    is_right: bool = False
    elastic_min: int | None = None
    """Text may be cut to this many letters; ``None`` if it must not be cut."""

    @property
    def whole(self) -> int:
        """Its width if nothing is cut."""
        return max(map(_width, [self.heading, *self.cells]))

    @property
    def least(self) -> int:
        """Its minimum width."""
        return self.whole if self.elastic_min is None else min(self.whole, self.elastic_min)


def number(heading: str, cells: Sequence[Cell], rank: int = 0) -> Column:
    """Return a column of numbers."""
    return Column(heading, cells, rank, is_right=True)


def table_of(columns: Sequence[Column], width: int) -> Table:
    """Return the table of the columns that fit into ``width`` letters."""
    shown = list(columns)
    while (room := width - sum(column.least + GAP for column in shown) + GAP) < 0:
        first = max(shown, key=lambda column: column.rank)
        if first.rank == 0:
            break
        shown.remove(first)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for column in shown:
        more = min(column.whole - column.least, max(room, 0))
        room -= more
        table.add_column(
            column.heading,
            justify="right" if column.is_right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=column.least + more,
        )
    for row in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*row)
    return table


def _width(cell: Cell) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)
