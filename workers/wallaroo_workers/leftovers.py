"""Finds and ends child processes of an application after their worker has ended.

A worker that is killed cannot end its children, and its successor starts its own. Each worker leads
a session, which its children belong to unless they leave it, and has a mark in its environment,
which they inherit. So children are found whether they were forked or started by ``subprocess``, and
even if their own parents have ended.
"""

import contextlib
import os
import secrets
import signal

MARK = "WALLAROO_WORKER_MARK"
"""The environment variable of a worker and of all processes that it starts."""

_ROUNDS_MAX = 20
"""Limits how often new processes are searched for, because processes may start others."""


def new_mark() -> str:
    """Return a value for ``MARK`` that no other worker has."""
    return secrets.token_hex(16)


class Leftovers:
    """The child processes that a worker leaves when it ends."""

    def __init__(self, worker: int, mark: str) -> None:
        self._worker = worker
        self._mark = f"{MARK}={mark}\0".encode() if mark else b""

    @classmethod
    def of_this_process(cls) -> "Leftovers":
        """Return those of the present process, which is a worker."""
        return cls(os.getpid(), os.environ.get(MARK, ""))

    def end(self) -> int:
        """Kill all of them, but never the present process; return their number."""
        ended: set[int] = set()
        for _ in range(_ROUNDS_MAX):
            found = [pid for pid in _processes() if self._has(pid)]
            if not found:
                break
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            ended.update(found)
        return len(ended)

    def end_own(self) -> None:
        """Kill all of them if the present process is the worker and not a forked copy."""
        if os.getpid() == self._worker:
            self.end()

    def _has(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                state, _, _, session, *_ = file.read().rpartition(b")")[2].split()
            if state in b"ZX":
                return False
            if int(session) == self._worker:
                return True
            with open(f"/proc/{pid}/environ", "rb") as file:
                return bool(self._mark) and self._mark in file.read() + b"\0"
        return False


def _processes() -> list[int]:
    """Return the ids of all other processes; none on systems without /proc."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal() and int(name) != os.getpid()]
