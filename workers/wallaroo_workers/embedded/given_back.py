"""Keeps what workers give back to the program that runs the cluster."""

from collections.abc import Sequence
from typing import Any, Protocol

from wallaroo.connectors.base import Sink
from wallaroo.operators.failures import Failure
from wallaroo.wire.control import FAILURES
from wallaroo_workers.giving_back import FAILURES_MAX
from wallaroo_workers.plan_pickles import unpickled_rows


class KeepingSink(Protocol):
    """A sink of a plan whose runner gives its rows back."""

    def keep(self, rows: list[Any]) -> None:
        """Keep rows, in the process that has started the run."""
        ...

    def clear(self) -> None:
        """Forget the rows of an earlier run."""
        ...


def _keeping(sink: Any) -> KeepingSink:
    keeping: KeepingSink = sink
    return keeping


class GivenBack:
    """Rows and failures of one run."""

    def __init__(self, sinks: Sequence[Sink], main: str) -> None:
        """``main`` is the name that the script of this process has in workers."""
        self._sinks = sinks
        self._main = main
        self._failures: list[Failure] = []
        for sink in sinks:
            if hasattr(sink, "keep"):
                _keeping(sink).clear()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures so far."""
        return tuple(self._failures)

    def received(self, sink: int, rows: bytes) -> None:
        """Keep rows of a sink, or failures, that a worker has pickled."""
        found = unpickled_rows(rows, self._main)
        if sink == FAILURES:
            self._failures += found
        else:
            self.keep(sink, found)

    def keep(self, sink: int, rows: list[Any]) -> None:
        """Keep rows of a sink."""
        _keeping(self._sinks[sink]).keep(rows)

    def keep_failures(self, failures: list[Failure]) -> None:
        """Keep failures, up to a limit."""
        self._failures += failures[: max(FAILURES_MAX - len(self._failures), 0)]
