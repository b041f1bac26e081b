"""The file that shows scripts that the application is ready, and its addresses."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger

log = get_logger()

TOKEN_BYTES = 4


class ReadyFile:
    """A file that exists only while the application is ready, and is always complete.

    The run holds a lock on it. So a second start with the same path, which may be refused, does not
    remove the file of an active run.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path is not None else None
        self._held: int | None = None
        if self._path is not None and not self._path.absolute().parent.is_dir():
            raise ConfigError(
                f"there is no folder {self._path.parent} for the ready file",
                hint="make it, or give another place with --ready-file",
            )

    def begin(self) -> None:
        """Remove the file of an earlier run that was killed."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as left:
                if _lock(left.fileno()):
                    self._path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass  # nothing is left
        except OSError as error:
            self._log_left(self._path, error)

    def write(self, facts: dict[str, Any]) -> None:
        """Write ``facts`` as JSON."""
        if self._path is None:
            return
        # A process id is not unique enough: processes in several containers may have the same.
        draft = self._path.with_name(f"{self._path.name}.{secrets.token_hex(TOKEN_BYTES)}")
        file = ours(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            _lock(file)
            with open(file, "w", encoding="utf-8", closefd=False) as text:
                text.write(json.dumps(facts, indent=2) + "\n")
            draft.replace(self._path)
        except OSError:
            os.close(file)
            draft.unlink(missing_ok=True)
            raise
        self._release()
        self._held = file

    def remove(self) -> None:
        """Remove the file: the application is not ready. If that fails, log it and continue."""
        if self._path is None or self._held is None:
            return
        try:
            if os.fstat(self._held).st_ino == self._path.stat().st_ino:
                self._path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            pass  # somebody has removed it, perhaps with its folder
        except OSError as error:
            self._log_left(self._path, error)
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    @staticmethod
    def _log_left(path: Path, error: OSError) -> None:
        log.warning(
            "ready_file.remove_failed",
            path=str(path),
            reason=error.strerror,
            hint="it tells of a readiness that has ended; remove it",
        )


def _lock(file: int) -> bool:
    """Lock a file, if its file system can; return ``False`` if another process holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # this file system has no locks
    return True
