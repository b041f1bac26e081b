"""Turns errors of a command into a message, a hint and an exit status."""

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
    """Make ``command`` show messages instead of tracebacks.

    A :class:`WallarooError` becomes ``Error: …``, then ``hint: …`` if it has one, on stderr and
    its exit code. Ctrl-C ends quietly with status 130. Any other exception is a bug of ours and
    keeps its traceback. Put this decorator below the options, next to the function.
    """

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except WallarooError as error:
            with contextlib.suppress(OSError):  # stderr is closed; the exit status still tells
                click.echo(f"Error: {error.what}", err=True)
                if error.hint:
                    click.echo(f"hint: {error.hint}", err=True)
            raise SystemExit(error.exit_code) from error
        except KeyboardInterrupt:
            raise SystemExit(STATUS_INTERRUPTED) from None

    return reporting
