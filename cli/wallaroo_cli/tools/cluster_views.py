"""What a running cluster answers, as sentences and tables for people."""

from datetime import datetime, timedelta
from typing import Any

import click
from rich.filesize import decimal

from wallaroo.metrics.event_history import TEXT_CHARACTERS_MAX
from wallaroo_cli.tools.columns import Column
from wallaroo_cli.tools.figures import plain
from wallaroo_cli.tools.tables import age_text, new_table, print_columns, print_table

NOTHING = "-"

_STATUS = (
    ("worker", 0), ("state", 0), ("pid", 6), ("connections", 5), ("records", 3), ("records/s", 1),
    ("backlog", 2), ("keys", 4), ("failures", 0),
)  # fmt: skip
"""The columns. If there is not enough room, columns with a high rank are left out first."""


def print_status(status: dict[str, Any]) -> None:
    """Print the state of a cluster, then of its workers."""
    workers = status["workers"]
    click.echo(
        f"{status['application']}: {status['phase']}, {_count(len(workers), 'worker')}, "
        f"epoch {status['epoch']}, up {age_text(status['uptime_s'])}, "
        f"process {status['pid']}, control {status['control']}"
    )
    for source in status["sources"]:
        click.echo(f"source of {source['pipeline']!r}: {source['address']}")
    for lag in status["lags"]:
        click.echo(_lag_line(lag))
    click.echo(_checkpoint_line(status))
    if batch_count := status["totals"].get("undelivered_batches"):
        size = decimal(status["totals"]["undelivered_bytes"])
        batches = "batch is" if batch_count == 1 else "batches are"
        click.echo(f"{batch_count:,} {batches} not delivered to sinks yet, {size}")
    rows = [_worker_cells(worker) for worker in workers]
    if len(workers) > 1:
        everything = {"name": "total", **status["totals"], "keys": _total_keys(workers)}
        rows.append(_worker_cells(everything))
    print_columns(
        [
            Column(heading, [row[place] for row in rows], rank)
            for place, (heading, rank) in enumerate(_STATUS)
        ]
    )
    print_problems({each["name"]: each["problem"] for each in workers if each["problem"]})


def _lag_line(lag: dict[str, Any]) -> str:
    text = f"source of {lag['pipeline']!r}: {_count(lag['splits'], 'split')}"
    if lag["lag"] is not None:
        text += f", {_count(lag['lag'], 'record')} behind"
    if lag["lag_s"]:
        text += f", the last one read is {age_text(lag['lag_s'])} old"
    return text


def _checkpoint_line(status: dict[str, Any]) -> str:
    last = status["last_checkpoint"]
    if last is not None:
        return (
            f"last checkpoint: {last['number']}, {age_text(last['age_s'])} ago, "
            f"{last['keys']:,} keys, {decimal(last['bytes'])}, took {last['duration_s']:.2f} s"
        )
    return "no checkpoint yet" if status["durable"] else "checkpoints are off"


def _worker_cells(worker: dict[str, Any]) -> list[str]:
    keys, backlog = worker.get("keys"), worker.get("backlog_bytes")
    paused = " (paused)" if worker.get("paused") else ""
    return [
        worker["name"],
        worker.get("state", ""),
        str(worker.get("pid") or ""),
        _number(worker.get("connections")),
        _number(worker.get("records")),
        _number(worker.get("records_per_s")),
        NOTHING if backlog is None else decimal(backlog) + paused,
        NOTHING if keys is None else f"{sum(keys.values()):,}",
        _number(worker.get("failures")),
    ]


def _total_keys(workers: list[dict[str, Any]]) -> dict[str, int]:
    return {each["name"]: sum(each["keys"].values()) for each in workers if "keys" in each}


def print_partitions(answer: dict[str, Any]) -> None:
    """Print how many partitions each worker owns, with a column for each state."""
    _print_by_worker(answer["states"], "partitions")


def print_key_counts(answer: dict[str, Any]) -> None:
    """Print how many keys each worker has, with a column for each state."""
    _print_by_worker(answer["states"], "keys")
    print_problems(answer["problems"])


def _print_by_worker(states: list[dict[str, Any]], what: str) -> None:
    if not states:
        click.echo("The application has no state.")
        return
    workers = list(dict.fromkeys(name for state in states for name in state["by_worker"]))
    table = new_table("worker", *(f"{what} of {state['name']}" for state in states))
    for name in workers:
        table.add_row(name, *(f"{state['by_worker'].get(name, 0):,}" for state in states))
    if len(workers) > 1:
        table.add_row("total", *(f"{state[what]:,}" for state in states))
    print_table(table)


