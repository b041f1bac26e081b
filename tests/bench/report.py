"""The results as tables on the terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.bench.rounds import METHOD
from tests.bench.rows.row import Result

WIDTH = 118


def print_results(results: list[Result], remark: str) -> None:
    """Print a table for each group that was measured, how, and the remark."""
    console = Console(width=WIDTH)
    for group, title in (
        ("cost", "CPU seconds per million records"),
        ("growth", "Growth: CPU seconds per million records by number of keys and workers"),
    ):
        if rows := [result for result in results if result.group == group]:
            console.print(_cost_table(title, rows))
    if rows := [result for result in results if result.group == "one by one"]:
        console.print(_other_table(rows))
    console.print(f"{METHOD} {remark}", style="dim")


def _cost_table(title: str, results: list[Result]) -> Table:
    table = _table(title, "bare loop", "cluster", "ratio", "quartiles", "target", "records / s")
    for result in results:
        more = result.more
        table.add_row(
            result.name,
            f"{more['bare_cpu_s_per_million']:,.2f}",
            f"{more['cpu_s_per_million']:,.2f}",
            *_verdict(result, "{:.2f}".format),
            f"{more['records_per_s']:,.0f}",
            _repeats(result),
        )
    return table


def _other_table(results: list[Result]) -> Table:
    table = _table("One by one", "what", "median", "quartiles", "target")
    for result in results:
        show = "{:.0f}".format if result.median >= 100 else "{:.2f}".format
        table.add_row(result.name, result.unit, *_verdict(result, show), _repeats(result))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in (*headings, "repeated"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    return table


def _verdict(result: Result, show: Callable[[float], str]) -> tuple[str, str, str]:
    """Return median, quartiles and target; the median in green or red."""
    numbers = result.as_json()
    median = show(result.median)
    if result.is_met is not None:
        median = f"[{'green' if result.is_met else 'red'}]{median}[/]"
    quartiles = f"{show(numbers['quartile_low'])} to {show(numbers['quartile_high'])}"
    if result.target is None:
        return median, quartiles, ""
    return median, quartiles, f"{'≥' if result.more_is_better else '≤'} {result.target:g}"


def _repeats(result: Result) -> str:
    unsteady = f" ({result.unsteady_count} unsteady)" if result.unsteady_count else ""
    return f"{result.repeated_count or ''}{unsteady}"
