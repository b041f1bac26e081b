"""The exit statuses of all commands and worker processes; docs/statuses.md lists them."""

import enum


class ExitStatus(enum.IntEnum):
    """What the process that started a command learns from its status."""

    DONE = 0
    """The command did what it was asked for; a run was stopped in order."""
    FAILED = 1
    """It could not start, could not go on, or was stopped at once."""
    MISTAKE = 2
    """The command line, or the application, has a mistake that its user can correct."""
    NO_CLUSTER = 3
    """There is no cluster: none was found, or a worker has lost its initializer."""
    ALL_FAILED = 4
    """Every record that some pipeline accepted in this run became a dead letter."""
    TOO_MANY_FAILURES = 5
    """More records failed than ``--max-failures`` allows."""
    BROKEN = 70
    """A worker process met an error that nobody expected; it is started again."""
    INTERRUPTED = 130
    """Ctrl-C: what shells expect, 128 and the signal's number."""
