"""``wallaroo-checkpoints``: show the checkpoints in a store, verify them, delete old ones."""

import asyncio
import json
import time
from pathlib import Path

import click

from wallaroo.checkpoint.journal import JOURNAL_FOLDER
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.errors import ConfigError, DamagedFileError
from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.errors import report_errors
from wallaroo_cli.tools import checkpoint_views as views
from wallaroo_cli.tools.questions import confirm
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import Store, open_store
from wallaroo_workers.storage.verify import verify

EPILOG = """\b
DIR is the --resilience-dir of wallaroo-run: a directory, or s3://BUCKET/PREFIX with the usual
AWS_… variables.

\b
Examples:
  wallaroo-checkpoints list state
  wallaroo-checkpoints show state 41
  wallaroo-checkpoints verify state --json
  wallaroo-checkpoints prune state --keep 1

Exit status: 0 on success, 1 if something is damaged or cannot be reached, 2 for a mistake on the
command line."""

_location = click.argument("location", metavar="DIR")
_as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Show checkpoints, verify them, and delete old ones, even while a cluster runs."""


@main.command("list")
@_location
@_as_json
@report_errors
def list_checkpoints(location: str, *, as_json: bool) -> None:
    """Show all checkpoints in DIR, the newest first.

    A claim marks the start of a run; its content is the checkpoint that the run started from.
    """
    found = asyncio.run(_load_all(_open(location)))
    if as_json:
        click.echo(json.dumps([views.row(one, time.time()) for one in found], indent=2))
    else:
        views.print_rows(found, location, time.time())
    if any(isinstance(one, DamagedFileError) for one in found):
        raise SystemExit(1)


@main.command(short_help="Show the whole content of a checkpoint.")
@_location
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@_as_json
@report_errors
def show(location: str, number: int, *, as_json: bool) -> None:
    """Show the content of checkpoint N in DIR, including positions of sources and journals."""
    manifest = asyncio.run(_load(_open(location), number))
    if as_json:
        click.echo(json.dumps(views.whole(manifest), indent=2))
    else:
        views.print_whole(manifest)


@main.command("verify", short_help="Read everything, and report what is damaged.")
@_location
@click.option(
    "--journals",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"Where the journals are.  [default: {JOURNAL_FOLDER} in DIR]",
)
@_as_json
@report_errors
def verify_checkpoints(location: str, *, journals: Path | None, as_json: bool) -> None:
    """Read all checkpoints and journals in DIR and report what is damaged.

    Reads every byte, so this may take a while. It runs no code of the application.
    """
    store = _open(location)
    if journals is None and store.folder is not None:
        journals = store.folder / JOURNAL_FOLDER
    findings = asyncio.run(verify(ManifestLog(store), journals))
    if as_json:
        click.echo(json.dumps(views.findings(findings), indent=2))
    else:
        views.print_findings(findings, has_journals=journals is not None)
    if findings.problems:
        raise SystemExit(1)


@main.command(short_help="Delete all checkpoints but the newest.")
@_location
@click.option(
    "--keep",
    metavar="K",
    required=True,
    type=click.IntRange(min=1),
    help="How many of the newest checkpoints to keep.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
@report_errors
def prune(location: str, *, keep: int, yes: bool, as_json: bool) -> None:
    """Delete from DIR all checkpoints but the newest K, and files that nothing needs any more.

    Journals stay: a running cluster truncates them itself.
    """
    store = _open(location)
    doomed = asyncio.run(ManifestLog(store).prunable(keep))
    if not doomed and not as_json:
        click.echo(f"Nothing to delete in {location}.")
        return
    if doomed and not yes:
        confirm(f"Delete {len(doomed)} objects from {location}?", "nothing was deleted")
    asyncio.run(store.delete(doomed))
    if as_json:
        click.echo(json.dumps({"deleted": doomed}, indent=2))
    else:
        click.echo(f"Deleted {len(doomed)} objects from {location}.")


def _open(location: str) -> Store:
    return open_store(location, may_create=False)


async def _load_all(store: Store) -> list[Manifest | DamagedFileError]:
    """Return all manifests, newest first, with an error instead of each damaged one."""
    log = ManifestLog(store)
    found: list[Manifest | DamagedFileError] = []
    for number in reversed(await log.numbers()):
        try:
            found.append(await log.load(number))
        except DamagedFileError as error:
            found.append(error)
    return found


async def _load(store: Store, number: int) -> Manifest:
    log = ManifestLog(store)
    numbers = await log.numbers()
    if number not in numbers:
        raise ConfigError(
            f"there is no checkpoint {number} in {store.location}",
            f"it has {', '.join(map(str, numbers)) or 'none'}",
        )
    return await log.load(number)


if __name__ == "__main__":
    main()
