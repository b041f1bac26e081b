"""The lags of splits, kept from change to change, are those of all splits at any time."""

import random

from wallaroo.ingest.split_lags import SplitLags


class Played:
    """One split."""

    def __init__(self, lag: int | None = None, problem: str = "", held: str = "") -> None:
        self.lag = lag
        self.problem = problem
        self.held = held
        self.look_count = 0


class Counting(Played):
    """Counts how often somebody looks at it."""

    @property
    def lag(self) -> int:
        self.look_count += 1
        return 1

    @lag.setter
    def lag(self, lag: int | None) -> None:
        pass


def rank(split: Played) -> tuple[int, int]:
    """Return where a split belongs in a report."""
    return 0 if split.problem else 1 if split.held else 2, -(split.lag or 0)


def test_sum_and_worst_splits_follow_all_changes() -> None:
    chance = random.Random(1)
    lags: SplitLags[Played] = SplitLags()
    splits = [Played() for _ in range(40)]
    for _ in range(500):
        split = chance.choice(splits)
        if chance.random() < 0.1:
            splits.remove(split)
            lags.removed(split)
            splits.append(split := Played())
        split.lag = chance.choice([None, 0, chance.randrange(100)])
        split.problem = chance.choice(["", "", "", "it is damaged"])
        split.held = chance.choice(["", "", "no leader"])
        lags.changed(split)
        known = [each.lag for each in splits if each.lag is not None]
        assert lags.total == (sum(known) if known else None)
        wanted = sorted(rank(each) for each in splits if rank(each) != (2, 0))
        assert [rank(each) for each in lags.worst(5)] == wanted[:5]


def test_splits_that_have_not_changed_are_not_looked_at() -> None:
    lags: SplitLags[Played] = SplitLags()
    split = Counting()
    lags.changed(split)
    assert (lags.total, lags.worst(1)) == (1, [split])
    looked = split.look_count
    lags.changed(Played(3))
    assert lags.total == 4
    assert split.look_count == looked
