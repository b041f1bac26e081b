"""Totals of sliding windows that have many panes, without merging all panes at each slide.

The panes of a window are split at a boundary. Of the panes behind it, the **back**, there is one
total for each key. Of those before it, the **front**, there is a stack for each key: the total of
its panes up to the boundary, from each pane on. The oldest pane leaves by taking entries off these
stacks, and a window is two values for each key, merged. If the front is used up, the back becomes
the front (a flip). So each pane is merged twice, however many panes a window has (Tangwongsan,
Hirzel, Schneider: Low-latency sliding-window aggregation, DEBS 2017).

All this is derived from panes and can be made anew at any time. A record may still be added to a
pane that is in the totals, for later windows. Its key is **changed**: until that pane has left, it
is merged from the panes themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.panes import Failed, Merge, Pane, merged_into
from wallaroo.timing.window_spec import Window

PANES_MIN = 5
"""Windows of fewer panes are merged from them; that is cheaper."""

_Stack = list[tuple[int, Any]]


class SlidingTotals:
    """The totals of one state's windows, which have to come in the order of their ends."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._front: dict[Any, _Stack] = {}
        """Start of a pane and total from it on, the oldest pane last."""
        self._back: dict[Any, Any] = {}
        self._back_panes: list[tuple[int, dict[Any, Any]]] = []
        self._newest = BEFORE_ALL
        self._known: dict[int, int] = {}
        """By start of each pane that is in the totals: what was added before this clock is, too."""
        self._changed: dict[Any, int] = {}
        """Keys with the start of the last pane of theirs that has changed."""

    def prepare(
        self,
        window: Window,
        panes: Sequence[Pane],
        due_at: int,
        step: int,
        failures: list[Failed],
    ) -> Iterator[None]:
        """Let the panes before a window leave and those that are new come, ``step`` keys at a
        time."""
        self._known = {start: at for start, at in self._known.items() if start >= window.start}
        if self._back_panes and self._back_panes[0][0] < window.start:
            yield from self._flip(window.start, step)
        for pane in panes:
            if pane.start in self._known:
                self._note_changes(pane, due_at)
            else:
                found: dict[Any, Any] | None = None
                for found in pane.folded(due_at, step, failures, is_kept=True):
                    if found is None:
                        yield
                assert found is not None
                yield from self._push(pane.start, found, step)
            self._known[pane.start] = due_at
        self._changed = {
            key: start for key, start in self._changed.items() if start >= window.start
        }

    def items(
        self, start: int, refold: Callable[[Any], Any], failures: list[Failed]
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the keys of the window that begins at ``start``, with their accumulators."""
        yield from self._of_back(start, failures)
        yield from self._of_front(start)
        for key in self._changed:
            try:
                accumulator = refold(key)
            except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                failures.append(Failed(key, error))
            else:
                if accumulator is not None:
                    yield key, accumulator

    def _of_back(self, start: int, failures: list[Failed]) -> Iterator[tuple[Any, Any]]:
        front, changed, merge = self._front, self._changed, self._merge
        for key, accumulator in self._back.items():
            if key in changed:
                continue
            stack = front.get(key)
            while stack and stack[-1][0] < start:
                stack.pop()
            if stack:
                try:
                    accumulator = merge(stack[-1][1], accumulator)
                except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                    failures.append(Failed(key, error))
                    continue
            yield key, accumulator

    def _of_front(self, start: int) -> Iterator[tuple[Any, Any]]:
        """Yield the keys that are in the front alone."""
        back, changed = self._back, self._changed
        used_up = []
        for key, stack in self._front.items():
            while stack and stack[-1][0] < start:
                stack.pop()
            if not stack:
                used_up.append(key)
            elif key not in back and key not in changed:
                yield key, stack[-1][1]
        for key in used_up:
            del self._front[key]

    def _push(self, start: int, accumulators: dict[Any, Any], step: int) -> Iterator[None]:
        if start < self._newest:
            # Its first record was behind those of later panes, which are in the totals.
            self._note_keys(accumulators, start)
            return
        self._newest = start
        self._back_panes.append((start, accumulators))
        broken: list[Failed] = []
        yield from merged_into(self._back, accumulators, self._merge, step, broken)
        self._note_keys([each.key for each in broken], start)

    def _flip(self, start: int, step: int) -> Iterator[None]:
        """Make the front of the back's panes."""
        front: dict[Any, _Stack] = {}
        merge = self._merge
        for pane_start, accumulators in reversed(self._back_panes):
            if pane_start < start:
                break
            items = iter(accumulators.items())
            while chunk := list(islice(items, step)):
                for key, accumulator in chunk:
                    stack = front.get(key)
                    if stack is None:
                        front[key] = [(pane_start, accumulator)]
                    else:
                        try:
                            stack.append((pane_start, merge(accumulator, stack[-1][1])))
                        except BaseException:  # noqa: BLE001  its window reports it
                            self._changed[key] = self._back_panes[-1][0]
                yield
        self._front, self._back, self._back_panes = front, {}, []

    def _note_changes(self, pane: Pane, due_at: int) -> None:
        known_at = self._known.get(pane.start, BEFORE_ALL)
        for layer in pane.layers:
            if known_at <= layer.born < due_at:
                self._note_keys(layer.accumulators, pane.start)

    def _note_keys(self, keys: Iterable[Any], start: int) -> None:
        for key in keys:
            self._changed[key] = max(self._changed.get(key, BEFORE_ALL), start)


def totals_for(merge: Merge | None, panes_of_window: int) -> SlidingTotals | None:
    """Return empty totals, if they are worth it for windows of so many panes."""
    return SlidingTotals(merge) if merge and panes_of_window >= PANES_MIN else None
