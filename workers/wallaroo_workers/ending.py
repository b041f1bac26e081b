"""Ends a process that ran code of the application.

Python waits for threads, executors and ``atexit`` functions, and some of the application's may
never end. They get a short time; then the process ends with its intended status.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

GRACE_S = 2.0


@contextlib.contextmanager
def ending_in_time(at_last: Callable[[], object] = lambda: None) -> Iterator[None]:
    """End the process at most ``GRACE_S`` after the end of this block, with the status it has.

    ``at_last`` is called before a process is forced to end.
    """
    status = 1
    try:
        yield
        status = 0
    except SystemExit as end:
        status = exit_status(end)
        raise
    finally:
        _end_soon(status, at_last)


def exit_status(end: SystemExit) -> int:
    """Return the status that Python gives a process for ``sys.exit(...)``."""
    if end.code is None:
        return 0
    return end.code & 0xFF if isinstance(end.code, int) else 1


def _end_soon(status: int, at_last: Callable[[], object]) -> None:
    pause = threading.Event()

    def end() -> None:
        pause.wait(GRACE_S)
        try:
            at_last()
        finally:
            os._exit(status)

    try:
        threading.Thread(target=end, daemon=True).start()
    except RuntimeError:  # the application has used up all threads
        os._exit(status)
    for stream in (sys.stdout, sys.stderr):
        # Flush: printed output would be lost if the interpreter does not shut down by itself.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
