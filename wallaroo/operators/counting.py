"""What a written chain counts, and the text that does it."""

from typing import Any

from wallaroo.metrics.tally import Tally


class ChainCounters:
    """The counters of one chain: local variables, added to the worker's tally after each run.

    A local costs a fifth of a list's item, and only records that change the number cost anything.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally if tally.counts_steps else None
        self._places: dict[str, tuple[str, int]] = {}
        """By local variable: the list in the tally, and the place in it."""

    def filtered(self, node: int) -> str:
        """Return what counts a record that ends at ``node``, to stand before ``continue``."""
        return "" if self._tally is None else f"{self._local('filtered', node)} += 1; "

    def fanned_out(self, node: int) -> list[str]:
        """Return lines that count the list ``records`` which a multi computation made."""
        if self._tally is None:
            return []
        return [
            f"if not records: {self.filtered(node)}continue",
            f"{self._local('made', node)} += len(records)",
        ]

    def not_made(self, node: int) -> str:
        """Return what takes back one that was no record, to stand before ``continue``."""
        return "" if self._tally is None else f"{self._local('made', node)} -= 1; "

    def _local(self, what: str, node: int) -> str:
        name = f"{what}_{node}"
        self._places[name] = (what, node)
        return name

    def begin(self) -> str:
        """Return what stands at the beginning of the function, behind another statement."""
        return "".join(f"; {name} = 0" for name in self._places)

    def end(self) -> list[str]:
        """Return the lines at its end."""
        return [f"{what}[{node}] += {name}" for name, (what, node) in self._places.items()]

    def names(self) -> dict[str, Any]:
        """Return what the lines refer to."""
        if self._tally is None:
            return {}
        return {"filtered": self._tally.filtered, "made": self._tally.made}
