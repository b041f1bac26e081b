"""The signals that ask a command to stop: SIGINT (Ctrl-C) and SIGTERM."""

import asyncio
import signal
from collections.abc import Callable


class ProcessSignals:
    """Delivers this process's signals as requests to stop, see `StopSignals`."""

    def deliver_to(self, handler: Callable[[], object]) -> None:
        """Call this handler on the running event loop for each signal from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, handler)
