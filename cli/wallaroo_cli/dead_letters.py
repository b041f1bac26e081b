"""``wallaroo-dead-letters``: show records that failed, and send them again."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from wallaroo.errors import ConfigError
from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.cluster_options import address_options, target_of
from wallaroo_cli.entry import STATUS_INTERRUPTED
from wallaroo_cli.errors import report_errors
from wallaroo_cli.letters import views
from wallaroo_cli.letters.marks import Marks, MarkWriter
from wallaroo_cli.letters.reading import Damage, Letter, letter_files, read_letters
from wallaroo_cli.letters.replay import Outcome, framed, send_all, sources_of
from wallaroo_cli.letters.selection import Selection, selection_of, selection_options
from wallaroo_cli.tools.control_client import ask
from wallaroo_cli.tools.questions import confirm
from wallaroo_cli.tools.waiting import Waiting

LAST = 100

EPILOG = """\b
A letter is named by its file and line, such as app-w1:17. The file can be left out if only one
file has that line. app-w1:17-20 names four letters.

\b
Examples:
  wallaroo-dead-letters list --step decoder --since 2h
  wallaroo-dead-letters show app-w1:17
  wallaroo-dead-letters show app-w1:17 --payload > payload.bin
  wallaroo-dead-letters replay app-w1:17-20
  wallaroo-dead-letters replay --step decoder --yes

Exit status: 0 on success, 1 if letters were refused or something failed, 2 for a mistake on the
command line, 3 if there is no cluster."""

_folder = click.option(
    "--dead-letters",
    "folder",
    metavar="DIR",
    default="dead-letters",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The --dead-letters folder of wallaroo-run.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Show records that failed, and send them again, even while a cluster runs."""


@main.command("list", short_help="Show the letters, the newest last.")
@_folder
@selection_options
@click.option("--last", metavar="N", type=click.IntRange(1),
              help=f"Show at most N letters.  [default: {LAST}; with --json all]")  # fmt: skip
@_as_json
@report_errors
def list_letters(folder: Path, *, last: int | None, as_json: bool, **options: Any) -> None:
    """Show the dead letters in a folder, the newest last; times are UTC."""
    count = 0
    rows: deque[views.Row] = deque(maxlen=last or (None if as_json else LAST))
    damages: list[Damage] = []
    for row in _chosen(folder, selection_of(options), damages):
        rows.append(row)
        count += 1
    if as_json:
        click.echo(json.dumps([views.as_json(*row) for row in rows], indent=2))
    else:
        views.print_rows(rows, count)
    views.print_damages(damages)


@main.command(short_help="Show one letter, or write its payload.")
@_folder
@click.argument("name", metavar="LETTER")
@click.option(
    "--payload",
    "wants_payload",
    is_flag=True,
    help="Write only the payload to stdout, byte for byte as the source received it.",
)
@_as_json
@report_errors
def show(folder: Path, name: str, *, wants_payload: bool, as_json: bool) -> None:
    """Show all details of LETTER, with its traceback."""
    if wants_payload and as_json:
        raise ConfigError("--payload writes bytes, and --json text", hint="leave out one of them")
    damages: list[Damage] = []
    found = [*_chosen(folder, Selection.of_names([name]), damages)]
    if len(found) > 1:
        raise ConfigError(f"{name} names {len(found)} letters", hint="`show` takes one")
    [(letter, state)] = found
    if wants_payload:
        if letter.payload is None:
            raise ConfigError(
                f"{letter.name} has no payload: its source creates records itself",
                hint="`show` without --payload has the record",
            )
        sys.stdout.buffer.write(letter.payload)
        sys.stdout.buffer.flush()
    elif as_json:
        click.echo(json.dumps(views.as_json(letter, state), indent=2))
    else:
        views.print_letter(letter, state)


@main.command(short_help="Send payloads again to the running cluster.")
@_folder
@click.argument("names", metavar="[LETTER]...", nargs=-1)
@selection_options
@click.option("--all", "wants_all", is_flag=True, help="All letters.")
@click.option(
    "--unsure",
    "sends_unsure",
    is_flag=True,
    help="Include letters that may have arrived before an earlier replay was interrupted.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@address_options
@report_errors
def replay(
    folder: Path,
    names: tuple[str, ...],
    *,
    wants_all: bool,
    sends_unsure: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Send payloads of TCP sources again to the running cluster, as a sender would.

    Each letter that was sent is marked durably and skipped from then on. State that a record
    changed before it failed stays changed, so check its step first. Letters of other sources
    are refused. Ctrl-C stops after the letters that are being sent.
    """
    selection = selection_of(options, names)
    if selection.is_everything != wants_all:
        raise ConfigError(
            "--all cannot be combined with names or other options that choose letters"
            if wants_all
            else "no letters are chosen",
            hint="give names as `list` shows them, or --step, --pipeline, --since, --until; "
            "--all sends every letter",
        )
    as_json, target = options.pop("as_json"), target_of(options)
    sources = sources_of(ask(target, "sources", {}), target.address)
    letter_files(folder)
    outcome = Outcome()
    with closing(MarkWriter(folder)) as marks:
        damages: list[Damage] = []
        letters = _to_send(_chosen(folder, selection, damages), outcome, sends_unsure=sends_unsure)
        ready = framed(letters, sources, outcome)
        if ready and not yes:
            confirm(f"Send {len(ready):,} letters to {target.address}?", "nothing was sent")
        try:
            with Waiting("replay"):
                send_all(ready, marks, outcome)
        finally:
            views.print_damages(damages)
            if as_json:
                click.echo(json.dumps(outcome.as_json(), indent=2))
            else:
                views.print_outcome(outcome)
    if outcome.is_interrupted:
        raise SystemExit(STATUS_INTERRUPTED)
    if outcome.refused:
        raise SystemExit(1)


def _chosen(folder: Path, selection: Selection, damages: list[Damage]) -> Iterator[views.Row]:
    """Yield the chosen letters with their marks. Raises ``ConfigError`` for an unknown name."""
    marks = Marks(folder)
    for letter in read_letters(folder, damages):
        state = marks.take(letter)
        if selection.has(letter):
            yield letter, state
    selection.check_names()


def _to_send(rows: Iterable[views.Row], outcome: Outcome, *, sends_unsure: bool) -> list[Letter]:
    """Return the letters that are still to be sent; note the others in ``outcome``."""
    letters = []
    for letter, state in rows:
        if state == "replayed":
            outcome.replayed_before.append(letter)
        elif state == "unsure" and not sends_unsure:
            outcome.unsure.append(letter)
        else:
            letters.append(letter)
    return letters


if __name__ == "__main__":
    main()
