"""All clusters of this machine, found through the files that their processes hold open.

The initializer of a cluster keeps its run file open while it lives, and ``/proc/PID/fd`` lists the
open files of a process. So nothing has to be registered: no entry can be left behind, a changed
working or temporary folder does not matter, and the kernel decides on access: users see their own
clusters, root sees all.

Another user chooses freely which files a process has open. So only regular files are read, up to a
limit, without blocking, and their content is checked before it is shown.
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
MODULE = ["-m", "wallaroo"]


@dataclass(frozen=True, slots=True)
class MachineRuns:
    """The clusters that were found."""

    runs: list[dict[str, Any]]
    """For each run the content of its file without secrets, with ``folder`` and ``user``."""
    hidden_count: int
    """Clusters of other users that this user may not look into."""


def machine_runs(proc: Path = PROC) -> MachineRuns:
    """Search all processes of this machine for clusters."""
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
    """Return the facts to show. Raises ``ValueError`` if one has another type."""
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
    """Return whether another user's process looks like the initializer of a cluster."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    is_command = any(word.rpartition("/")[2] == COMMAND for word in words[:2])
    is_command = is_command or words[1:3] == MODULE
    return is_command and not any(word.split("=")[0] in ("--join", "--plan") for word in words)
