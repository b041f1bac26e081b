"""How a command ends when something goes wrong: what happened, what to do, an exit status."""

import contextlib
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from wallaroo.errors import WallarooError
from wallaroo_cli.entry import STATUS_INTERRUPTED

P = ParamSpec("P")
R = TypeVar("R")


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make ``command`` show its users sentences instead of tracebacks.

    A :class:`WallarooError` becomes ``Error: …``, then ``hint: …`` if it has one, on stderr and
    its exit code. Ctrl-C ends quietly with status 130. Everything else is a bug of ours and keeps
    its traceback. Put it below the options, next to the function.
    """

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except WallarooError as error:
            with contextlib.suppress(OSError):  # nobody reads it; the status stays
                click.echo(f"Error: {error.what}", err=True)
                if error.hint:
                    click.echo(f"hint: {error.hint}", err=True)
            raise SystemExit(error.exit_code) from error
        except KeyboardInterrupt:
            raise SystemExit(STATUS_INTERRUPTED) from None

    return reporting
