"""Generates the lines of a chain that count records."""

from typing import Any

from wallaroo.metrics.tally import Tally


class ChainCounters:
    """The counters of one chain: local variables that are added to the worker's tally after each
    run.

    A local variable costs a fifth of an item of a list. Only records that change the number of
    records cost anything.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally if tally.counts_steps else None
        self._places: dict[str, tuple[str, int]] = {}
        """By local variable: the list in the tally, and the index in it."""

    def filtered(self, node: int) -> str:
        """Return the text that counts a record that ends at ``node``, for before ``continue``."""
        return "" if self._tally is None else f"{self._local('filtered', node)} += 1; "

    def fanned_out(self, node: int) -> list[str]:
        """Return the lines that count the list ``records`` of a multi computation."""
        if self._tally is None:
            return []
        return [
            f"if not records: {self.filtered(node)}continue",
            f"{self._local('made', node)} += len(records)",
        ]

    def not_made(self, node: int) -> str:
        """Return the text that uncounts an item that is ``None``, for before ``continue``."""
        return "" if self._tally is None else f"{self._local('made', node)} -= 1; "

    def branched(self, branch: int) -> list[str]:
        """Return the lines that count a record that goes into a branch."""
        return [] if self._tally is None else [f"{self._local('branched', branch)} += 1"]

    def fired(self, node: int) -> list[str]:
        """Return the lines that count a result that time has caused at ``node``."""
        return [] if self._tally is None else [f"{self._local('fired', node)} += 1"]

    def _local(self, what: str, index: int) -> str:
        name = f"{what}_{index}"
        self._places[name] = (what, index)
        return name

    def begin(self) -> str:
        """Return the text for the start of the function, after another statement."""
        return "".join(f"; {name} = 0" for name in self._places)

    def end(self) -> list[str]:
        """Return the lines for the end of the function."""
        return [f"{what}[{index}] += {name}" for name, (what, index) in self._places.items()]

    def names(self) -> dict[str, Any]:
        """Return the objects that the lines refer to, by name."""
        if self._tally is None:
            return {}
        names = {"filtered": self._tally.filtered, "made": self._tally.made}
        if any(what == "fired" for what, _ in self._places.values()):
            names["fired"] = self._tally.fired
        if self._tally.branched:
            names["branched"] = self._tally.branched
        return names
