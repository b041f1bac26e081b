"""One picture of a cluster for a terminal, made from a snapshot of its page."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wallaroo_cli.tools.columns import Column, number, table_of
from wallaroo_cli.tools.figures import (
    NOTHING,
    bytes_text,
    count_text,
    duration_text,
    plain,
    share_text,
)

HEALTH_STYLES = {"healthy": "bold green", "degraded": "bold yellow", "unhealthy": "bold red"}
LOG_LINES = 8
LETTERS = 3
KEY_LENGTH = 20
ROWS_WITHOUT_TERMINAL = 1000
APART = "   "


def top_view(
    snapshot: dict[str, Any],
    height: int | None,
    width: int,
    above: Sequence[RenderableType] = (),
) -> RenderableType:
    """Return the picture, ``width`` letters wide; the log fills the rest of ``height``."""
    parts: list[RenderableType] = [
        *above,
        _headline(snapshot),
        *_reasons(snapshot),
        *_figures(snapshot, width),
    ]
    tables = [_places(snapshot["graph"], width), _workers(snapshot["workers"], width)]
    if snapshot["states"]:
        tables.append(_states(snapshot["states"], width))
    parts += [Padding(table, (1, 0, 0, 0)) for table in tables]
    rows = 2 + len(parts) + sum(table.row_count + 2 for table in tables)
    left = ROWS_WITHOUT_TERMINAL if height is None else height - rows
    letters = snapshot["dead_letters"][-LETTERS:] if left > 2 else []
    if letters:
        parts.append(Padding(_letters(letters, width), (1, 0, 0, 0)))
        left -= len(letters) + 2
    lines = snapshot["log"][-min(LOG_LINES, max(left - 2, 0)) :] if left > 2 else []
    if lines:
        parts.append(Padding(_log(lines, width), (1, 0, 0, 0)))
    return Group(*parts)


def gone_line(since_unix_s: float) -> Text:
    """Return the text to show while nobody answers."""
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


def _figures(snapshot: dict[str, Any], width: int) -> list[Text]:
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
    lines = [Text()]
    for name, value, style in facts:
        fact = Text.assemble((f"{name} ", "dim"), (value, style or "bold"))
        # Lines are broken between figures, not within.
        if lines[-1] and lines[-1].cell_len + len(APART) + fact.cell_len > width:
            lines.append(Text())
        lines[-1].append_text(Text(APART) + fact if lines[-1] else fact)
    return lines


def _places(graph: dict[str, Any], width: int) -> Table:
    nodes = graph["nodes"]
    kinds = [node["step_kind"] if node["kind"] == "step" else node["kind"] for node in nodes]
    states = [f" {plain(node['state'])}" if node["state"] else "" for node in nodes]
    pressed = [
        Text("▲ back-pressure", style="yellow") if node["under_pressure"] else "" for node in nodes
    ]
    failed = [
        Text(count_text(node["failed"]), style="red" if node["failed"] else "") for node in nodes
    ]
    columns = [
        Column("Place", [plain(node["name"]) for node in nodes], elastic_min=14),
        Column("Kind", list(map("".join, zip(kinds, states, strict=True))), 6, elastic_min=10),
        Column("Pipeline", [plain(node["pipeline"]) for node in nodes], 5, elastic_min=8),
        *(
            number(heading, [count_text(node[name]) for node in nodes], rank)
            for heading, name, rank in (
                ("Records/s", "rate", 0), ("In", "in", 2), ("Out", "out", 3),
                ("Filtered", "filtered", 4),
            )
        ),
        number("Failed", failed),
        Column("", pressed),
    ]  # fmt: skip
    return table_of(columns, width)


def _workers(workers: list[dict[str, Any]], width: int) -> Table:
    states = [
        Text(
            "paused" if worker["paused"] else worker["state"],
            "green" if worker["state"] == "running" and not worker["paused"] else "yellow",
        )
        for worker in workers
    ]
    restarts = [
        Text(str(worker["restarts"]), style="red" if worker["restarts"] else "")
        for worker in workers
    ]
    columns = [
        Column("Worker", [worker["name"] for worker in workers]),
        Column("State", states),
        *(
            number(heading, [text(worker[name]) for worker in workers], rank)
            for heading, name, text, rank in (
                ("In/s", "in_rate", count_text, 0), ("Out/s", "out_rate", count_text, 0),
                ("Backlog", "backlog_bytes", bytes_text, 0), ("CPU", "cpu_share", share_text, 0),
                ("In functions", "user_share", share_text, 4),
                ("Memory", "rss_bytes", bytes_text, 1),
                ("Loop lag", "loop_lag_s", duration_text, 3), ("Keys", "keys", count_text, 2),
            )
        ),
        number("Restarts", restarts, 2),
    ]  # fmt: skip
    return table_of(columns, width)


def _states(states: list[dict[str, Any]], width: int) -> Table:
    hottest = [
        ",  ".join(
            f"{plain(each['key'], KEY_LENGTH)} {share_text(each['share'])}"
            for each in state["hottest"][:3]
        )
        for state in states
    ]
    skews = [NOTHING if state["skew"] is None else f"{state['skew']:.2f} x" for state in states]
    partitions = [count_text(state["partitions"]["count"]) for state in states]
    columns = [
        Column("State", [plain(state["name"]) for state in states], elastic_min=12),
        number("Keys", [count_text(state["keys"]) for state in states]),
        number("Size", [bytes_text(state["bytes"]) for state in states], 1),
        number("Partitions", partitions, 3),
        number("Fullest worker", skews, 2),
        Column("Hottest keys", hottest, elastic_min=20),
    ]
    return table_of(columns, width)


def _letters(letters: list[dict[str, Any]], width: int) -> Table:
    letters = letters[::-1]
    errors = [Text(plain(letter["error"]), style="red") for letter in letters]
    columns = [
        Column("Failed at", [_clock(letter["unix_s"]) for letter in letters]),
        Column("Step", [plain(letter["step"]) for letter in letters], elastic_min=10),
        Column("Key", [plain(each["key"], KEY_LENGTH) for each in letters], 1, elastic_min=8),
        Column("Error", errors, elastic_min=24),
    ]
    return table_of(columns, width)


def _log(lines: list[dict[str, Any]], width: int) -> Table:
    styles = {"warning": "yellow", "error": "red", "critical": "bold red"}
    lines = lines[::-1]
    told = []
    for line in lines:
        fields = "  ".join(f"{name}={value}" for name, value in line["fields"].items())
        event = Text(f"{line['event']}  ", style=styles.get(line["level"], ""))
        told.append(event.append(plain(fields), style="dim"))
    columns = [
        Column("Log", [_clock(line["unix_s"]) for line in lines]),
        Column("", [line["level"] for line in lines]),
        Column("", told, elastic_min=24),
    ]
    return table_of(columns, width)


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%H:%M:%S")
