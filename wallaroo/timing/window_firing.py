"""A window that fires: the accumulators of its keys, some at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wallaroo.timing.panes import Failed, Merge, Pane, merged_into
from wallaroo.timing.window_spec import ResultKind, Window


@dataclass(slots=True)
class Fired:
    """Some accumulators of one window, for the chain to make results of.

    There may be none of them: then a part of the work was done that gives no result yet.
    """

    keys: list[Any]
    accumulators: list[Any]
    window: Window
    kind: ResultKind
    failures: list[Failed] = field(default_factory=list)
    """Keys whose ``merge`` has raised; their windows are gone."""


class WindowFiring:
    """A window that is half fired."""

    def __init__(
        self, window: Window, panes: Sequence[Pane], merge: Merge | None, due_at: int
    ) -> None:
        self.window = window
        self.done: set[Any] = set()
        """Keys whose results are given."""
        self.is_complete = False
        self._panes = panes
        self._merge = merge
        self._due_at = due_at
        self._failures: list[Failed] = []
        self._items: Iterator[tuple[Any, Any]] | None = None
        self._steps: Iterator[None] | None = None

    def next(self, count_max: int) -> Fired:
        """Return the next results; work on the accumulators counts as results do."""
        if self._steps is None:
            self._steps = self._prepare(count_max)
        for _ in self._steps:
            return self._fired([])
        assert self._items is not None
        chunk = list(islice(self._items, count_max))
        self.is_complete = len(chunk) < count_max
        if self.done:
            chunk = [(key, accumulator) for key, accumulator in chunk if key not in self.done]
        return self._fired(chunk)

    def _prepare(self, step: int) -> Iterator[None]:
        """Make one dict of what the panes have."""
        total: dict[Any, Any] = {}
        for pane in self._panes:
            found: dict[Any, Any] | None = None
            is_shared = len(self._panes) > 1
            for found in pane.folded(self._due_at, step, self._failures, is_kept=is_shared):
                if found is None:
                    yield
            assert found is not None
            if not is_shared:
                total = found
            else:
                yield from merged_into(total, found, self._merge, step, self._failures)
        self._items = iter(total.items())

    def _fired(self, chunk: list[tuple[Any, Any]]) -> Fired:
        keys = [key for key, _ in chunk]
        failures, self._failures = self._failures, []
        self.done.update(keys)
        accumulators = [accumulator for _, accumulator in chunk]
        return Fired(keys, accumulators, self.window, ResultKind.FINAL, failures)