_SPLITS = (
    ("split", 0), ("worker", 0), ("position", 2), ("end", 5), ("lag", 1), ("age", 4), ("state", 3),
    ("pipeline", 6),
)  # fmt: skip


def print_splits(answer: dict[str, Any]) -> None:
    """Print which worker reads which split, and how far it is."""
    rows = [_split_cells(each) for each in answer["splits"]]
    if rows:
        print_columns(
            [
                Column(heading, [row[place] for row in rows], rank)
                for place, (heading, rank) in enumerate(_SPLITS)
            ]
        )
    elif not answer["counts"]:
        click.echo("The application has no source that is read by split.")
    else:
        click.echo("No splits are known yet.")
    if (count := sum(answer["counts"].values())) > len(rows):
        click.echo(f"{len(rows):,} of {count:,} splits; --limit N shows more.", err=True)
    for reason in dict.fromkeys(each["held"] for each in answer["splits"] if each["held"]):
        click.echo(f"What is waited for: {reason}", err=True)
    print_problems(answer["problems"])


_CLOCKS = (
    ("state", 0), ("clock", 0), ("behind", 3), ("open", 2), ("late", 1), ("results", 5),
    ("waits for", 4),
)  # fmt: skip


def print_clocks(answer: dict[str, Any]) -> None:
    """Print how far the clock of each state is, and what it waits for."""
    rows = [_clock_cells(each) for each in answer["clocks"]]
    if rows:
        print_columns(
            [
                Column(heading, [row[place] for row in rows], rank)
                for place, (heading, rank) in enumerate(_CLOCKS)
            ]
        )
    elif not answer["problems"]:
        click.echo("The application has no state that time changes.")
    print_problems(answer["problems"])


def _clock_cells(row: dict[str, Any]) -> list[str]:
    clock_ns, lag_s = row["clock_ns"], row["lag_s"]
    clock = "ended" if row["ended"] else NOTHING
    if clock_ns is not None:
        clock = _instant_text(clock_ns)
    return [
        row["state"],
        clock,
        NOTHING if lag_s is None else age_text(lag_s),
        f"{row['open']:,}" + (" (some due)" if row["due"] else ""),
        f"{row['late']:,}",
        f"{sum(row['fired'].values()):,}",
        row["held_by"],
    ]


