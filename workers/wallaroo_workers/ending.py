"""The end of a process that ran code of the application.

Python waits for threads, executors and ``atexit`` functions, of which the application may have left
some that never end. They get a moment; then the process ends with the status that it was to have.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

GRACE_S = 2.0


@contextlib.contextmanager
def ending_in_time(at_last: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Have the process end within ``GRACE_S`` of the end of this block, with the status it has.

    ``at_last`` is called before a process is ended that did not end by itself.
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
    except RuntimeError:  # the application has taken all threads that there may be
        os._exit(status)
    for stream in (sys.stdout, sys.stderr):
        # Otherwise what was printed is lost if the interpreter does not come to its own end.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
