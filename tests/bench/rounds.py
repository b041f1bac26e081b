"""One comparison on a machine whose speed changes: the baseline runs before and after.

What is measured stands between two runs of its baseline and is compared with the mean of the two.
When these two differ by more than a quarter, the machine has changed speed in between: the attempt
is dropped and repeated, up to twice; if none was steady, the steadiest counts. Only the baselines
decide about that, never what is measured beside them. The first baseline is saved when the same
one has just ended, as the last of the comparison before.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.cluster_run import Measured

REPEATS_MAX = 2
DRIFT_MAX = 0.25
JUST_S = 1.0
"""How long ago a baseline may have ended to count as run right before."""

METHOD = (
    "Each round measures the baseline right before and right after each run and compares the run "
    f"with the mean of the two; where these differ by more than {DRIFT_MAX:.0%} the attempt is "
    f"repeated, up to {REPEATS_MAX} times ('repeated'); if none was steady, the steadiest counts "
    "('unsteady'). Shown are the median of the rounds and their quartiles."
)

Value = Callable[[Measured], float]
"""What is compared of two measurements."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run and the baselines round it."""

    run: Measured
    before: Measured
    after: Measured

    def baseline(self, value: Value) -> float:
        """Mean of the two baselines."""
        return (value(self.before) + value(self.after)) / 2

    def ratio(self, value: Value) -> float:
        """How many times the baseline the run is."""
        return value(self.run) / self.baseline(value)

    def drift(self, value: Value) -> float:
        """By what part of their mean the two baselines differ."""
        return abs(value(self.before) - value(self.after)) / self.baseline(value)


@dataclass(frozen=True, slots=True)
class Round:
    """The attempt that counts, and how many were made for it."""

    attempt: Attempt
    repeated_count: int
    is_steady: bool


class Beside:
    """Measures runs beside their baselines."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self._last: tuple[object, Measured, float] | None = None

    def measure(
        self, key: object, baseline: Callable[[], Measured], run: Callable[[], Measured]
    ) -> Round:
        """Measure until an attempt is steady; equal keys stand for equal baselines."""
        attempts: list[Attempt] = []
        while True:
            before = self._just_measured(key) or baseline()
            measured = run()
            after = baseline()
            self._last = (key, after, time.monotonic())
            attempts.append(Attempt(measured, before, after))
            is_steady = attempts[-1].drift(self._value) <= DRIFT_MAX
            if is_steady or len(attempts) > REPEATS_MAX:
                steadiest = min(attempts, key=lambda attempt: attempt.drift(self._value))
                return Round(steadiest, len(attempts) - 1, is_steady)

    def _just_measured(self, key: object) -> Measured | None:
        if self._last is None:
            return None
        last_key, measured, ended_s = self._last
        return measured if last_key == key and time.monotonic() - ended_s < JUST_S else None


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median of the rounds, the quartiles and the extremes."""
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    )
    return {
        "median": median,
        "quartile_low": low,
        "quartile_high": high,
        "min": min(values),
        "max": max(values),
    }
