"""The arithmetic of ``--against``: what pairs of measurements say about two commits.

Each pair is one row measured with both commits within the same minute. Rows that are a ratio are
compared by the difference of the ratios; rows in other units by the difference as a share of what
the other commit needs. A positive difference always means that this checkout does worse.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.bench.rows.row import spread

WORSE_FROM = 0.02
"""A median difference up to this is noise."""
RATIO_UNIT = "times the "
"""How the unit of a row begins whose values are ratios already."""

Verdict = Literal["worse", "better", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One row, measured in pairs."""

    name: str
    group: str
    unit: str
    more_is_better: bool
    here: list[float] = field(default_factory=list)
    """Results of this checkout, pair by pair."""
    there: list[float] = field(default_factory=list)
    """Results of the other commit."""

    @property
    def is_ratio(self) -> bool:
        """Return whether differences are of ratios, not shares of the other commit's result."""
        return self.unit.startswith(RATIO_UNIT)

    @property
    def differences(self) -> list[float]:
        """Return for each pair by how much this checkout does worse."""
        sign = -1 if self.more_is_better else 1
        return [
            sign * (here - there) / (1.0 if self.is_ratio else there)
            for here, there in zip(self.here, self.there, strict=True)
        ]

    @property
    def verdict(self) -> Verdict:
        """Return what the pairs say; a difference counts only if most pairs agree on its sign."""
        found = spread(self.differences)
        if found["median"] > WORSE_FROM and found["quartile_low"] > 0:
            return "worse"
        if found["median"] < -WORSE_FROM and found["quartile_high"] < 0:
            return "better"
        return "same"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "name": self.name,
            "group": self.group,
            "unit": self.unit,
            "difference_of": "ratios" if self.is_ratio else "shares",
            "more_is_better": self.more_is_better,
            "verdict": self.verdict,
            "here": spread(self.here)["median"],
            "there": spread(self.there)["median"],
            "difference": spread(self.differences),
            "pair_count": len(self.here),
            "rounds_here": self.here,
            "rounds_there": self.there,
        }


def rows_in(help_text: str) -> dict[str, str]:
    """Return the rows that the help of ``make bench`` lists, each with its group.

    >>> rows_in("options: …\\n\\nrows: cost: '1 worker', '2 workers'; recovery: 'recovery, 9 keys'")
    {'1 worker': 'cost', '2 workers': 'cost', 'recovery, 9 keys': 'recovery'}
    """
    listed = help_text.rpartition("\nrows: ")[2]
    return {
        name: group
        for group, names in re.findall(r"(\w[\w ]*): ((?:'[^']*'(?:, )?)+)", listed)
        for name in re.findall(r"'([^']*)'", names)
    }


def rows_to_compare(
    here: Mapping[str, str], there: Mapping[str, str], only: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the rows of both commits that ``only`` chooses, and why the others are left out.

    ``only`` holds names of rows and of groups. Raises `ValueError` for one that neither commit has.
    """
    known = {*here, *here.values(), *there, *there.values()}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"no row and no group of either commit: {', '.join(unknown)}")

    def chosen(rows: Mapping[str, str]) -> list[str]:
        return [name for name, group in rows.items() if name in only or group in only]

    both = [name for name in chosen(here) if name in there]
    left_out = {name: "only in this checkout" for name in chosen(here) if name not in there}
    left_out |= {name: "only in the other commit" for name in chosen(there) if name not in here}
    return both, left_out
