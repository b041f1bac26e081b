"""Folders in the system's temporary one, each for one worker; nobody else's is left there for long.

Whoever makes one holds a lock on it. The system drops the lock with its holder, however that ends,
so a folder without a lock was left behind by a process that was killed, and whoever comes next
removes it.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile

from wallaroo_workers.forks import ours

PREFIX = "wallaroo-worker-"
ATTEMPTS = 3


class PrivateFolder:
    """A new folder that only this user reaches; ``path`` is empty where there can be none."""

    def __init__(self) -> None:
        self.path = ""
        self._lock: int | None = None
        for _ in range(ATTEMPTS):
            # Whoever tidies up may have taken it between its making and its lock.
            with contextlib.suppress(OSError):
                self.path, self._lock = _made()
                return

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def remove_leftovers() -> None:
    """Remove what processes of this user that were killed have left."""
    try:
        names = os.listdir(tempfile.gettempdir())
    except OSError:
        return
    for name in names:
        if name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                _remove_if_left(os.path.join(tempfile.gettempdir(), name))


def _made() -> tuple[str, int]:
    path = tempfile.mkdtemp(prefix=PREFIX)
    folder = ours(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        with contextlib.suppress(PermissionError):
            _lock(folder)
        os.stat(path)
    except OSError:
        os.close(folder)
        raise
    return path, folder


def _lock(folder: int) -> None:
    """Lock a folder.

    Raises ``BlockingIOError`` where it is locked, ``PermissionError`` where the file system has no
    locks for folders (NFS): nobody removes what is left there.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise PermissionError(error.errno, error.strerror) from error


def _remove_if_left(path: str) -> None:
    """Remove one, unless it has an owner, another user, or anything that is not ours in it."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder).st_uid != os.getuid():
            return
        _lock(folder)
        with os.scandir(path) as found:
            sockets = [each.path for each in found if _is_socket(each)]
        for each in sockets:
            os.unlink(each)
        os.rmdir(path)
    finally:
        os.close(folder)


def _is_socket(entry: os.DirEntry[str]) -> bool:
    return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
