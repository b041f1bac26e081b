"""A window that fires: the accumulators of its keys, some at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wallaroo.timing.pane_map import PaneMap
from wallaroo.timing.panes import Failed, Merge, merged_into
from wallaroo.timing.stacks import SlidingTotals
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
        self,
        window: Window,
        panes: PaneMap,
        merge: Merge | None,
        due_at: int,
        done: Iterable[Any] = (),
        totals: SlidingTotals | None = None,
    ) -> None:
        """``done`` are keys whose results were given before. With ``totals`` the window is one of
        many panes."""
        self.window = window
        self._done = {*done}
        self._skips = bool(self._done)
        self._given: list[list[Any]] = []
        """Keys that are done, too."""
        self.is_complete = False
        self._panes = panes
        self._totals = totals
        self._merge = merge
        self._due_at = due_at
        self._failures: list[Failed] = []
        self._items: Iterator[tuple[Any, Any]] | None = None
        self._steps: Iterator[None] | None = None

    @property
    def done(self) -> set[Any]:
        """Return the keys whose results are given."""
        # Few ask for them, so no key is put into a set before somebody does.
        self._done.update(*self._given)
        self._given.clear()
        return self._done

    def next(self, count_max: int) -> Fired:
        """Return the next results; work on the accumulators counts as results do."""
        if self._steps is None:
            self._steps = self._prepare(count_max)
        for _ in self._steps:
            return self._fired([])
        assert self._items is not None
        chunk = list(islice(self._items, count_max))
        self.is_complete = len(chunk) < count_max
        if self._skips:
            chunk = [each for each in chunk if each[0] not in self._done]
        return self._fired(chunk)

    def _prepare(self, step: int) -> Iterator[None]:
        """Make one dict of what the panes have."""
        panes = self._panes.of(self.window)
        if self._totals is not None:
            yield from self._totals.prepare(self.window, panes, self._due_at, step, self._failures)
            self._items = self._totals.items(self._refold, self._failures)
            return
        total: dict[Any, Any] = {}
        is_shared = len(panes) > 1
        for pane in panes:
            found: dict[Any, Any] | None = None
            for found in pane.folded(self._due_at, step, self._failures, is_kept=is_shared):
                if found is None:
                    yield
            assert found is not None
            if not is_shared:
                total = found
            else:
                yield from merged_into(total, found, self._merge, step, self._failures)
        self._items = iter(total.items())

    def _refold(self, key: Any) -> Any:
        return self._panes.key_in(key, self.window, self._due_at)

    def _fired(self, chunk: list[tuple[Any, Any]]) -> Fired:
        keys = [key for key, _ in chunk]
        # The same list: what is being merged adds to it.
        failures = [*self._failures]
        self._failures.clear()
        self._given.append(keys)
        accumulators = [accumulator for _, accumulator in chunk]
        return Fired(keys, accumulators, self.window, ResultKind.FINAL, failures)
