"""One picture of a cluster for a terminal, from a snapshot of its page."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wallaroo_cli.tools.figures import NOTHING, bytes_text, count_text, duration_text, share_text

HEALTH_STYLES = {"well": "bold green", "strained": "bold yellow", "unwell": "bold red"}
LOG_LINES = 8
LETTERS = 3
KEY_LENGTH = 20
ROWS_WITHOUT_TERMINAL = 1000


def top_view(
    snapshot: dict[str, Any], height: int | None, above: Sequence[RenderableType] = ()
) -> RenderableType:
    """Return the picture; where ``height`` is known, the log has what is left of it."""
    parts: list[RenderableType] = [
        *above,
        _headline(snapshot),
        *_reasons(snapshot),
        _figures(snapshot),
    ]
    tables = [_places(snapshot["graph"]), _workers(snapshot["workers"])]
    if snapshot["states"]:
        tables.append(_states(snapshot["states"]))
    parts += [Padding(table, (1, 0, 0, 0)) for table in tables]
    rows = 2 + len(parts) + sum(table.row_count + 2 for table in tables)
    left = ROWS_WITHOUT_TERMINAL if height is None else height - rows
    letters = snapshot["dead_letters"][-LETTERS:] if left > 2 else []
    if letters:
        parts.append(Padding(_letters(letters), (1, 0, 0, 0)))
        left -= len(letters) + 2
    lines = snapshot["log"][-min(LOG_LINES, max(left - 2, 0)) :] if left > 2 else []
    if lines:
        parts.append(Padding(_log(lines), (1, 0, 0, 0)))
    return Group(*parts)


def gone_line(since_unix_s: float) -> Text:
    """Return what to say while nobody answers."""
    return Text(f"No contact since {_clock(since_unix_s)}; trying again", style="bold red")


def _headline(snapshot: dict[str, Any]) -> Text:
    state = snapshot["health"]["state"]
    up_s = max(0.0, snapshot["now_unix_s"] - snapshot["started_unix_s"])
    line = Text(plain(snapshot["application"]), style="bold")
    line.append("  ● ", style=HEALTH_STYLES.get(state, ""))
    line.append(state, style=HEALTH_STYLES.get(state, ""))
    workers = len(snapshot["workers"])
    line.append(
        f"   {snapshot['phase']}, {workers} workers, up {duration_text(up_s)}, "
        f"epoch {snapshot['epoch']}   {_clock(snapshot['now_unix_s'])}",
        style="dim",
    )
    return line


def _reasons(snapshot: dict[str, Any]) -> list[Text]:
    style = HEALTH_STYLES.get(snapshot["health"]["state"], "").removeprefix("bold ")
    return [Text(f"  {plain(reason)}", style=style) for reason in snapshot["health"]["reasons"]]


def _figures(snapshot: dict[str, Any]) -> Text:
    rates, latency = snapshot["rates"], snapshot["latency"]
    checkpoints = snapshot["checkpoints"]
    backlog = sum(worker["backlog_bytes"] or 0 for worker in snapshot["workers"])
    checkpoint = "off"
    if snapshot["durable"]:
        checkpoint = (
            f"{checkpoints['last_number'] or NOTHING}, {duration_text(checkpoints['age_s'])} ago"
        )
    facts = [
        ("in", f"{count_text(rates['in'])}/s", ""),
        ("out", f"{count_text(rates['out'])}/s", ""),
        ("failed", f"{count_text(rates['failed'])}/s", "red" if rates["failed"] else ""),
        ("p50", duration_text(latency["p50"]), ""),
        ("p99", duration_text(latency["p99"]), ""),
        ("backlog", bytes_text(backlog), ""),
        ("checkpoint", checkpoint, "" if snapshot["durable"] else "yellow"),
    ]
    line = Text()
    for name, value, style in facts:
        line.append(f"{name} ", style="dim")
        line.append(f"{value}   ", style=style or "bold")
    return line


def _places(graph: dict[str, Any]) -> Table:
    table = _table(
        "Place", "Kind", "Pipeline", right=("Records/s", "In", "Out", "Filtered", "Failed")
    )
    table.add_column("")
    for node in graph["nodes"]:
        kind = node["step_kind"] if node["kind"] == "step" else node["kind"]
        numbers = [count_text(node[name]) for name in ("rate", "in", "out", "filtered")]
        table.add_row(
            plain(node["name"]),
            f"{kind} {plain(node['state'])}" if node["state"] else kind,
            plain(node["pipeline"]),
            *numbers,
            Text(count_text(node["failed"]), style="red" if node["failed"] else ""),
            Text("▲ back-pressure", style="yellow") if node["under_pressure"] else "",
        )
    return table


def _workers(workers: list[dict[str, Any]]) -> Table:
    columns = (
        "In/s",
        "Out/s",
        "Backlog",
        "CPU",
        "In functions",
        "Memory",
        "Loop lag",
        "Keys",
        "Restarts",
    )
    table = _table("Worker", "State", right=columns)
    for worker in workers:
        is_well = worker["state"] == "running" and not worker["paused"]
        table.add_row(
            worker["name"],
            Text(
                "paused" if worker["paused"] else worker["state"], "green" if is_well else "yellow"
            ),
            count_text(worker["in_rate"]),
            count_text(worker["out_rate"]),
            bytes_text(worker["backlog_bytes"]),
            share_text(worker["cpu_share"]),
            share_text(worker["user_share"]),
            bytes_text(worker["rss_bytes"]),
            duration_text(worker["loop_lag_s"]),
            count_text(worker["keys"]),
            Text(str(worker["restarts"]), style="red" if worker["restarts"] else ""),
        )
    return table


def _states(states: list[dict[str, Any]]) -> Table:
    table = _table("State", right=("Keys", "Size", "Partitions", "Fullest worker"))
    table.add_column("Hottest keys", no_wrap=True, overflow="ellipsis")
    for state in states:
        hottest = (
            f"{plain(each['key'], KEY_LENGTH)} {share_text(each['share'])}"
            for each in state["hottest"][:3]
        )
        skew = state["skew"]
        table.add_row(
            plain(state["name"]),
            count_text(state["keys"]),
            bytes_text(state["bytes"]),
            count_text(state["partitions"]["count"]),
            NOTHING if skew is None else f"{skew:.2f} x",
            ",  ".join(hottest),
        )
    return table


def _letters(letters: list[dict[str, Any]]) -> Table:
    table = _table("Failed at", "Step", "Key")
    table.add_column("Error", no_wrap=True, overflow="ellipsis")
    for letter in reversed(letters):
        table.add_row(
            _clock(letter["unix_s"]),
            plain(letter["step"]),
            plain(letter["key"], KEY_LENGTH),
            Text(plain(letter["error"]), style="red"),
        )
    return table


def _log(lines: list[dict[str, Any]]) -> Table:
    styles = {"warning": "yellow", "error": "red", "critical": "bold red"}
    table = _table("Log", "")
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for line in reversed(lines):
        fields = "  ".join(f"{name}={value}" for name, value in line["fields"].items())
        event = Text(f"{line['event']}  ", style=styles.get(line["level"], ""))
        table.add_row(
            _clock(line["unix_s"]), line["level"], event.append(plain(fields), style="dim")
        )
    return table


def _table(*headings: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%H:%M:%S")


def plain(value: object, length: int = 200) -> str:
    """Return text that came from records cut off, and without what a terminal would obey."""
    if value is None:
        return ""
    text = "".join(letter if letter.isprintable() else "·" for letter in str(value))
    return text if len(text) <= length else f"{text[: length - 1]}…"
