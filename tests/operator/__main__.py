"""All plays of scripts: ``make operator-test``; which takes most of an hour."""

import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from tests.operator.plays import chain_plays, crash_plays, resize_plays
from tests.operator.stories import STORIES


@click.command()
@click.option("--only", default="", help="Play what has this in its name.")
@click.option("--length", default=2, help="Longest sequence of resizes, and of crashes.")
@click.option("--every", default=1, help="Play each N-th only.")
def main(only: str, length: int, every: int) -> None:
    """Play everything that scripts of the original do to a cluster; tell what fails."""
    told = [(story.__name__.replace("_", " "), story) for story in STORIES]
    plays = [*told, *chain_plays(), *resize_plays(length), *crash_plays(length)]
    chosen = [play for play in plays if only in play[0]][::every]
    begun_s = time.monotonic()
    failed = [name for name, play in chosen if not _passes(name, play)]
    took_s = time.monotonic() - begun_s
    click.echo(f"{len(chosen) - len(failed)} of {len(chosen)} passed in {took_s:.0f} s")
    for name in failed:
        click.echo(f"failed: {name}")
    sys.exit(bool(failed))


def _passes(name: str, play: Callable[[Path], None]) -> bool:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wallaroo-operator-") as folder:
        try:
            play(Path(folder))
        except Exception:  # noqa: BLE001  the others are to be played all the same
            click.echo(traceback.format_exc())
            click.echo(f"FAILED {name}")
            return False
    click.echo(f"passed {name}, {time.monotonic() - begun_s:.1f} s")
    return True


if __name__ == "__main__":
    main()
