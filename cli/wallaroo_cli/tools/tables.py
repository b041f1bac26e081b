"""Tables for people: drawn on a terminal, plain text in columns elsewhere."""

import sys

from rich.console import Console
from rich.table import Table

_WIDTH_ELSEWHERE = 160
"""Of tables that do not go to a terminal."""


def new_table(*headings: str) -> Table:
    """Return an empty table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="fold")
    return table


def new_console() -> Console:
    """Return what prints tables on stdout."""
    width = None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    return Console(highlight=False, markup=False, width=width)


def age_text(age_s: float) -> str:
    """Return an age in the largest unit that fits, such as ``5 min``."""
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= unit_s:
            return f"{age_s // unit_s:.0f} {unit}"
    return f"{age_s:.0f} s"
