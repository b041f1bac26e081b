"""The exit statuses of all commands and worker processes; docs/statuses.md lists them."""

import enum


class ExitStatus(enum.IntEnum):
    """The exit status of a command or a worker process."""

    DONE = 0
    """The command succeeded; a run was stopped in order."""
    FAILED = 1
    """It could not start, could not go on, or was stopped immediately."""
    MISTAKE = 2
    """The command line, or the application, has a mistake that its user can correct."""
    NO_CLUSTER = 3
    """No cluster was found, or a worker has lost its initializer."""
    ALL_FAILED = 4
    """Every record that some pipeline accepted in this run became a dead letter."""
    TOO_MANY_FAILURES = 5
    """More records failed than ``--max-failures`` allows."""
    BROKEN = 70
    """A worker process met an unexpected error; it is started again."""
    STUCK = 71
    """A source or sink of the application does not return; the worker is started again."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the signal's number, as shells expect."""
