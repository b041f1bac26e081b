"""Queries show the windows of a key without merging more than a few of them."""

import pytest

from tests.wallaroo.timing.windowed import JOIN, spec_of
from wallaroo.timing import key_parts
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.window_spec import AggregationSpec, FixedWindows

SIZE = 100


class Merges:
    """A store of sliding windows, each of 100 panes, that counts its merges."""

    def __init__(self) -> None:
        self.count = 0
        aggregation = AggregationSpec(
            name="join",
            initial=str,
            update=JOIN.update,
            update_returns=True,
            merge=self._merge,
        )
        self.store = PaneStore(spec_of(FixedWindows(SIZE, 1), aggregation))
        for time in range(SIZE):
            self.store.add("often", "x", time)
        self.store.add("once", "x", 50)
        assert self.count == 0

    def _merge(self, left: str, right: str) -> str:
        self.count += 1
        return left + right

    def found(self, key: str, count_max: int) -> tuple[list[tuple[int, str]], int]:
        """Return start and accumulator of the first windows, and how many there are."""
        found, count = self.store.get(key, count_max)
        return [(window.start, accumulator) for window, accumulator in found], count


def test_only_windows_that_are_shown_are_merged() -> None:
    merges = Merges()
    found = [(-99, "x"), (-98, "xx"), (-97, "xxx")]
    assert merges.found("often", 3) == (found, 2 * SIZE - 1)
    assert merges.count == 3


def test_a_key_in_one_pane_needs_no_merge() -> None:
    merges = Merges()
    assert merges.found("once", 1000) == ([(start, "x") for start in range(-49, 51)], SIZE)
    assert merges.count == 0


def test_few_windows_are_shown_if_each_has_many_panes(monkeypatch: pytest.MonkeyPatch) -> None:
    merges = Merges()
    monkeypatch.setattr(key_parts, "PARTS_MAX", 6)
    found = [(-99, "x"), (-98, "xx"), (-97, "xxx")]
    assert merges.found("often", 1000) == (found, 2 * SIZE - 1)
    merges.store.advance(SIZE)
    while merges.store.fire_some(100) is not None:
        pass
    ((_, accumulator),), count = merges.found("often", 1000)
    assert (accumulator, count) == ("x" * (SIZE - 1), SIZE - 1)


def test_a_key_that_was_deleted_has_no_windows() -> None:
    store = Merges().store
    assert store.delete("often")
    assert store.get("often", 9) == ([], 0)
    store.add("often", "y", 7)
    found, count = store.get("often", 1)
    assert [accumulator for _, accumulator in found] == ["y"]
    assert count == SIZE
