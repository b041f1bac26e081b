"""The commands of ``wallaroo-cluster`` that change something."""

import sys
from typing import Any

import click

from wallaroo.errors import ConfigError
from wallaroo_cli.cluster_options import cluster_options, do_and_show
from wallaroo_cli.errors import report_errors
from wallaroo_cli.tools import cluster_views as views
from wallaroo_cli.tools.questions import confirm

_wait = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Answer when it is done, with what moved; or as soon as it is accepted.",
)


@click.command()
@cluster_options
@report_errors
def checkpoint(**options: Any) -> None:
    """Take a checkpoint now, and answer once it stands."""
    do_and_show(options, "checkpoint", views.checkpoint_text)


@click.command(short_help="Stop in order, as Ctrl-C does.")
@click.option(
    "--discard-state",
    is_flag=True,
    help="Then delete the application's checkpoints, journals and staged output.",
)
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@cluster_options
@report_errors
def stop(*, yes: bool, **options: Any) -> None:
    """Stop in order, as Ctrl-C does; answer when nothing of the cluster is left."""
    if options["discard_state"] and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                "--discard-state deletes what cannot be brought back", hint="add --yes to mean it"
            )
        confirm("Delete all checkpoints and journals?", "nothing was stopped, nothing deleted")
    do_and_show(options, "stop", views.stop_text, until_gone=True)


@click.command(short_help="Close the sources, finish the rest, leave the workers up.")
@cluster_options
@report_errors
def drain(**options: Any) -> None:
    """Close the sources, finish what they took, and leave the workers up to be looked at."""
    do_and_show(options, "drain", views.stop_text)


@click.command()
@click.option(
    "--workers",
    metavar="N",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="So many more.",
)
@_wait
@cluster_options
@report_errors
def grow(**options: Any) -> None:
    """Add workers to the cluster while it runs."""
    do_and_show(options, "grow", views.resize_text)


@click.command(short_help="Have workers leave the cluster while it runs.")
@click.option("--workers", metavar="N", type=click.IntRange(1), help="So many fewer, the last.")
@click.option("--names", metavar="NAME,...", help="These ones.")
@_wait
@cluster_options
@report_errors
def shrink(*, names: str | None, **options: Any) -> None:
    """Have workers leave the cluster while it runs; others take their keys over."""
    if (names is None) == (options["workers"] is None):
        raise click.UsageError("give either --workers N or --names NAME,...")
    chosen = [name.strip() for name in (names or "").split(",") if name.strip()]
    do_and_show({**options, "names": chosen}, "shrink", views.resize_text)
