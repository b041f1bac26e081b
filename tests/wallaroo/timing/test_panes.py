"""Panes under checkpoints, crashes and moves give what windows are by definition.

The runs are drawn from seeds. A search for small examples would hardly ever draw a checkpoint, a
move, a half-fired window and a crash that belong together.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from math import gcd

import pytest

from tests.wallaroo.timing.pane_run import KEYS, PaneRun, expected
from tests.wallaroo.timing.windowed import JOIN, LISTED, spec_of
from wallaroo.testing.model import TimedRecord, fixed_windows
from wallaroo.timing.pane_saving import ChunkKind, PaneChanges, PaneChunk
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.panes import LAYERS_MAX, Failed, Layer, Pane
from wallaroo.timing.window_spec import AggregationSpec, FixedWindows

BOUND = 8
SEEDS = 30
ACTIONS = [
    *["record"] * 8,
    *["advance", "fire 0", "fire 1", "write", "move"] * 3,
    *["freeze", "commit"] * 2,
    *["crash", "abandon", "merge"],
]


def drawn_records(chance: random.Random) -> list[TimedRecord]:
    """Return records whose disorder is within the bound; each has another letter as value."""
    records, top = [], -30
    for number in range(60):
        top += chance.randrange(4)
        time = top - chance.randrange(BOUND)
        records.append(TimedRecord(chance.choice(KEYS), time, chr(ord("A") + number)))
    return records


def play(run: PaneRun, chance: random.Random) -> None:
    actions: dict[str, Callable[[], None]] = {
        "record": run.take_record,
        "advance": run.advance,
        "fire 0": partial(run.fire, 0, 1),
        "fire 1": partial(run.fire, 1, 2),
        "freeze": run.freeze,
        "write": partial(run.write, 1),
        "commit": run.commit,
        "abandon": run.abandon,
        "crash": run.crash,
        "merge": run.merge_layers,
    }
    for action in chance.choices(ACTIONS, k=300):
        if action == "move":
            run.move(chance.choice(KEYS))
        else:
            actions[action]()


WINDOWS = {
    "tumbling": FixedWindows(10, 10),
    "tumbling with an offset that does not divide": FixedWindows(7, 7, 3),
    "sliding": FixedWindows(12, 4),
    "sliding by panes of a common divisor": FixedWindows(10, 4, 1),
    "sliding over many panes": FixedWindows(18, 3),
}


def in_order_of_panes(windows: FixedWindows, records: list[TimedRecord]) -> list[TimedRecord]:
    """Return records as their window has them: by pane, in a pane by arrival."""
    width = gcd(windows.size_ns, windows.every_ns)
    return sorted(records, key=lambda each: (each.time - windows.offset_ns) // width)


def compare(seed: int, windows: FixedWindows, aggregation: AggregationSpec) -> None:
    chance = random.Random(seed)
    records = drawn_records(chance)
    run = PaneRun(spec_of(windows, aggregation), records, BOUND)
    play(run, chance)
    contents = fixed_windows(
        in_order_of_panes(windows, records),
        windows.size_ns,
        windows.every_ns,
        windows.offset_ns,
    )
    assert run.finish() == expected(contents), f"seed {seed}"


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS.keys())
def test_any_order_of_events_gives_the_windows_of_the_definition(windows: FixedWindows) -> None:
    for seed in range(SEEDS):
        compare(seed, windows, JOIN)


def test_an_aggregation_that_cannot_merge_gives_the_same() -> None:
    for seed in range(SEEDS):
        compare(seed, FixedWindows(10, 10), LISTED)


def test_the_planted_bug_of_unsaved_layers_that_are_merged_is_found_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def merged(self: Pane, lower: Layer, upper: Layer, step: int) -> Iterator[None]:
        yield from original(self, lower, upper, step)
        self.unsaved = [layer for layer in self.unsaved if layer not in (lower, upper)]

    original = Pane.merged
    monkeypatch.setattr(Pane, "merged", merged)
    monkeypatch.setattr(Pane.layers_to_merge, "__defaults__", (2,))
    monkeypatch.setattr(Layer, "is_saved", property(lambda _: True, lambda *_: None), raising=False)
    with pytest.raises(AssertionError):
        for seed in range(100):
            compare(seed, FixedWindows(10, 10), JOIN)


def pane(aggregation: AggregationSpec = JOIN) -> Pane:
    return Pane(0, 10, aggregation, aggregation.merge, tracks_changes=True)


def test_a_base_of_a_checkpoint_replaces_what_is_below_and_a_delta_is_merged_with_it() -> None:
    restored = pane()
    restored.restore(["a", "b", "c"], ["1", "2", "3"], is_base=False)
    restored.restore(["a", "b"], ["4", "5"], is_base=False)
    restored.restore(["a", "c"], ["6", None], is_base=True)
    assert [restored.folded_key(key) for key in "abc"] == ["6", "25", None]


def test_a_delta_is_not_merged_with_a_base_that_has_something_below() -> None:
    moved = pane()
    for key, value in [("a", "1"), ("b", "2")]:
        moved.add(key, value, 1)
        moved.set_aside()
    moved.put_base({"c": "3"})
    moved.add("b", "4", 1)
    moved.set_aside()
    for layer in moved.layers:
        layer.mark_saved()
    while pair := moved.layers_to_merge(layers_max=1):
        for _ in moved.merged(*pair, 1):
            pass
        assert [moved.folded_key(key) for key in "abc"] == ["1", "24", "3"]


def test_layers_are_merged_only_if_there_are_many_and_all_are_saved() -> None:
    many = pane()
    for value in "12345":
        many.add("a", value, 1)
        many.set_aside()
    assert many.layers_to_merge() is None, "a checkpoint still has to write them"
    for layer in many.layers:
        layer.mark_saved()
    pair = many.layers_to_merge()
    assert pair is not None
    for _ in many.merged(*pair, 10):
        pass
    assert len(many.layers) == LAYERS_MAX
    assert many.layers_to_merge() is None


def take_checkpoint(changes: PaneChanges, write: Callable[[PaneChunk], None]) -> None:
    changes.freeze(write)
    while changes.is_writing:
        changes.write_slice(5)


def test_a_checkpoint_that_cannot_be_pickled_has_an_error_and_can_be_abandoned() -> None:
    store = PaneStore(spec_of(FixedWindows(10, 10)), tracks_changes=True)
    changes = PaneChanges(store)
    store.add("k", "x", 1)

    def refuse(chunk: PaneChunk) -> None:
        raise TypeError("cannot pickle this")

    take_checkpoint(changes, refuse)
    assert "cannot pickle" in str(changes.error)
    changes.abandon()
    written: list[PaneChunk] = []
    take_checkpoint(changes, written.append)
    assert written == [PaneChunk(ChunkKind.DELTA, 0, ["k"], ["x"])]
    assert changes.error is None


def test_a_key_whose_parts_cannot_be_merged_takes_memory_once_and_fails() -> None:
    mixed = pane()
    for _ in range(50):
        mixed.add_partial(["a", "b"], ["1", "2"], 0)
        mixed.add_partial(["a", "b"], [3, "4"], 0)
    mixed.set_aside()
    assert len(mixed.layers) == 2
    failures: list[Failed] = []
    *_, total = mixed.folded(10, 5, failures, is_kept=False)
    assert total == {"b": "24" * 50}
    assert [failed.key for failed in failures] == ["a"]


def test_a_key_that_could_not_be_merged_begins_again_once_it_has_moved_away() -> None:
    mixed = pane()
    mixed.add_partial(["a"], ["1"], 0)
    mixed.add_partial(["a"], [3], 0)
    mixed.remove(["a"])
    mixed.add_partial(["a"], ["5"], 0)
    assert mixed.folded_key("a") == "5"
