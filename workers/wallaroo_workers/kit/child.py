"""A process of a check: it says what it is about to do, and waits until it may.

So the parent can kill or stop it before and after each call, and inside.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

CALL_S_MAX = 30.0
"""A call that takes longer hangs."""
AGAIN_AFTER_S = 0.05
ATTEMPT_S = 10.0
"""A process that may try again gives up after this time."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a child says: it is ``before`` or ``after`` a call, or has ended or failed."""

    where: str
    call: str = ""
    result: Any = None


class Child:
    """One process, as its parent sees it."""

    def __init__(self, main: Callable[[Connection], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=main, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, part: Any) -> None:
        """Give it a part to play."""
        self._pipe.send(part)

    def speaks_within(self, time_s: float) -> bool:
        """Wait until the child says something, but no longer than this."""
        return self._pipe.poll(time_s)

    def hear(self) -> Said:
        """Return what the child says next, which is "killed" if it has ended."""
        if not self._pipe.poll(CALL_S_MAX):
            return Said("hangs")
        try:
            said: Said = self._pipe.recv()
        except (EOFError, OSError):
            return Said("killed")
        return said

    def go_on(self, answer: Any = None) -> None:
        """Let it make the call that it announced, or go on behind one."""
        try:
            self._pipe.send(answer)
        except OSError:
            return

    def signal(self, number: signal.Signals) -> None:
        """Kill, stop or wake the process."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """End the process, if it has not ended."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
