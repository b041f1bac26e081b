"""The rows of sliding windows, sessions and timers, without a cluster.

Each runs in a fresh process, in which it takes turns with the same by hand (see
``tests.bench.timing``). Times are CPU times of this machine; ratios are of the same moments.
"""

import json
from collections.abc import Callable
from pathlib import Path

from tests.bench.processes import start_module
from tests.bench.rows.row import Result

Numbers = dict[str, float]


class TimingRow:
    """One number of a run of ``tests.bench.timing``, and others of it beside that."""

    group = "timing"

    def __init__(self, name: str, unit: str, target: float, value: Callable[[Numbers], float],
                 *arguments: str) -> None:  # fmt: skip
        self.name = name
        self._unit = unit
        self._target = target
        self._value = value
        self._arguments = arguments
        self._runs: list[Numbers] = []

    def measure(self, folder: Path) -> None:
        """Measure it once, in a process that does nothing else."""
        process = start_module("tests.bench.timing", "--json", *self._arguments)
        output, _ = process.communicate()
        assert process.returncode == 0, f"{self.name} has failed"
        self._runs.append(json.loads(output))

    def result(self) -> Result:
        """Return the number of each run."""
        last = self._runs[-1]
        return Result(
            name=self.name,
            group=self.group,
            unit=self._unit,
            values=[self._value(run) for run in self._runs],
            target=self._target,
            more=last,
        )


def _ratio(name: str, by_hand: str) -> Callable[[Numbers], float]:
    return lambda run: run[name] / run[by_hand]


def timing_rows() -> list[TimingRow]:
    """Return all of them."""
    unit_ns = "ns of CPU for each key and slide, 1,000 keys"
    return [
        *(
            TimingRow(f"sliding, {count} panes", unit_ns, 700.0,
                      lambda run, name=f"{count} panes": run[name], "sliding")  # type: ignore[misc]
            for count in (4, 60)
        ),
        *(
            TimingRow(f"sessions, {count:,} keys", "times the CPU of a loop by hand", 0.8,
                      _ratio("sessions", "plain loop"), "sessions", "--keys", str(count))
            for count in (1_000, 50_000)
        ),
        TimingRow("timers, set", "ns of CPU for each of a million", 1_000.0,
                  lambda run: run["slots"], "set"),
        TimingRow("timers, fired", "ns of CPU for each of a million", 1_500.0,
                  lambda run: run["slots"], "fired"),
        TimingRow("timers, fired by hand", "times the CPU of heapq", 0.3,
                  _ratio("slots", "heapq"), "fired"),
        TimingRow("timers, memory", "bytes for each of a million, without its key", 150.0,
                  lambda run: run["bytes"], "memory"),
    ]  # fmt: skip
