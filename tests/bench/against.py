"""``make bench ARGS='--against REF'``: this checkout and another commit, measured in pairs.

Each commit runs its own ``tests.bench``, in a worktree and an environment of its own, one row of
one round at a time; so files here may be changed meanwhile. Both halves of a pair run right after
each other, and which commit is first changes from round to round, so that a machine that becomes
slower or faster favors neither.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.checkouts import (
    Checkout,
    CheckoutError,
    checkout_of,
    cleaning_up_at_sigterm,
    current_commit,
)
from tests.bench.comparison import WORSE_FROM, Comparison, rows_in, rows_to_compare
from tests.bench.machine import OtherPrograms
from tests.bench.rows.row import spread

METHOD = (
    "Each commit is measured with its own benchmark, in pairs. Differences of ratios are absolute; "
    "of other rows, a share of the other commit's result; positive is worse. Worse means a median "
    f"above {WORSE_FROM} with the lower quartile above 0."
)
COLORS = {"worse": "red", "better": "green", "same": "default"}

progress = Console(stderr=True, highlight=False)


def compare_with(ref: str, only: Sequence[str], rounds: int, *, as_json: bool) -> int:
    """Measure, print; return the exit status: 1 if a row is worse or could not be measured."""
    others = OtherPrograms()
    try:
        progress.print(f"setting up this checkout and {ref}")
        with (
            cleaning_up_at_sigterm(),
            checkout_of(current_commit()) as here,
            checkout_of(ref) as there,
        ):
            _check_framing(here, there)
            names, left_out = rows_to_compare(_rows_of(here), _rows_of(there), only)
            pairs = _Pairs(here, there)
            pairs.measure(names, rounds)
    except (CheckoutError, ValueError) as error:
        progress.print(f"cannot compare with {ref}: {error}", markup=False)
        return 2
    compared = [*pairs.compared.values()]
    facts = {
        "method": METHOD,
        "here": here.name,
        "there": there.name,
        "cpu_share_of_other_programs": others.share(),
        "rows": [one.as_json() for one in compared],
        "only_in_one": left_out,
        "failed": pairs.failed,
    }
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        _print(facts, compared, others.describe())
    return 1 if pairs.failed or any(one.verdict == "worse" for one in compared) else 0


class _Pairs:
    """Measures pairs and keeps what they gave."""

    def __init__(self, here: Checkout, there: Checkout) -> None:
        self._here = here
        self._there = there
        self.compared: dict[str, Comparison] = {}
        self.failed: dict[str, str] = {}
        """Rows that could not be measured, and why; they are not tried again."""

    def measure(self, names: Sequence[str], rounds: int) -> None:
        """Measure each row once in each round, with both commits."""
        started_s = time.monotonic()
        turns = [(number, name) for number in range(1, rounds + 1) for name in names]
        for done, (number, name) in enumerate(turns):
            minutes, seconds = divmod(int(time.monotonic() - started_s), 60)
            place = f"{minutes:3}:{seconds:02}  {done / len(turns):4.0%}"
            progress.print(f"{place}  round {number} of {rounds}: {name}")
            if name not in self.failed:
                self._measure_pair(name, is_here_first=number % 2 == 0)

    def _measure_pair(self, name: str, *, is_here_first: bool) -> None:
        order = [self._here, self._there] if is_here_first else [self._there, self._here]
        results = {}
        for checkout in order:
            try:
                results[checkout] = _measured(checkout, name)
            except CheckoutError as error:
                self.failed[name] = f"with {checkout.name}: {error}"
                self.compared.pop(name, None)
                progress.print(f"{name} failed {self.failed[name]}", markup=False)
                return
        here, there = results[self._here], results[self._there]
        row = self.compared.setdefault(
            name,
            Comparison(
                name=name,
                group=here["group"],
                unit=here["unit"],
                more_is_better=here["more_is_better"],
            ),
        )
        row.here.append(here["median"])
        row.there.append(there["median"])


def _rows_of(checkout: Checkout) -> dict[str, str]:
    return rows_in(checkout.run("-m", "tests.bench", "--help"))


def _measured(checkout: Checkout, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--only", name, "--rounds", "1", "--json", "--plots", folder)
        facts = json.loads(checkout.run("-m", "tests.bench", *arguments))
    [result] = facts["results"]
    return dict(result)


def _check_framing(here: Checkout, there: Checkout) -> None:
    """Refuse to compare compiled framing with framing in Python."""
    for one, other in ((here, there), (there, here)):
        if one.is_framing_compiled and not other.is_framing_compiled:
            raise CheckoutError(
                f"framing is compiled in {one.name} and not in {other.name}; "
                "install a C compiler, run `make dev` again, and repeat"
            )


def _print(facts: dict[str, Any], compared: Sequence[Comparison], remark: str) -> None:
    console = Console(width=118)
    title = f"{facts['here']} (here) against {facts['there']}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("there", "here", "difference", "quartiles", "pairs", "verdict"):
        table.add_column(heading, justify="right")
    for row in compared:
        differences = spread(row.differences)
        show = "{:+.3f}".format if row.is_ratio else "{:+.1%}".format
        table.add_row(
            row.name,
            f"{spread(row.there)['median']:,.3f}",
            f"{spread(row.here)['median']:,.3f}",
            show(differences["median"]),
            f"{show(differences['quartile_low'])} to {show(differences['quartile_high'])}",
            str(len(row.here)),
            f"[{COLORS[row.verdict]}]{row.verdict}[/]",
        )
    console.print(table)
    for name, why in facts["only_in_one"].items():
        console.print(f"not compared: {name}, {why}")
    for name, why in facts["failed"].items():
        console.print(f"failed: {name}, {why}", markup=False, style="red")
    console.print(f"{facts['method']} {remark}", style="dim")