def _instant_text(time_ns: int) -> str:
    """Return a time in UTC, to the millisecond."""
    moment = datetime(1970, 1, 1) + timedelta(microseconds=time_ns // 1_000)
    return moment.isoformat(" ", "milliseconds")


def _split_cells(split: dict[str, Any]) -> list[str]:
    position, end = split["position"], split["end"]
    state = "caught up" if split["caught_up"] else "reading"
    if split["held"]:
        state = f"waits for {age_text(split['held_s'])}"
    if split["ended"]:
        state = f"failed: {split['problem']}" if split["problem"] else "ended"
    return [
        split["split"] or "(no name)",
        split["worker"],
        "start" if position is None else str(position),
        NOTHING if end is None else str(end),
        _number(split["lag"]),
        NOTHING if split["lag_s"] is None else age_text(split["lag_s"]),
        state,
        split["pipeline"],
    ]


def print_problems(problems: dict[str, str]) -> None:
    """Print on stderr which workers are missing from an answer, and why."""
    for problem in problems.values():
        click.echo(f"Warning: {problem}", err=True)


def print_keys(keys: list[dict[str, Any]]) -> None:
    """Print keys, one a line: worker, type, key."""
    for each in keys:
        click.echo(f"{each['worker']}\t{each['type']}\t{each['key']}")


def print_key(answer: dict[str, Any]) -> None:
    """Print the object of a key, its windows that have not fired, and its pending timers."""
    windows, timers, text = answer["windows"], answer["timers"], answer["text"]
    if text or not (windows or timers):
        click.echo(text)
    if windows:
        table = new_table("window from (UTC)", "to (UTC)", "accumulator")
        for each in windows:
            table.add_row(_time_text(each["start"]), _time_text(each["end"]), each["text"])
        print_table(table)
    if answer["window_count"] > len(windows):
        click.echo(f"The first {len(windows):,} of {answer['window_count']:,} windows.", err=True)
    if timers:
        if text or windows:
            click.echo()
        table = new_table("pending", "name", "at (UTC)")
        for each in timers:
            table.add_row(each["kind"], plain(each["name"]), _instant_text(each["at"]))
        print_table(table)


def _time_text(time_ns: int | None) -> str:
    return NOTHING if time_ns is None else _instant_text(time_ns)


def print_log(lines: list[dict[str, Any]]) -> None:
    """Print log lines, each on one line of text."""
    for line in lines:
        others = dict(line)
        first = [str(others.pop(name, "")) for name in ("timestamp", "level", "process", "event")]
        values = " ".join(f"{name}={value}" for name, value in others.items())
        click.echo(f"{first[0]} {first[1]:<8} {first[2]:<12} {first[3]} {values}".rstrip())


def print_events(events: list[dict[str, Any]]) -> None:
    """Print events, each on one line of text."""
    if not events:
        click.echo("Nothing has happened yet.")
    for event in events:
        began = datetime.fromtimestamp(event["unix_s"]).astimezone()
        again = f" ({event['count']} times)" if event["count"] > 1 else ""
        text = plain(event["text"], TEXT_CHARACTERS_MAX)
        click.echo(
            f"{began:%Y-%m-%d %H:%M:%S} {event['level']:<8} {event['kind']:<24} {text}{again}"
        )


def checkpoint_text(answer: dict[str, Any]) -> str:
    """Return a sentence about a checkpoint that was taken."""
    return (
        f"checkpoint {answer['number']} committed: {answer['keys']:,} keys, "
        f"{decimal(answer['bytes'])}; {_count(answer['written_keys'], 'changed key')}, "
        f"{decimal(answer['written_bytes'])} written in {answer['duration_s']:.2f} s"
    )


def deletion_text(answer: dict[str, Any]) -> str:
    """Return a sentence about a key that was deleted."""
    text = f"deleted key {answer['key']} of state {answer['state']} on {answer['worker']}"
    number = answer["checkpoint"]
    return text if number is None else f"{text}; checkpoint {number} holds that"


def stop_text(answer: dict[str, Any]) -> str:
    """Return a sentence about a cluster that has stopped or was drained."""
    done = "stopped" if answer.get("stopped") else "drained; the workers are up, stop ends them"
    text = f"{done}, after {answer['took_s']:.1f} s"
    if "record_count" in answer:
        failures = _count(answer["failure_count"], "failure")
        text += f": {_count(answer['record_count'], 'record')} in all, {failures}"
    if (gone := answer.get("discarded")) is not None:
        text += (
            f"; deleted {_count(gone['manifests'], 'manifest')}, {_count(gone['parts'], 'part')}"
        )
        text += f", {_count(gone['journals'], 'journal')}"
    return text


def resize_text(answer: dict[str, Any]) -> str:
    """Return how the members of a cluster have changed."""
    is_done = "accepted" not in answer
    verbs = ("joined", "left") if is_done else ("to join", "to leave")
    changes = "; ".join(
        f"{', '.join(answer[name])} {verb}"
        for name, verb in zip(("added", "left"), verbs, strict=True)
        if answer[name]
    )
    if not is_done:
        return f"accepted: {changes}; the log reports the result"

    partitions = ", ".join(
        f"{count} of {state!r}" for state, count in answer["moved_partitions"].items()
    )
    return (
        f"{changes}: {_count(len(answer['workers']), 'worker')} now, epoch "
        f"{answer['epoch']}. Moved partitions: {partitions or 'none'}; "
        f"{_count(answer['moved_keys'], 'key')}, {decimal(answer['moved_bytes'])}. "
        f"Took {answer['took_s']:.2f} s; records waited for {answer['pause_s']:.2f} s, "
        f"{answer['moving_s']:.2f} s of it while keys moved"
    )


def print_runs(runs: list[dict[str, Any]], *, of_machine: bool = False) -> None:
    """Print the clusters started in a folder, or those of a machine with folder and user."""
    more = ("user", "folder") if of_machine else ()
    table = new_table("application", "pid", "control", "workers", "dashboard", *more)
    for run in runs:
        names = ", ".join(worker["name"] for worker in run["workers"]) or "starting"
        cells = [run["application"], str(run["pid"]), run["control"], names]
        cells += [run["dashboard"] or NOTHING, *(run[name] for name in more)]
        table.add_row(*map(plain, cells))
    print_table(table)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
