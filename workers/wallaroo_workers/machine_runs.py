"""All clusters of this machine, found through the files that their processes hold open.

The initializer of a cluster holds its run file open for as long as it lives, and the kernel says in
``/proc/PID/fd`` which files a process has open. So nothing has to be registered anywhere: no entry
can be left behind, a changed working folder or temporary folder does not matter, and the kernel
decides who may look: a user sees clusters of their own, root sees all.

What a process of another user has open is that user's to choose. So only regular files are read, up
to a size, without waiting, and their content is checked before it is shown.
"""

import contextlib
import json
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wallaroo_workers.run_file import is_run_file

PROC = Path("/proc")
FACTS_BYTES_MAX = 1 << 20
COMMAND = "wallaroo-run"


@dataclass(frozen=True, slots=True)
class MachineRuns:
    """What was found."""

    runs: list[dict[str, Any]]
    """Of each run what its file says, and ``folder`` and ``user``; without secrets."""
    hidden_count: int
    """Clusters of other users that this user may not look into."""


def machine_runs(proc: Path = PROC) -> MachineRuns:
    """Look at all processes of this machine."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    hidden_count = 0
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            handles = os.listdir(process / "fd")
        except PermissionError:
            hidden_count += _starts_a_cluster(process)
            continue
        except OSError:
            continue  # it has ended meanwhile
        for identity, facts in _runs_of(process, handles):
            found.setdefault(identity, facts)
    return MachineRuns([*found.values()], hidden_count)


def _runs_of(process: Path, handles: list[str]) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    for handle in handles:
        path = process / "fd" / handle
        with contextlib.suppress(OSError, ValueError):
            target = os.readlink(path)
            if not is_run_file(Path(target)):
                continue
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(file)
                if not stat.S_ISREG(status.st_mode):
                    continue
                facts = _checked(json.loads(os.read(file, FACTS_BYTES_MAX)))
            finally:
                os.close(file)
            facts["folder"] = str(Path(target).parent.parent)
            facts["user"] = _user(process.stat().st_uid)
            yield (status.st_dev, status.st_ino), facts


def _checked(facts: Any) -> dict[str, Any]:
    """Return the facts that are shown. Raises ``ValueError`` unless they have their types."""
    match facts:
        case {
            "pid": int(pid),
            "application": str(application),
            "control": str(control),
            "dashboard": str(dashboard),
            "workers": list(workers),
        }:
            names = [each["name"] for each in workers if _is_worker(each)]
            return {
                "pid": pid,
                "application": application,
                "control": control,
                "dashboard": dashboard,
                "workers": [{"name": name} for name in names],
            }
    raise ValueError("this is not a run file")


def _is_worker(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _starts_a_cluster(process: Path) -> bool:
    """Say whether the process of another user looks like the initializer of a cluster."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    is_command = any(word.rpartition("/")[2] == COMMAND for word in words[:2])
    return is_command and not any(word.split("=")[0] in ("--join", "--plan") for word in words)
