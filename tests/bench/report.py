"""The results as tables on the terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tests.bench.rows.row import Result
from tests.bench.speed import METHOD

WIDTH = 118

PAUSES = (
    "A pause is the longest unbroken wait of records for a checkpoint, by the clock "
    "of the worker; targets are p99 ≤ 10 ms and max ≤ 50 ms. Waits are of records from sender to "
    "receiver, p99 and max, while checkpoints were taken and while none was."
)

MOVES = (
    "A worker joins and leaves again, by turns. The pause is what the answer tells; moving is the "
    "part of it in which keys moved, and the rest is to be 250 ms at most. Waits are of records "
    "from sender to receiver, the longest while members changed and while nothing happened; lowest "
    "is the leanest 100 ms at the receiver, as a share of what was offered; behind is for how long "
    "it had more than 100 ms of records to catch up."
)


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
        console.print(one_by_one_table("One by one", rows))
    if rows := [result for result in results if result.group == "checkpoints"]:
        console.print(_pause_table(rows))
        console.print(PAUSES, style="dim")
    if rows := [result for result in results if result.group == "recovery"]:
        console.print(_recovery_table(rows))
    if rows := [result for result in results if result.group == "resize"]:
        console.print(_resize_table(rows))
        console.print(MOVES, style="dim")
    if rows := [result for result in results if result.group == "idle"]:
        console.print(_idle_table(rows))
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
        )
    return table


def one_by_one_table(title: str, results: list[Result]) -> Table:
    """Return a table of rows that have one number each."""
    table = _table(title, "what", "median", "quartiles", "target")
    for result in results:
        show = "{:.0f}".format if result.median >= 100 else "{:.2f}".format
        table.add_row(result.name, result.unit, *_verdict(result, show))
    return table


def _pause_table(results: list[Result]) -> Table:
    headings = ("p50", "p99", "max", "of", "took", "keys", "bytes", "wait during", "between")
    table = _table("Checkpoints: pause in ms", *headings)
    for result in results:
        more = result.more
        color = "green" if result.is_met else "red"
        table.add_row(
            result.name,
            f"{more['pause_p50_ms']:.1f}",
            f"[{color}]{more['pause_p99_ms']:.1f}[/]",
            f"[{color}]{more['pause_max_ms']:.1f}[/]",
            f"{len(result.values)}",
            f"{more['took_s']:.2f} s",
            f"{more['keys_written']:,.0f}",
            decimal(int(more["bytes_written"])),
            *(
                f"{more[f'wait_{when}_p99_ms']:.1f}, {more[f'wait_{when}_max_ms']:.0f}"
                for when in ("during", "between")
            ),
        )
    return table


def _recovery_table(results: list[Result]) -> Table:
    title = "Recovery: seconds from kill -9 of the worker with all keys"
    table = _table(title, "state", "ready again", "first new result")
    for result in results:
        more = result.more
        table.add_row(
            result.name,
            decimal(int(more["state_bytes"])),
            f"{more['ready_again_s']:.2f}",
            f"{more['first_result_s']:.2f}",
        )
    return table


def _resize_table(results: list[Result]) -> Table:
    headings = (
        *("pause, max", "moving", "rest, max", "took", "keys", "bytes"),
        *("wait, quiet", "lowest", "behind"),
    )
    table = _table("Growing and shrinking, by keys: pause in s, waits in ms", *headings)
    for result in results:
        color = "green" if result.is_met else "red"
        for verb in ("grow", "shrink"):
            more = {name.removeprefix(f"{verb}_"): value for name, value in result.more.items()}
            table.add_row(
                f"{verb}, {more['keys']:,.0f}",
                f"{more['pause_median_s']:.2f}, {more['pause_max_s']:.2f}",
                f"{more['moving_s']:.2f}",
                f"[{color}]{more['rest_max_s']:.3f}[/]",
                f"{more['took_s']:.1f}",
                f"{more['moved_keys']:,.0f}",
                decimal(int(more["moved_bytes"])),
                f"{more['wait_max_ms']:,.0f}, {more['wait_between_max_ms']:,.0f}",
                f"{more['lowest_share']:.0%}",
                f"{more['behind_s']:.2f}",
            )
    return table


def _idle_table(results: list[Result]) -> Table:
    headings = ("initializer, a worker", "quartiles", "a worker", "private MB", "a worker", "start")
    table = _table("Without input: CPU ms a second, memory, seconds until ready", *headings)
    for result in results:
        more = result.more
        median, quartiles, _ = _verdict(result, "{:.2f}".format)
        table.add_row(
            result.name,
            median,
            quartiles,
            f"{more['worker_cpu_ms']:.1f}",
            f"{more['initializer_mb']:.0f}",
            f"{more['worker_mb']:.0f}",
            f"{more['ready_s']:.1f} s",
        )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in headings:
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
