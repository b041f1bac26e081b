"""Files by which commands find the clusters that were started in a folder.

While it runs, ``wallaroo-run`` keeps ``.wallaroo/cluster-PID.json`` in its current folder, for its
own user only: the secret stands in it. It also holds a lock on the file. The system drops the lock
with the process, however that ends, so a file without one is left over, and removed.
"""

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import structlog

from wallaroo_workers.forks import ours

log = structlog.get_logger()

FOLDER = ".wallaroo"


class RunFile:
    """The file of this process. A place where it cannot be written is a warning, not an end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._path = self._folder / f"cluster-{os.getpid()}.json"
        self._facts: dict[str, Any] = {"pid": os.getpid()}
        self._held: int | None = None
        self._is_over = False

    def write(self, **facts: Any) -> None:
        """Write these facts and those of before as JSON, whole or not at all."""
        if self._is_over:
            return
        self._facts |= facts
        draft = self._path.with_suffix(".draft")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            file = ours(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(file, json.dumps(self._facts, indent=2).encode() + b"\n")
                draft.replace(self._path)
            except OSError:
                os.close(file)
                raise
        except OSError as error:
            log.warning(
                "run_file.not_written",
                path=str(self._path),
                reason=error.strerror,
                hint="wallaroo-cluster needs --cluster and the secret then",
            )
            return
        self._release()
        self._held = file

    def remove(self) -> None:
        """The run is over: nothing is written any more."""
        self._is_over = True
        if self._held is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # unless it has others
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def living_runs(folder: Path) -> list[dict[str, Any]]:
    """Return what the run files in a folder say, by process id; remove those left over."""
    found: list[dict[str, Any]] = []
    for path in (folder / FOLDER).glob("cluster-*.json"):
        with contextlib.suppress(OSError, ValueError):
            facts = _facts_if_held(path)
            if facts is not None:
                found.append(facts)
    return sorted(found, key=lambda facts: int(facts["pid"]))


def _facts_if_held(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        try:
            # Shared, so that two commands that look at the same moment do not meet each other's.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            facts = json.load(file)
            return facts if isinstance(facts, dict) else None
        if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            path.unlink()
    return None
