"""The commands of ``wallaroo-cluster`` that change something."""

import sys
from typing import Any

import click

from wallaroo.errors import ConfigError
from wallaroo_cli.cluster_options import (
    cluster_options,
    do_and_show,
    key_type_option,
    timeout_option,
)
from wallaroo_cli.errors import report_errors
from wallaroo_cli.tools import cluster_views as views
from wallaroo_cli.tools.questions import confirm

_wait = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Return when the change is done, and show what moved; or as soon as it is accepted.",
)


@click.command()
@cluster_options
@report_errors
def checkpoint(**options: Any) -> None:
    """Take a checkpoint now, and return when it is committed."""
    do_and_show(options, "checkpoint", views.checkpoint_text)


@click.command(
    short_help="Delete the state of one key.",
    context_settings={"ignore_unknown_options": True},  # a key may be -5
)
@click.argument("state")
@click.argument("key", required=False)
@key_type_option
@cluster_options
@timeout_option
@report_errors
def delete(**options: Any) -> None:
    """Delete the object of KEY in STATE; the next record of KEY creates a new one.

    With checkpoints on, the command returns once a checkpoint holds this. A state of to_stateful
    has one object, and needs no KEY. The exit status is 1 if there is no such key.
    """
    do_and_show(options, "delete", views.deletion_text)


@click.command(short_help="Stop the cluster in order, as Ctrl-C does.")
@click.option(
    "--discard-state",
    is_flag=True,
    help="Afterwards delete the application's checkpoints, journals and staged output.",
)
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@cluster_options
@report_errors
def stop(*, yes: bool, **options: Any) -> None:
    """Stop the cluster in order, as Ctrl-C does, and return when all its processes have ended."""
    if options["discard_state"] and not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                "--discard-state deletes data that cannot be restored",
                hint="add --yes to confirm",
            )
        confirm("Delete all checkpoints and journals?", "nothing was stopped, nothing deleted")
    do_and_show(options, "stop", views.stop_text, until_ended=True)


@click.command(short_help="Close the sources and finish accepted input; workers stay up.")
@cluster_options
@report_errors
def drain(**options: Any) -> None:
    """Close the sources and finish accepted input; workers stay up to be inspected."""
    do_and_show(options, "drain", views.stop_text)


@click.command()
@click.option(
    "--workers",
    metavar="N",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="How many workers to add.",
)
@_wait
@cluster_options
@report_errors
def grow(**options: Any) -> None:
    """Add workers to the cluster while it runs."""
    do_and_show(options, "grow", views.resize_text)


@click.command(short_help="Remove workers from the cluster while it runs.")
@click.option(
    "--workers", metavar="N", type=click.IntRange(1), help="How many workers to remove: the last N."
)
@click.option("--names", metavar="NAME,...", help="Which workers to remove.")
@_wait
@cluster_options
@report_errors
def shrink(*, names: str | None, **options: Any) -> None:
    """Remove workers from the cluster while it runs; the others take over their keys."""
    if (names is None) == (options["workers"] is None):
        raise click.UsageError("give either --workers N or --names NAME,...")
    chosen = [name.strip() for name in (names or "").split(",") if name.strip()]
    do_and_show({**options, "names": chosen}, "shrink", views.resize_text)
