"""Totals of sliding windows that have many panes, without merging all panes at each slide.

The panes of a window are split at a boundary. Of the panes behind it, the **back**, there is one
total for each key. So there is of those before it, the **front**. Each pane of the front has, for
its keys, what the total is once the pane has left: that is their totals from the next pane up to
the boundary. A window is two values for each key, merged. If the front is used up, the back becomes
the front (a flip). So each pane is merged twice, however many panes a window has (Tangwongsan,
Hirzel, Schneider: Low-latency sliding-window aggregation, DEBS 2017).

Totals are kept by pane and not by key, since a pane leaves as a whole: a dict for each pane is read
in its order, a stack for each key is read all over the memory.

All this is derived from panes and can be made anew at any time. A record may still be added to a
pane that is in the totals, for later windows. Its key is **changed**: until that pane has left, it
is merged from the panes themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.panes import Failed, Merge, Pane, merged_into
from wallaroo.timing.window_spec import Window

PANES_MIN = 5
"""Windows of fewer panes are merged from them; that is cheaper."""


class _FrontPane(NamedTuple):
    """A pane of the front."""

    start: int
    after: dict[Any, Any]
    """The totals of its keys without this pane and those before it, if there is anything."""
    gone: list[Any]
    """Its keys that are in no later pane of the front."""


class SlidingTotals:
    """The totals of one state's windows, which have to come in the order of their ends."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._front: dict[Any, Any] = {}
        self._front_panes: list[_FrontPane] = []
        """The oldest last."""
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
        while self._front_panes and self._front_panes[-1].start < window.start:
            yield from self._leave(self._front_panes.pop(), step)
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
        self, refold: Callable[[Any], Any], failures: list[Failed]
    ) -> Iterator[tuple[Any, Any]]:
        """Return the keys of the window that was prepared, with their accumulators."""
        back, front, changed = self._back, self._front, self._changed
        in_front = (
            item for item in front.items() if item[0] not in back and item[0] not in changed
        )
        return chain(self._of_back(failures), in_front, self._of_changed(refold, failures))

    def _of_back(self, failures: list[Failed]) -> Iterator[tuple[Any, Any]]:
        get, changed, merge = self._front.get, self._changed, self._merge
        for key, accumulator in self._back.items():
            if changed and key in changed:
                continue
            before = get(key)
            if before is None:
                yield key, accumulator
                continue
            try:
                total = merge(before, accumulator)
            except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                failures.append(Failed(key, error))
            else:
                yield key, total

    def _of_changed(
        self, refold: Callable[[Any], Any], failures: list[Failed]
    ) -> Iterator[tuple[Any, Any]]:
        for key in self._changed:
            try:
                accumulator = refold(key)
            except BaseException as error:  # noqa: BLE001  the user's function may raise anything
                failures.append(Failed(key, error))
            else:
                if accumulator is not None:
                    yield key, accumulator

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
        totals: dict[Any, Any] = {}
        front_panes: list[_FrontPane] = []
        merge, get = self._merge, totals.get
        for pane_start, accumulators in reversed(self._back_panes):
            if pane_start < start:
                break
            after: dict[Any, Any] = {}
            gone: list[Any] = []
            items = iter(accumulators.items())
            while chunk := list(islice(items, step)):
                for key, accumulator in chunk:
                    total = get(key)
                    if total is None:
                        gone.append(key)
                        totals[key] = accumulator
                        continue
                    after[key] = total
                    try:
                        totals[key] = merge(accumulator, total)
                    except BaseException:  # noqa: BLE001  its window reports it
                        self._changed[key] = self._back_panes[-1][0]
                yield
            front_panes.append(_FrontPane(pane_start, after, gone))
        self._front, self._front_panes = totals, front_panes
        self._back, self._back_panes = {}, []

    def _leave(self, pane: _FrontPane, step: int) -> Iterator[None]:
        """Take the oldest pane out of the totals of the front."""
        front = self._front
        if len(pane.after) <= step:
            front.update(pane.after)
        else:
            items = iter(pane.after.items())
            while chunk := dict(islice(items, step)):
                front.update(chunk)
                yield
        for number, key in enumerate(pane.gone, start=1):
            del front[key]
            if number % step == 0:
                yield

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
