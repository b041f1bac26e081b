"""What a row of the benchmark is: something measured once a round, with one result in the end."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The values of all rounds, and what they should be."""

    name: str
    group: str
    unit: str
    values: list[float]
    target: float | None = None
    verdict: bool | None = None
    """Whether the target is met, where that is not for the median to say."""
    more_is_better: bool = False
    more: dict[str, float] = field(default_factory=dict)
    """Further numbers: medians over the rounds, in the unit that their name says."""

    @property
    def median(self) -> float:
        """The result."""
        return spread(self.values)["median"]

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, if there is one."""
        if self.verdict is not None:
            return self.verdict
        if self.target is None:
            return None
        return self.median >= self.target if self.more_is_better else self.median <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "name": self.name,
            "group": self.group,
            "unit": self.unit,
            **spread(self.values),
            "target": self.target,
            "is_met": self.is_met,
            "more_is_better": self.more_is_better,
            "round_count": len(self.values),
            "rounds": self.values,
            **self.more,
        }


class Row(Protocol):
    """One row; lives through all rounds."""

    @property
    def name(self) -> str:
        """What ``--only`` takes."""

    @property
    def group(self) -> str:
        """What ``--only`` takes, too."""

    def measure(self, folder: Path) -> None:
        """Measure once more; input that is made is kept in the folder."""

    def result(self) -> Result:
        """Return what all rounds gave."""


def spread(values: Sequence[float]) -> dict[str, float]:
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
