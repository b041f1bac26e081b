"""The limit: the functions of an application called in one process, without any runtime.

Runs beside what is measured, as a process of its own on each of its CPUs (see ``speed``), with its
:class:`Task` as JSON. It says when it is ready. A byte on its standard input begins the
measurement, which it answers; another one ends it. In between it runs a stretch of the loop several
times a second. Right before each stretch it reads how much CPU time the watched processes have
used, so it is known what the same CPU did for the bare loop at that time.

The watched processes stand still during a stretch: taking turns every few milliseconds, each would
push the other out of the caches. The beginning of a stretch does not count for the same reason.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

from tests.bench.process_tree import process_ids
from tests.bench.processes import APPLICATIONS, cpu_s, send_signal

HEADER_BYTES = 4
BATCH_RECORDS = 10_000
PAUSE_LENGTHS = 8
"""How many times as long as a stretch the pause behind it is, by the clock on the wall.

Where other programs make stretches long, they must not take more of what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to run, where, for how long, beside which processes."""

    module: str
    arguments: tuple[str, ...]
    sample: str
    """A file of frames of one size."""
    fill: str | None
    """Another one, of the same size, whose records make all states before anything is measured."""
    frame_bytes: int
    cpu: int
    pids: tuple[int, ...]
    below: int | None
    """A process that stands still, too, with all that stem from it; what they use is not read."""
    warm_up_s: float
    counted_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """One stretch of the bare loop, and what the processes had used right before it."""

    used_s: float
    """CPU seconds of the watched processes since they were started."""
    bare_s: float
    """CPU seconds of the bare loop for one record."""


class BareLoop:
    """The loop over a file's payloads, which are new objects each time, as from a socket."""

    def __init__(self, task: Task) -> None:
        self._bare = importlib.import_module(task.module).Bare([*task.arguments])
        self._frame_bytes = task.frame_bytes
        if task.fill is not None:
            self._fill(Path(task.fill).read_bytes())
        self._data = Path(task.sample).read_bytes()
        self._starts = cycle(range(0, len(self._data), task.frame_bytes))

    def run(self, count: int) -> float:
        """Run over so many records; return CPU seconds for one."""
        return self._run(_payloads(self._data, islice(self._starts, count), self._frame_bytes))

    def count_for(self, duration_s: float) -> int:
        """Return how many records take so long."""
        count = 1
        while (took_s := count * self.run(count)) < duration_s:
            count *= 2
        return max(round(count * duration_s / took_s), 1)

    def _fill(self, data: bytes) -> None:
        starts = iter(range(0, len(data), self._frame_bytes))
        while payloads := _payloads(data, islice(starts, BATCH_RECORDS), self._frame_bytes):
            self._run(payloads)

    def _run(self, payloads: list[bytes]) -> float:
        started_s = time.process_time()
        self._bare.run(payloads)
        return (time.process_time() - started_s) / len(payloads)


def main() -> None:
    """Run stretches between two bytes on standard input."""
    task = Task(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, {task.cpu})
    sys.path.insert(0, str(APPLICATIONS))
    loop = BareLoop(task)
    warm_up, stretch = loop.count_for(task.warm_up_s), loop.count_for(task.counted_s)

    def look() -> Look:
        used_s = sum(map(cpu_s, task.pids))
        with standing_still([*task.pids, *process_ids(task.below)]):
            loop.run(warm_up)
            return Look(used_s, loop.run(stretch))

    _say("ready")
    os.read(sys.stdin.fileno(), 1)
    looks = [look()]
    _say("begun")
    pause_s = 0.0
    while not select.select([sys.stdin], [], [], pause_s)[0]:
        began_s = time.monotonic()
        looks.append(look())
        pause_s = PAUSE_LENGTHS * (time.monotonic() - began_s)
    looks.append(look())
    _say(json.dumps([asdict(one) for one in looks]))


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Stop the processes meanwhile; some may have ended."""
    try:
        send_signal(pids, signal.SIGSTOP)
        yield
    finally:
        send_signal(pids, signal.SIGCONT)


def _payloads(data: bytes, starts: "islice[int]", frame_bytes: int) -> list[bytes]:
    return [data[start + HEADER_BYTES : start + frame_bytes] for start in starts]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
