"""Replaces standard streams that were closed when the process was started."""

import os
import sys

_MODES = ("r", "w", "w")
STDIN = "WALLAROO_STDIN"
"""The variable with the descriptor that is to become the standard input of a worker."""


def open_missing_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Call it before anything else is opened. The system gives the lowest free number to the next
    file, and a socket with number 2 would receive what libraries write to stderr.
    """
    for descriptor, mode in enumerate(_MODES):
        try:
            os.fstat(descriptor)
        except OSError:
            # All lower numbers are taken, so it gets this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            name = ("stdin", "stdout", "stderr")[descriptor]
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def take_stdin() -> None:
    """Let descriptor 0 be what the parent has passed as standard input, or else be empty."""
    passed = os.environ.pop(STDIN, None)
    descriptor = os.open(os.devnull, os.O_RDONLY) if passed is None else int(passed)
    os.dup2(descriptor, 0)
    os.close(descriptor)
