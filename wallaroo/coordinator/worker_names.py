"""Names workers: ``w1``, ``w2`` and so on. A run does not choose a name twice by itself.

A worker that a user names may come back after it has left. Its new process has a higher epoch, so
it writes other journals and parts.
"""

from collections.abc import Collection, Iterable, Sequence

from wallaroo.names import WorkerName

LISTED_MAX = 5
"""Most workers that one log line names; if many join, each causes a line."""


def first_names(count: int) -> tuple[WorkerName, ...]:
    """Return the names of the workers that a run starts with."""
    return tuple(WorkerName(f"w{number}") for number in range(1, count + 1))


def next_names(used: Collection[WorkerName], count: int) -> tuple[WorkerName, ...]:
    """Return names for more workers, given all names that this run has used."""
    last = max(map(_number, used), default=0)
    return tuple(WorkerName(f"w{last + number}") for number in range(1, count + 1))


def listed(workers: Iterable[WorkerName]) -> str:
    """Return names for a log line: the first ones, and how many more there are."""
    names = sorted(workers)
    more = len(names) - LISTED_MAX
    return ", ".join([*names[:LISTED_MAX], *([f"and {more} more"] if more > 0 else [])])


def _number(worker: WorkerName) -> int:
    digits = worker.removeprefix("w")
    return int(digits) if digits.isdecimal() else 0


def refusal(
    workers: Sequence[WorkerName],
    resting: Collection[WorkerName],
    added: Sequence[WorkerName],
    leaving: Sequence[WorkerName],
) -> str:
    """Return why this resize is not possible; empty if it is.

    ``resting`` are the names that cannot come back yet.
    """
    named = [*added, *leaving]
    if not named:
        return "no worker is to join and none to leave"
    if len(set(named)) < len(named):
        return "a worker is named twice"
    for worker in added:
        if worker in workers:
            return f"there is a worker {worker} already; give another name"
        if worker in resting:
            return (
                f"worker {worker} has left, and its last results are being delivered; ask again "
                "after two checkpoints"
            )
    for worker in leaving:
        if worker not in workers:
            return f"there is no worker {worker}; there are {', '.join(workers)}"
    if len(workers) + len(added) == len(leaving):
        return f"too few workers: of {len(workers)} one at least has to stay"
    return ""
