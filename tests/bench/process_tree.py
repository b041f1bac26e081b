"""A process and all that stem from it, as the system tells them."""

from collections import defaultdict
from pathlib import Path


def process_ticks(root: int) -> dict[int, int]:
    """Return, by process id, user and system time in ticks of a process and all that stem from it.

    Times of ended processes are in those of their parents; empty when there is no such process.
    """
    ticks: dict[int, int] = {}
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
        pid = int(stat.parent.name)
        ticks[pid] = sum(map(int, fields[11:15]))
        children[int(fields[1])].append(pid)
    stem, below = {}, [root] if root in ticks else []
    while below:
        pid = below.pop()
        stem[pid] = ticks[pid]
        below += children[pid]
    return stem


def process_ids(root: int | None) -> list[int]:
    """Return a process and all that stem from it, by id; none for ``None``."""
    return [] if root is None else [*process_ticks(root)]
