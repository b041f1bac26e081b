"""Writes log lines to a descriptor that may be full, closed or not read, without blocking."""

import contextlib
import fcntl
import os
import select
import stat
import struct
import termios
from collections.abc import Callable

ROOM_AWAITED_MS = 1000
"""How long to wait, once, for a reader that does not read; afterwards lines are dropped."""


class LogOutput:
    """Writes whole lines, and drops and counts those that cannot be written.

    ``told`` creates the line that reports how many were dropped. It is written before the next line
    that can be written.
    """

    def __init__(self, descriptor: int, told: Callable[[int], str]) -> None:
        try:
            # Duplicate the descriptor: the application may close or replace stderr.
            self._descriptor = os.dup(descriptor)
        except OSError:
            self._descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._told = told
        self._is_pipe = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._is_torn = False
        """Whether the last line was cut off, so that a line break has to precede the next one."""
        self._is_stuck = False
        self.dropped_count = 0
        """Lines dropped since the last report."""

    def write(self, line: str) -> None:
        """Write a line, or drop it."""
        if self.dropped_count and self._is_written(self._told(self.dropped_count)):
            self.dropped_count = 0
        if self.dropped_count or not self._is_written(line):
            self.dropped_count += 1

    def close(self) -> None:
        """Stop writing."""
        os.close(self._descriptor)

    def _is_written(self, line: str) -> bool:
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        view = memoryview(b"\n" + data if self._is_torn else data)
        try:
            while view and self._has_room():
                with contextlib.suppress(BlockingIOError):
                    # Another program may have made the shared terminal or pipe non-blocking.
                    count = os.write(self._descriptor, view[: self._room()])
                    view = view[count:]
                    self._is_torn = True
        except OSError:
            return False
        if view:
            return False
        self._is_torn = False
        return True

    def _has_room(self) -> bool:
        self._is_stuck = not self._poll.poll(0 if self._is_stuck else ROOM_AWAITED_MS)
        return not self._is_stuck

    def _room(self) -> int | None:
        """Return how many bytes a pipe certainly accepts; ``None`` if there is no limit.

        Longer lines are written in pieces, and lines of other processes may appear between them.
        """
        if not self._is_pipe:
            return None
        waiting = bytearray(4)
        fcntl.ioctl(self._descriptor, termios.FIONREAD, waiting)
        size = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        free: int = size - struct.unpack("i", waiting)[0] - select.PIPE_BUF
        return max(free, select.PIPE_BUF)
