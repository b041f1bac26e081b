"""How fast the CPUs are while something is measured: the bare loop runs beside it on each of them.

CPUs of a shared machine change their speed one by one, for seconds or minutes, when another tenant
uses the other half of a core. So a cluster is not compared with a bare loop that ran before or
after it. Each of its processes is bound to one CPU; on each of these CPUs the bare loop runs for a
moment several times a second, while the cluster's processes there stand still; and what they used
between two of these moments is compared with what the bare loop took at them.
"""

import json
import os
import signal
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from tests.bench.bare_loop import Look, Task
from tests.bench.process_tree import process_ids
from tests.bench.processes import Cluster, Process, send_signal, start_module
from tests.bench.scenarios import Sample, Scenario

METHOD = (
    "Each process of a cluster is bound to one CPU. On each of these the bare loop runs beside it, "
    "at about a tenth of the CPU's time, and CPU seconds are divided by what the bare loop took on "
    "the same CPU at the same time. Shown are the median of the rounds and their quartiles."
)


@dataclass(frozen=True, slots=True)
class Used:
    """CPU time, and what it is worth."""

    cpu_s: float
    bare_records: float
    """How many records the bare loop would have come through, then and there."""

    def __add__(self, other: "Used") -> "Used":
        return Used(self.cpu_s + other.cpu_s, self.bare_records + other.bare_records)

    def __sub__(self, other: "Used") -> "Used":
        return Used(self.cpu_s - other.cpu_s, self.bare_records - other.bare_records)


NOTHING = Used(0.0, 0.0)


def used_between(looks: Sequence[Look]) -> Used:
    """Return what the watched processes used from the first look to the last."""
    total = NOTHING
    for before, after in pairwise(looks):
        cpu_s = after.used_s - before.used_s
        speed = (1 / before.bare_s + 1 / after.bare_s) / 2
        total += Used(cpu_s, cpu_s * speed)
    return total


def mean_speed(looks: Sequence[Look]) -> float:
    """Return how many records a CPU second of the bare loop was good for."""
    return statistics.fmean(1 / look.bare_s for look in looks)


class Beside:
    """The bare loop on some CPUs, beside processes that are bound to them."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes

    def begin(self) -> None:
        """Begin to measure; each has made its states and looked at its CPU on return."""
        for process in self._processes:
            _wait_until(process, "ready")
        self._go_on()
        for process in self._processes:
            _wait_until(process, "begun")

    def end(self) -> list[list[Look]]:
        """Stop measuring; return the looks at each CPU."""
        self._go_on()
        return [
            [Look(**look) for look in json.loads(_next_line(process))]
            for process in self._processes
        ]

    def _go_on(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()


@contextmanager
def bare_loops(
    scenario: Scenario,
    sample: Sample,
    pids: Mapping[int, Sequence[int]],
    *,
    below: int | None = None,
) -> Iterator[Beside]:
    """Start the bare loop on each of these CPUs, to watch the processes that are bound to it.

    ``below`` with all that stem from it stand still, too, wherever they are bound.
    """
    with ExitStack() as stack:
        processes = []
        for cpu, watched in pids.items():
            task = Task(
                module=scenario.module,
                arguments=scenario.arguments,
                sample=str(sample.path),
                fill=None if sample.fill is None else str(sample.fill),
                frame_bytes=sample.frame_bytes,
                cpu=cpu,
                pids=tuple(watched),
                below=below,
                **asdict(scenario.stretch),
            )
            process = start_module(
                "tests.bench.bare_loop", json.dumps(asdict(task)), stdin=subprocess.PIPE
            )
            stack.callback(_end, process, watched, below)
            processes.append(process)
        yield Beside(processes)


def bind(cluster: Cluster) -> dict[int, list[int]]:
    """Bind workers to CPUs in turn, the initializer to the first; return process ids by CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    pids = defaultdict(list)
    for number, pid in enumerate(cluster.worker_pids):
        pids[cpus[number % len(cpus)]].append(pid)
    pids[cpus[0]].append(cluster.process.pid)
    for cpu, bound in pids.items():
        for pid in bound:
            bind_process(pid, {cpu})
    return pids


def bind_process(pid: int, cpus: set[int]) -> None:
    """Bind a process, all its threads, to some CPUs; what it starts from then on is bound, too."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)


def _wait_until(process: Process, state: str) -> None:
    line = _next_line(process).strip()
    assert line == state, f"the bare loop said {line!r} instead of {state!r}"


def _next_line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


def _end(process: Process, watched: Sequence[int], below: int | None) -> None:
    """End it wherever it is, and let go on what it may have stopped."""
    process.kill()
    process.communicate()
    send_signal([*watched, *process_ids(below)], signal.SIGCONT)
