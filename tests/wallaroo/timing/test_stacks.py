"""Windows of many panes: the same as merging all panes, with records behind the clock, too."""

import random
from collections import defaultdict
from dataclasses import replace

import pytest

from tests.wallaroo.timing.windowed import JOIN, fire, spec_of
from wallaroo.testing.model import TimedRecord, fixed_windows
from wallaroo.timing.instants import END
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.stacks import PANES_MIN, totals_for
from wallaroo.timing.window_spec import FixedWindows

Expected = dict[tuple[str, int, int], str]


def played(chance: random.Random, windows: FixedWindows) -> tuple[Expected, Expected]:
    """Return what windows give, and what the definition says.

    Records may be behind the clock. One counts in those of its windows that are not due as it
    arrives, whether those that are due have fired or not.
    """
    store = PaneStore(spec_of(windows))
    found: Expected = {}
    counted: defaultdict[tuple[str, int, int], list[TimedRecord]] = defaultdict(list)
    clock = 0
    store.advance(clock)
    for number in range(120):
        clock += chance.choice([0, 0, 1, 2, 5])
        if chance.random() < 0.3:
            store.advance(clock)
        if chance.random() < 0.3:
            clock += chance.choice([0, 30])
        time = store.clock + chance.randrange(-windows.size_ns, windows.size_ns)
        record = TimedRecord(chance.choice("ab"), time, chr(65 + number))
        store.add(record.key, record.value, record.time)
        for key, start, end in fixed_windows([record], windows.size_ns, windows.every_ns):
            if end > store.clock:
                counted[key, start, end].append(record)
        if chance.random() < 0.4:
            _note(found, store, chance.choice([1, 2]))
    store.advance(END)
    for key, value, start, end, _ in fire(store):
        found[key, start, end] = value
    width = windows.every_ns
    return found, {
        window: "".join(each.value for each in sorted(records, key=lambda one: one.time // width))
        for window, records in counted.items()
    }


def _note(found: Expected, store: PaneStore, count: int) -> None:
    fired = store.fire_some(count)
    if fired is not None:
        for key, value in zip(fired.keys, fired.accumulators, strict=True):
            assert (key, fired.window.start, fired.window.end) not in found
            found[key, fired.window.start, fired.window.end] = value


@pytest.mark.parametrize("panes", [2, PANES_MIN, 12])
def test_windows_are_merged_from_the_records_that_were_not_late_for_them(panes: int) -> None:
    for seed in range(60):
        found, expected = played(random.Random(seed), FixedWindows(3 * panes, 3))
        assert found == expected, f"seed {seed}"


def test_only_windows_of_many_panes_that_can_merge_have_totals() -> None:
    assert totals_for(JOIN.merge, PANES_MIN - 1) is None
    assert totals_for(JOIN.merge, PANES_MIN) is not None
    assert totals_for(None, PANES_MIN) is None


def test_a_merge_that_raises_is_reported_by_each_window_that_has_both() -> None:
    def refuse(one: str, other: str) -> str:
        if "!" in one and "?" in other:
            raise ValueError("both")
        return one + other

    store = PaneStore(spec_of(FixedWindows(6, 1), replace(JOIN, merge=refuse)))
    for time, record in [(0, "!"), (2, "?"), (3, "x"), (9, "y")]:
        store.add("k", record, time)
        store.add("other", record.replace("!", "1"), time)
    store.advance(END)
    failed: set[int] = set()
    given: dict[int, str] = {}
    while (fired := store.fire_some(1)) is not None:
        failed |= {fired.window.end for each in fired.failures if each.key == "k"}
        if fired.keys == ["k"]:
            given[fired.window.end] = fired.accumulators[0]
    assert failed == {3, 4, 5, 6}
    assert given == {1: "!", 2: "!", 7: "?x", 8: "?x", 9: "x"} | dict.fromkeys(range(10, 16), "y")
