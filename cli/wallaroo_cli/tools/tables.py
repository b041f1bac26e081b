"""Tables for people: drawn on a terminal, plain text in columns elsewhere."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from wallaroo_cli.tools.columns import Column, table_of

_WIDTH_MAX = 10_000


def new_table(*headings: str) -> Table:
    """Return an empty table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """Print a table on stdout, as wide as it has to be, because a value that is cut is useless."""
    console = Console(highlight=False, markup=False)
    width = console.measure(table, options=console.options.update(width=_WIDTH_MAX)).maximum
    Console(highlight=False, markup=False, width=max(width, console.width)).print(table)


def print_columns(columns: Sequence[Column]) -> None:
    """Print a table on stdout; if a terminal is too narrow, print the important columns."""
    console = Console(highlight=False, markup=False)
    print_table(table_of(columns, console.width if console.is_terminal else _WIDTH_MAX))


def age_text(age_s: float) -> str:
    """Return an age in the largest unit that fits, such as ``5 min``."""
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= unit_s:
            return f"{age_s // unit_s:.0f} {unit}"
    return f"{age_s:.0f} s"
