"""Options of ``wallaroo-run`` about records that fail."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wallaroo.coordinator.run_outcome import FailureLimit, FailureRule
from wallaroo.errors import ConfigError
from wallaroo_workers.dead_letters import FILE_BYTES

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--on-error",
        type=click.Choice(["dead-letter", "stop"]),
        default="dead-letter",
        show_default=True,
        help="What an error in the application's functions does with the record, or the run.",
    ),
    click.option(
        "--dead-letters",
        metavar="DIR",
        default="dead-letters",
        show_default=True,
        type=click.Path(file_okay=False),
        help="Where records that failed are kept, as JSON lines.",
    ),
    click.option(
        "--dead-letter-bytes",
        metavar="BYTES",
        default=FILE_BYTES,
        show_default=True,
        type=click.IntRange(1),
        help="A worker's file of dead letters that is longer is followed by another one.",
    ),
    click.option(
        "--keep-dead-letters",
        metavar="N",
        type=click.IntRange(1),
        help="Files of dead letters that each worker keeps; older ones are deleted.  "
        "[default: all]",
    ),
    click.option(
        "--max-failures",
        metavar="N|N%",
        help="Stop in order with status 5 when more than N records of this run have failed, or "
        "more than N% of those it accepted (from the 100th on).  [default: no limit]",
    ),
)


def failure_options(command: F) -> F:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def failure_rule(max_failures: str | None, *, on_error: str, is_joining: bool) -> FailureRule:
    """Return what the options say about failures. Raises ``ConfigError`` if they do not fit."""
    if max_failures is None:
        return FailureRule()
    if on_error == "stop":
        raise ConfigError(
            "--on-error stop ends the run with the first failure, and --max-failures allows some",
            hint="leave out either",
        )
    if is_joining:
        raise ConfigError(
            "--max-failures is for the initializer, which counts for all workers",
            hint="leave it out here, and give it to the command without --join",
        )
    return FailureRule(FailureLimit.parse(max_failures))
