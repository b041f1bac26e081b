"""How far the splits of one worker are behind, kept from change to change.

A worker may read 100,000 splits of which few change, and it reports once a second. So a split
notes that it has changed, and a report looks at those splits alone.
"""

from heapq import nlargest
from typing import Generic, Protocol, TypeVar


class LaggingSplit(Protocol):
    """What is known about one split."""

    @property
    def lag(self) -> int | None:
        """How much is still to be read."""
        ...

    @property
    def problem(self) -> str:
        """Why it ended early, if it did."""
        ...

    @property
    def held(self) -> str:
        """Why records that are there cannot be read."""
        ...


SplitT = TypeVar("SplitT", bound=LaggingSplit)


class SplitLags(Generic[SplitT]):
    """The sum of the lags of all splits, and the splits that matter most."""

    def __init__(self) -> None:
        # Dicts keep an order, so that reports of one run do not differ by chance.
        self._changed: dict[SplitT, None] = {}
        self._lags: dict[SplitT, int] = {}
        """The lags that are known, as they are in the sum."""
        self._sum = 0
        self._broken: dict[SplitT, None] = {}
        self._held: dict[SplitT, None] = {}
        self._behind: dict[SplitT, None] = {}

    def changed(self, split: SplitT) -> None:
        """Look at this split again with the next report."""
        self._changed[split] = None

    def removed(self, split: SplitT) -> None:
        """Forget a split."""
        self._changed.pop(split, None)
        self._forget(split)

    def _forget(self, split: SplitT) -> None:
        self._sum -= self._lags.pop(split, 0)
        for group in (self._broken, self._held, self._behind):
            group.pop(split, None)

    def _settle(self) -> None:
        changed, self._changed = self._changed, {}
        for split in changed:
            self._forget(split)
            lag = split.lag
            if lag is not None:
                self._lags[split] = lag
                self._sum += lag
            if split.problem:
                self._broken[split] = None
            elif split.held:
                self._held[split] = None
            elif lag:
                self._behind[split] = None

    @property
    def total(self) -> int | None:
        """The sum of all lags that are known; ``None`` if none is."""
        self._settle()
        return self._sum if self._lags else None

    def worst(self, count_max: int) -> list[SplitT]:
        """Return splits that failed, then those that do not go on, then those that are behind.

        Within each kind the largest lags are first.
        """
        self._settle()
        found: list[SplitT] = []
        for group in (self._broken, self._held, self._behind):
            room = count_max - len(found)
            found += nlargest(room, group, key=lambda split: self._lags.get(split, 0))
        return found
