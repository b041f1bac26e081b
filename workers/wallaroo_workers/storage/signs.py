"""Signs that an owner of checkpoints is alive: shows our own and checks those of others."""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import time
from pathlib import Path

from wallaroo.checkpoint.owner import Evidence, Owner
from wallaroo_workers.forks import ours

LOCK_NAME = "owner-lock"
TOKEN_BYTES = 16
_BEACON = "\0wallaroo-owner-"
"""Begins names of Unix sockets that are in no folder: the system frees them with their process."""
_PROC = Path("/proc")
_STATE, _STARTED = 0, 19
"""Of what stands behind the name in ``/proc/PID/stat``, counted from 0."""


class Signs:
    """The signs of one process; `folder` is the store, if it is one.

    The system ends all of them with the process, however that ends.
    """

    def __init__(self, folder: Path | None, application: str) -> None:
        self._folder = folder
        self._lock: int | None = None
        self.me = Owner(
            token=secrets.token_hex(TOKEN_BYTES),
            host=socket.gethostname(),
            machine=machine_id(),
            boot=boot_id(),
            pid=os.getpid(),
            started_ticks=int(_stat("self")[_STARTED]) if _is_proc_ours() else 0,
            pid_space=space("pid"),
            net_space=space("net"),
            application=application,
            since_unix_s=time.time(),
        )
        self._beacon = ours(socket.socket(socket.AF_UNIX))
        with contextlib.suppress(OSError):
            self._beacon.bind(_BEACON + self.me.token)

    def look(self, owner: Owner | None) -> Evidence:
        """Return what can be seen of `owner`; try to get the folder's lock, if it is not held."""
        has_lock = self._has_lock()
        if owner is None:
            return Evidence(has_lock=has_lock)
        return Evidence(_process_lives(owner), _beacon_is_lit(owner), has_lock)

    def close(self, *, removes_lock: bool = False) -> None:
        """Show none of them any more."""
        self._beacon.close()
        if self._lock is not None:
            if removes_lock and self._folder is not None:
                with contextlib.suppress(OSError):
                    (self._folder / LOCK_NAME).unlink()
            os.close(self._lock)
            self._lock = None

    def _has_lock(self) -> bool | None:
        if self._folder is None or self._lock is not None:
            return None if self._folder is None else True
        try:
            lock = ours(os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError:
            return None  # what is created next says why
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            # Any other error: this file system has no locks.
            return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
        self._lock = lock
        return True


def boot_id() -> str:
    """Return what names this start of the kernel, the same in all containers; empty if unknown."""
    return _text(_PROC / "sys/kernel/random/boot_id")


def machine_id() -> str:
    """Return what names this installation of the system; empty if unknown."""
    return _text(Path("/etc/machine-id"))


def space(kind: str) -> str:
    """Return what names the namespace ``pid`` or ``net`` of this process; empty if unknown."""
    try:
        return os.readlink(_PROC / "self/ns" / kind)
    except OSError:
        return ""


def _process_lives(owner: Owner) -> bool | None:
    """Return whether a process of this number and start runs here."""
    if not owner.started_ticks or not _is_proc_ours():
        try:
            os.kill(owner.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return None  # a process of that number, but perhaps another one
    fields = _stat(str(owner.pid))
    if not fields:
        return False
    return fields[_STATE] not in "ZX" and int(fields[_STARTED]) == owner.started_ticks


def _beacon_is_lit(owner: Owner) -> bool | None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(_BEACON + owner.token)
        except OSError as error:
            return True if error.errno == errno.EADDRINUSE else None
    return False


def _is_proc_ours() -> bool:
    """Return whether the numbers in ``/proc`` are those of this process's namespace."""
    try:
        return os.readlink(_PROC / "self") == str(os.getpid())
    except OSError:
        return False


def _stat(pid: str) -> list[str]:
    """Return the fields of a process from its state on; none if there is no such process."""
    # The name before them may hold anything, also spaces and brackets.
    return _text(_PROC / pid / "stat").rpartition(")")[2].split()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
