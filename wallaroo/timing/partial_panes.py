"""Partial panes: what a worker has combined and not yet sent to the owners of the keys.

Records of one key and pane are combined where they are read, and one accumulator travels instead of
all of them. The owner merges it into its own pane::

    record -> locate -> accumulators of its pane -> take -> PaneStore.add_partial at the owner

It is for windows whose owner never needs the records themselves: it judges a pane as a whole, and
late records are only counted. The order between the records of several workers is lost, so the
aggregation has to be commutative.

Nothing may wait here when a barrier or a watermark is sent: records would be missing in a
checkpoint, or be late at their owner.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wallaroo.timing.grids import grid_of
from wallaroo.timing.window_spec import AggregationSpec, BuiltIn, PaneWindows


class PartialPane(NamedTuple):
    """What one worker sends of a pane to the owner of these keys."""

    start: int
    keys: list[Any]
    accumulators: list[Any]
    """By key, in the same order."""
    counts: Sequence[int]
    """How many records each of them has, in the same order."""

    @property
    def record_count(self) -> int:
        """How many records they have together."""
        return sum(self.counts)


class OpenPartial(NamedTuple):
    """What a chain binds to add records at ``low <= time < high``, until ``take``."""

    low: int
    high: int
    accumulators: dict[Any, Any]
    get: Callable[..., Any]
    """That of the accumulators."""
    counts: dict[Any, int]
    """Records by key, if the accumulators do not say how many they have."""
    get_count: Callable[..., int]
    """That of the counts."""


class PartialPanes:
    """The partial panes of one worker for one state."""

    def __init__(self, windows: PaneWindows, aggregation: AggregationSpec) -> None:
        self._grid = grid_of(windows)
        self._built_in = aggregation.built_in
        self._panes: dict[int, OpenPartial] = {}

    def __len__(self) -> int:
        """Return how many panes there is something of."""
        return len(self._panes)

    @property
    def has_counts(self) -> bool:
        """Whether chains have to count the records of each key."""
        return self._built_in not in (BuiltIn.COUNT, BuiltIn.MEAN)

    def locate(self, time: int) -> OpenPartial:
        """Return where records of this time are added."""
        start, end = self._grid.pane(time)
        found = self._panes.get(start)
        if found is None:
            accumulators: dict[Any, Any] = {}
            counts: dict[Any, int] = {}
            found = OpenPartial(start, end, accumulators, accumulators.get, counts, counts.get)
            self._panes[start] = found
        return found

    def take(
        self, known: Mapping[Any, int | None], find: Callable[[Any], int | None], owner_count: int
    ) -> list[list[PartialPane]]:
        """Return what there is for each owner, and begin again with nothing.

        ``known`` has the owners of some keys, ``find`` returns that of any other.
        """
        panes, self._panes = self._panes, {}
        taken: list[list[PartialPane]] = [[] for _ in range(owner_count)]
        look_up = known.get
        for pane in panes.values():
            parts: list[tuple[list[Any], list[Any]]] = [([], []) for _ in range(owner_count)]
            for key, accumulator in pane.accumulators.items():
                owner = look_up(key)
                if owner is None:
                    owner = find(key)
                    assert owner is not None
                keys, accumulators = parts[owner]
                keys.append(key)
                accumulators.append(accumulator)
            for (keys, accumulators), found in zip(parts, taken, strict=True):
                if keys:
                    counts = self._counts(keys, accumulators, pane.counts)
                    found.append(PartialPane(pane.low, keys, accumulators, counts))
        return taken

    def _counts(
        self, keys: list[Any], accumulators: list[Any], counts: dict[Any, int]
    ) -> list[int]:
        """Return how many records each of these keys has."""
        match self._built_in:
            case BuiltIn.COUNT:
                return accumulators
            case BuiltIn.MEAN:
                return [count for _, count in accumulators]
            case _:
                return [counts[key] for key in keys]
