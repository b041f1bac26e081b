"""The rows of what runs in the calling process: ``wallaroo.run(workers=0)`` and ``collect``.

Each runs in a fresh process, which measures it and the bare loop in turn (see ``in_python``).
"""

import json
from pathlib import Path

from tests.bench.processes import start_module
from tests.bench.rows.row import Result


class InPythonRow:
    """One of the two."""

    group = "one by one"

    def __init__(self, name: str, what: str, unit: str, target: float, *, is_rate: bool) -> None:
        self.name = name
        self._what = what
        self._unit = unit
        self._target = target
        self._is_rate = is_rate
        self._values: list[float] = []

    def measure(self, folder: Path) -> None:
        """Measure it once, in a process that does nothing else."""
        process = start_module("tests.bench.in_python", self._what)
        output, _ = process.communicate()
        assert process.returncode == 0, f"{self.name} has failed"
        self._values.append(json.loads(output))

    def result(self) -> Result:
        """Return the ratio or the rate."""
        return Result(
            name=self.name,
            group=self.group,
            unit=self._unit,
            values=self._values,
            target=self._target,
            more_is_better=self._is_rate,
        )


def in_python_rows() -> list[InPythonRow]:
    """Return both rows."""
    return [
        InPythonRow(
            "run, no workers", "run", "times the CPU of the bare loop", 1.15, is_rate=False
        ),
        InPythonRow("collect", "collect", "records a second of CPU", 100_000, is_rate=True),
    ]
