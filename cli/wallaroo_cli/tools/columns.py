"""Tables for a terminal of any width: numbers are never cut off, what matters least is left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

GAP = 2
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Where there is no room, the highest ``rank`` goes first, and rank 0 stays."""

    heading: str
    cells: Sequence[Cell]
    rank: int = 0
    is_right: bool = False
    elastic_min: int | None = None
    """Text may be cut off to so many letters; ``None`` for what has to be seen whole."""

    @property
    def whole(self) -> int:
        """How wide it is where nothing is cut off."""
        return max(map(_width, [self.heading, *self.cells]))

    @property
    def least(self) -> int:
        """How wide it has to be."""
        return self.whole if self.elastic_min is None else min(self.whole, self.elastic_min)


def number(heading: str, cells: Sequence[Cell], rank: int = 0) -> Column:
    """Return a column of numbers."""
    return Column(heading, cells, rank, is_right=True)


def table_of(columns: Sequence[Column], width: int) -> Table:
    """Return the table of those columns that ``width`` letters have room for."""
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
