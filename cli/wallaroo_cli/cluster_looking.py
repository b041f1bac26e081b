"""The commands of ``wallaroo-cluster`` that change nothing."""

import json
from pathlib import Path
from typing import Any

import click

from wallaroo.metrics.event_history import EVENTS_KEPT
from wallaroo.worker.split_facts import SPLITS_A_PIPELINE_MAX
from wallaroo_cli.cluster_options import (
    ask_and_show,
    ask_cluster,
    cluster_options,
    key_type_option,
    timeout_option,
    write,
)
from wallaroo_cli.errors import report_errors
from wallaroo_cli.tools import cluster_views as views
from wallaroo_workers.machine_runs import machine_runs
from wallaroo_workers.run_file import living_runs

KEYS_SHOWN = 100
KEYS_AT_ONCE = 10_000
SPLITS_SHOWN = 1_000


@click.command("list", short_help="Show running clusters, of this folder or of all.")
@click.option("--all", "wants_all", is_flag=True, help="Clusters of all folders of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
@report_errors
def list_clusters(*, wants_all: bool, as_json: bool) -> None:
    """Show the running clusters that were started in this folder.

    With --all, those of all folders of this machine: your own, or as root those of all users.
    """
    if wants_all:
        _list_all(as_json=as_json)
        return
    runs = living_runs(Path.cwd())
    for run in runs:
        del run["secret"]
    if as_json:
        click.echo(json.dumps(runs, indent=2))
    elif runs:
        views.print_runs(runs)
    else:
        click.echo(f"No cluster runs that was started in {Path.cwd()}; --all looks at all folders.")


def _list_all(*, as_json: bool) -> None:
    found = machine_runs()
    if as_json:
        click.echo(json.dumps(found.runs, indent=2))
    elif found.runs:
        views.print_runs(found.runs, of_machine=True)
    else:
        click.echo("None of your clusters runs on this machine.")
    if found.hidden_count:
        click.echo(f"Clusters of other users, visible to root only: {found.hidden_count}", err=True)


@click.command(short_help="Show the cluster and its workers.")
@cluster_options
@timeout_option
@report_errors
def status(**options: Any) -> None:
    """Show the cluster and its workers: state, records, backlog, last checkpoint."""
    ask_and_show(options, "status", views.print_status)


@click.command()
@click.argument("state", required=False)
@cluster_options
@report_errors
def partitions(**options: Any) -> None:
    """Show how many partitions of each state each worker owns."""
    ask_and_show(options, "partitions", views.print_partitions)


@click.command(short_help="Count or show the keys of each state.")
@click.argument("state", required=False)
@click.option("--worker", metavar="NAME", help="Keys of this worker only.")
@click.option("--list", "wants_list", is_flag=True, help="Show the keys, not their number.")
@click.option(
    "--limit",
    metavar="N",
    default=KEYS_SHOWN,
    show_default=True,
    type=click.IntRange(1),
    help="Show at most N keys.",
)
@click.option("--all", "wants_all", is_flag=True, help="Show all keys, however many.")
@cluster_options
@timeout_option
@report_errors
def keys(*, wants_list: bool, limit: int, wants_all: bool, **options: Any) -> None:
    """Show how many keys each state has on each worker, or with --list the keys of STATE.

    A line of the list has the worker, the type of the key and the key. The exit status is 1 if the
    answer of a worker is missing.
    """
    if not (wants_list or wants_all):
        counts = ask_and_show(options, "keys", views.print_key_counts)
        raise SystemExit(1 if counts["problems"] else 0)
    _list_keys(options, None if wants_all else limit)


def _list_keys(options: dict[str, Any], limit: int | None) -> None:
    as_json = options.pop("as_json")
    found: list[dict[str, str]] = []
    problems: dict[str, str] = {}
    count, after = 0, None
    while limit is None or count < limit:
        some = KEYS_AT_ONCE if limit is None else min(limit - count, KEYS_AT_ONCE)
        page = ask_cluster({**options, "list": True, "limit": some, "after": after}, "keys")
        count += len(page["keys"])
        problems |= page["problems"]
        if as_json:
            found += page["keys"]
        else:
            views.print_keys(page["keys"])
        after = page["next"]
        if after is None:
            break
    if as_json:
        whole = {"state": options["state"], "keys": found, "problems": problems}
        click.echo(json.dumps({**whole, "is_whole": after is None and not problems}, indent=2))
    else:
        views.print_problems(problems)
        if after is not None:
            click.echo(f"The first {count:,} keys; --limit N or --all shows more.", err=True)
    if problems:
        raise SystemExit(1)


@click.command(short_help="Show who reads which split of which source.")
@click.argument("pipeline", required=False)
@click.option(
    "--limit",
    metavar="N",
    default=SPLITS_SHOWN,
    show_default=True,
    type=click.IntRange(1, SPLITS_A_PIPELINE_MAX),
    help="Show at most N splits.",
)
@cluster_options
@timeout_option
@report_errors
def splits(**options: Any) -> None:
    """Show the splits of sources that are read by split, or those of PIPELINE.

    A split is what a source has positions in, such as a partition of a topic. Each has one worker
    that reads it. A source that does not say where a split ends has no lag.
    """
    answer = ask_and_show(options, "splits", views.print_splits)
    if answer["problems"]:
        raise SystemExit(1)


@click.command(short_help="Show how far time is, and what it waits for.")
@click.argument("state", required=False)
@cluster_options
@timeout_option
@report_errors
def clocks(**options: Any) -> None:
    """Show the clock of each state that time changes, or of STATE.

    The clock is the slowest of all workers. Windows whose end it has passed are closed, and records
    for them are late. The last column says what it waits for.
    """
    answer = ask_and_show(options, "clocks", views.print_clocks)
    if answer["problems"]:
        raise SystemExit(1)


@click.command(
    short_help="Show one state object, or the windows of a key.",
    context_settings={"ignore_unknown_options": True},  # a key may be -5
)
@click.argument("state")
@click.argument("key", required=False)
@key_type_option
@cluster_options
@timeout_option
@report_errors
def get(**options: Any) -> None:
    """Show the present object of KEY in STATE, with the timers and alarms that are pending for it.

    For a state of windows, show the windows of KEY that have not fired. A state of to_stateful has
    one object, and needs no KEY. The exit status is 1 if there is no such key.
    """
    ask_and_show(options, "get", views.print_key)


@click.command(short_help="Show what happened: losses, recoveries, resizes.")
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1, EVENTS_KEPT),
    help="Show at most N events.",
)  # fmt: skip
@cluster_options
@report_errors
def events(**options: Any) -> None:
    """Show what happened in this run: losses, recoveries, resizes, failed checkpoints.

    The newest event is the last. Each has the name of its log event, which has more details.
    """
    ask_and_show(options, "events", lambda answer: views.print_events(answer["events"]))


@click.command(short_help="Show the log of all processes, or change its level.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="From now on log lines of this level and above, in all processes.",
)
@click.option(
    "--limit", metavar="N", default=50, show_default=True, type=click.IntRange(1, 200),
    help="Show at most N lines.",
)  # fmt: skip
@cluster_options
@timeout_option
@report_errors
def logs(**options: Any) -> None:
    """Show the last lines of the log of all processes, or change its level."""
    as_json, level = options.pop("as_json"), options["level"]
    answer = ask_cluster(options, "logs")

    def show(answer: dict[str, Any]) -> None:
        if level is not None:
            click.echo(f"all processes now log lines of level {level} and above")
        else:
            views.print_log(answer["lines"])
        views.print_problems(answer["problems"])

    write(answer, show, as_json=as_json)
    if level is not None and answer["problems"]:
        raise SystemExit(1)
