"""Entry of a worker process that an initializer or an agent has started.

Its settings are the first line of its standard input. The pipe stays open as long as the parent
lives, so its end means that the parent has ended.
"""

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from wallaroo_workers import forks
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST
from wallaroo_workers.ending import ending_in_time
from wallaroo_workers.leftovers import Leftovers
from wallaroo_workers.running import run_worker
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.streams import open_missing_streams, take_stdin

ORDERLY_END_S = 2.0


def main(leftovers: Leftovers) -> int:
    """Run one worker; return its exit status."""
    # Ctrl-C reaches every process of the terminal; the initializer decides what it means. A
    # function, since programs that the application starts would go on ignoring the signal.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    open_missing_streams()
    settings = WorkerSettings.from_json(_first_line(0))
    return run_worker(settings, _InputPipe(leftovers), _TerminationSignal())


class _InputPipe:
    """The pipe from the parent, as a `Lifeline`."""

    def __init__(self, leftovers: Leftovers) -> None:
        self._leftovers = leftovers

    def hold(self) -> None:
        """End this process once the parent's end of the pipe is closed."""
        # If the initializer is lost, nothing else ends what the application has started. Functions
        # registered later, such as the application's, run before.
        atexit.register(self._leftovers.end_own)
        pipe = forks.ours(os.dup(0))
        threading.Thread(target=self._end_with_parent, args=(pipe,), daemon=True).start()
        take_stdin()

    def _end_with_parent(self, descriptor: int) -> None:
        while os.read(descriptor, 1):
            pass
        # The event loop notices too, by the control link, and ends in order if it gets a chance.
        threading.Event().wait(ORDERLY_END_S)
        self._leftovers.end_own()
        os._exit(STATUS_INITIALIZER_LOST)

    def end_process(self, status: int) -> NoReturn:
        """End this process at once."""
        os._exit(status)


class _TerminationSignal:
    """SIGTERM, which asks for an orderly stop of the cluster."""

    def deliver_to(self, handler: Callable[[], object]) -> None:
        """Call this handler on the running event loop for each signal from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handler)


def _first_line(descriptor: int) -> bytes:
    """Read the first line; what follows it stays in the pipe."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


if __name__ == "__main__":
    assert __debug__, "assertions are part of the design; run without python -O"
    _leftovers = Leftovers.of_this_process()
    with ending_in_time(_leftovers.end_own):
        sys.exit(main(_leftovers))
