"""Private folders of workers in the system's temporary folder, which are always removed in the end.

The process that makes a folder holds a lock on it. The system releases the lock when this process
ends, even if it is killed. So a folder without a lock is a leftover, and the next run removes it.
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
    """A new folder that only this user can access; ``path`` is empty if it cannot be made."""

    def __init__(self) -> None:
        self.path = ""
        self._lock: int | None = None
        for _ in range(ATTEMPTS):
            # Another run that removes leftovers may remove the folder before it is locked.
            with contextlib.suppress(OSError):
                self.path, self._lock = _made()
                return

    def remove(self) -> None:
        """Remove the folder with all its contents."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def remove_leftovers() -> None:
    """Remove folders that killed processes of this user have left."""
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

    Raises ``BlockingIOError`` if it is already locked, and ``PermissionError`` if the file system
    has no locks for folders (NFS); leftovers stay there.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise PermissionError(error.errno, error.strerror) from error


def _remove_if_left(path: str) -> None:
    """Remove a folder, unless it is in use, is another user's, or contains other files."""
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
