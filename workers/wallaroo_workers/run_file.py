"""Files by which commands find the clusters that were started in a folder.

While it runs, ``wallaroo-run`` keeps ``.wallaroo/cluster-PID-TOKEN.json`` in its current folder.
Only its own user may read the file, because it contains the secret. The process also holds a lock
on the file. However the process ends, the system releases the lock, so a file without a lock is
left over and is removed.

Containers and hosts may share the folder. In each container the initializer may be process 1, so
names have a random part. Locks of another kernel cannot be seen on every file system, so a file of
another host is left alone, whether it is locked or not.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from wallaroo.errors import ProtocolError
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.security import is_loopback
from wallaroo_workers.storage.signs import boot_id, machine_id, space

log = get_logger()

FOLDER = ".wallaroo"
PATTERN = "cluster-*.json"
WRITTEN_ON = "written_on"
"""The fact that says where the process runs; removed from what commands get."""
TOKEN_BYTES = 4
ATTEMPTS = 3


class RunFile:
    """The file of this process. If it cannot be written, that is a warning and the run goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        name = f"cluster-{os.getpid()}-{secrets.token_hex(TOKEN_BYTES)}.json"
        self._path = self._folder / name
        self._facts: dict[str, Any] = {"pid": os.getpid(), WRITTEN_ON: _here()}
        self._held: int | None = None
        self._is_over = False

    def write(self, **facts: Any) -> None:
        """Add these facts and write all of them as JSON, completely or not at all."""
        if self._is_over:
            return
        self._facts |= facts
        try:
            file = self._written()
        except OSError as error:
            log.warning(
                "run_file.write_failed",
                path=str(self._path),
                reason=error.strerror,
                hint="wallaroo-cluster needs --cluster and the secret then",
            )
            return
        self._release()
        self._held = file

    def _written(self) -> int:
        """Write the file; return the descriptor that holds its lock."""
        draft = self._path.with_suffix(".draft")
        file = self._opened(draft)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(file, json.dumps(self._facts, indent=2).encode() + b"\n")
            draft.replace(self._path)
        except OSError:
            os.close(file)
            raise
        return file

    def _opened(self, draft: Path) -> int:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                return ours(os.open(draft, flags, 0o600))
            except FileNotFoundError:
                # Another run that ended has removed the folder, which was empty then.
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def remove(self) -> None:
        """Remove the file at the end of the run; nothing is written after that."""
        self._is_over = True
        if self._held is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # fails if other runs have files there
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def is_run_file(path: Path) -> bool:
    """Return whether a file has the name and the folder of a run file."""
    return path.parent.name == FOLDER and path.match(PATTERN)


def living_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the facts of all living runs in a folder, by process id; remove files left over.

    Runs that cannot be reached from here are left out: those of another container or host that
    listen on its loopback address.
    """
    found: list[dict[str, Any]] = []
    here = _here()
    for path in (folder / FOLDER).glob(PATTERN):
        with contextlib.suppress(OSError, ValueError):
            facts = _facts_if_held(path, here)
            if facts is not None and _is_reached(facts, facts.pop(WRITTEN_ON, here), here):
                found.append(facts)
    return sorted(found, key=lambda facts: int(facts["pid"]))


def _facts_if_held(path: Path, here: dict[str, str]) -> dict[str, Any] | None:
    with path.open("rb") as file:
        try:
            # Shared, so that two commands at the same time do not see each other's lock.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            facts = json.load(file)
            return facts if isinstance(facts, dict) else None
        is_same = os.fstat(file.fileno()).st_ino == path.stat().st_ino
        if is_same and _is_of(file.read(), here):
            path.unlink()
    return None


def _is_of(text: bytes, here: dict[str, str]) -> bool:
    """Return whether a run file was written on this machine, now or before it was started again."""
    try:
        there = json.loads(text).get(WRITTEN_ON, here)
        kernels = [place["boot"] for place in (there, here)]
        names = [(place["host"], place["machine"]) for place in (there, here)]
    except (ValueError, AttributeError, TypeError, KeyError):
        return False
    return kernels[0] == kernels[1] or names[0] == names[1]


def _is_reached(facts: dict[str, Any], there: dict[str, str], here: dict[str, str]) -> bool:
    is_same_network = there.get("boot") == here["boot"] and there.get("net") == here["net"]
    if is_same_network:
        return True
    with contextlib.suppress(KeyError, ProtocolError):
        return not is_loopback(split_address(facts["control"])[0])
    return False


def _here() -> dict[str, str]:
    """Return where this process runs."""
    return {
        "host": socket.gethostname(),
        "machine": machine_id(),
        "boot": boot_id(),
        "net": space("net"),
    }
