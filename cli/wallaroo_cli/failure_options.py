"""Options of ``wallaroo-run`` for records that fail."""

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
        help="What happens if a function of the application raises: the record becomes a dead "
        "letter, or the run stops.",
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
        help="The size at which a worker starts a new file of dead letters.",
    ),
    click.option(
        "--keep-dead-letters",
        metavar="N",
        type=click.IntRange(1),
        help="How many files of dead letters each worker keeps; older ones are deleted.  "
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
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def failure_rule(max_failures: str | None, *, on_error: str, is_joining: bool) -> FailureRule:
    """Return the rule for failures. Raises ``ConfigError`` if options contradict each other."""
    if max_failures is None:
        return FailureRule()
    if on_error == "stop":
        raise ConfigError(
            "--on-error stop ends the run at the first failure, but --max-failures allows some",
            hint="leave out one of them",
        )
    if is_joining:
        raise ConfigError(
            "--max-failures belongs to the initializer, which counts failures of all workers",
            hint="leave it out here, and give it to the command without --join",
        )
    return FailureRule(FailureLimit.parse(max_failures))
