"""The splits of a worker: every record once, and positions exact at any record."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from wallaroo.checkpoint.split_positions import (
    INITIAL,
    NEW,
    SplitKind,
    SplitPosition,
    earlier,
    unasked,
)
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.connectors.source_classes import Batch
from wallaroo.ingest.split_batches import Method, SplitBatch, checked_batch
from wallaroo.ingest.split_lags import SplitLags
from wallaroo.ingest.split_source import Split, WorkerSplits
from wallaroo.runtime.engine_ports import Origin

READ = Method(object(), "read")
NO_LAG, SOME_LAG = 10, 13


class Listener:
    """What the splits report, and the engine's queue of sources."""

    def __init__(self) -> None:
        self.queue: deque[WorkerSplits] = deque()
        self.left: list[SplitBatch] = []
        self.ended: list[str] = []
        self.expected: list[str] = []
        """Splits whose first records clocks wait for."""

    @property
    def timing(self) -> "Listener":
        """The clocks."""
        return self

    def expect(self, pipeline: int, split: str) -> None:
        """Wait for a split."""
        self.expected.append(split)

    def expect_no_longer(self, pipeline: int, split: str) -> None:
        """Wait no longer."""
        if split in self.expected:
            self.expected.remove(split)

    def source_ready(self, source: WorkerSplits) -> None:
        """Queue a source; twice would be a bug."""
        assert source not in self.queue
        self.queue.append(source)

    def batch_left(self, batch: SplitBatch) -> None:
        """Note that there is room."""
        self.left.append(batch)

    def split_ended(self, split: str) -> None:
        """Note the end of a split."""
        self.ended.append(split)

    def slice(self, count: int) -> list[Any]:
        """Take up to so many records as the engine does."""
        if not self.queue:
            return []
        source = self.queue.popleft()
        records = source.take(count)
        if source.has_records:
            self.queue.append(source)
        else:
            source.batch_consumed()
        return records


def new_splits() -> tuple[WorkerSplits, Listener]:
    """Return splits and what listens to them."""
    listener = Listener()
    return WorkerSplits(0, listener, listener), listener


def at(base: Any, skip_count: int) -> SplitPosition:
    """Return a position behind some records after ``base``."""
    return SplitPosition(SplitKind.AT, [base, skip_count])


def batch_of(records: list[Any], position: Any = None, **columns: Any) -> SplitBatch:
    """Return a batch as the runtime keeps it."""
    return checked_batch(Batch(records, position, **columns), READ, "p", 1)


def test_batches_of_all_splits_are_taken_in_the_order_of_their_arrival() -> None:
    splits, listener = new_splits()
    for name in ("a", "b"):
        splits.add(name, at(None, 0))
    splits.arrived("b", 2, batch_of(["b1", "b2"], 2))
    splits.arrived("a", 1, batch_of(["a1"], 1))
    assert [listener.slice(9), listener.slice(9), listener.slice(9)] == [["b1", "b2"], ["a1"], []]
    assert splits.positions() == {"a": at(1, 0), "b": at(2, 0)}
    assert len(listener.left) == 2


def test_a_position_is_exact_within_a_batch() -> None:
    splits, listener = new_splits()
    splits.add("a", at(10, 0))
    splits.arrived("a", 1, batch_of([1, 2, 3], 20))
    listener.slice(2)
    assert splits.positions() == {"a": at(10, 2)}
    splits.stop()
    assert splits.positions() == {"a": at(10, 2)}
    assert not splits.has_records


def test_only_positions_that_change_are_made_anew() -> None:
    """A barrier asks for all of them, and of 100,000 splits few are busy."""
    splits, listener = new_splits()
    for name in ("a", "b"):
        splits.add(name, at(10, 1))
    before = splits.positions()
    splits.arrived("a", 1, batch_of([1, 2, 3], 20))
    listener.slice(1)
    after = splits.positions()
    assert after["a"] == at(10, 2)
    assert after["b"] is before["b"]
    assert after["b"].to_wire() is before["b"].to_wire()
    listener.slice(9)
    assert splits.positions()["a"] == at(20, 0)


def test_records_that_were_taken_are_skipped_over_several_batches() -> None:
    splits, listener = new_splits()
    splits.add("a", at(10, 5))
    splits.arrived("a", 1, batch_of([1, 2], 12))
    splits.arrived("a", 1, batch_of([3, 4, 5, 6], 16))
    assert splits.positions() == {"a": at(12, 3)}
    assert listener.slice(9) == [6]
    assert splits.positions() == {"a": at(16, 0)}


def test_a_batch_without_records_moves_the_position() -> None:
    splits, _ = new_splits()
    splits.add("a", at(10, 0))
    splits.arrived("a", 1, batch_of([], 12, is_caught_up=True))
    assert splits.positions() == {"a": at(12, 0)}
    assert splits.all["a"].is_caught_up
    splits.arrived("a", 1, batch_of([]))
    assert splits.positions() == {"a": at(12, 0)}
    assert not splits.all["a"].is_caught_up


def test_a_split_is_caught_up_only_once_its_records_are_taken() -> None:
    splits, listener = new_splits()
    split = splits.add("a", at(10, 0))
    splits.arrived("a", 1, batch_of([1, 2], 12, is_caught_up=True))
    listener.slice(1)
    assert not split.is_caught_up
    listener.slice(1)
    assert split.is_caught_up


def test_a_split_ends_behind_its_last_record() -> None:
    splits, listener = new_splits()
    splits.add("a", at(10, 0))
    splits.arrived("a", 1, batch_of([1, 2], 12))
    splits.ended("a", 1)
    listener.slice(1)
    assert listener.ended == []
    listener.slice(1)
    assert listener.ended == ["a"]
    assert splits.positions() == {"a": SplitPosition(SplitKind.ENDED, ["", 12])}


ENDED = SplitPosition(SplitKind.ENDED, ["", 12])


@pytest.mark.parametrize("before", [at(10, 2), ENDED])
def test_a_split_of_an_earlier_run_says_so_until_it_is_known_where_this_one_goes_on(
    before: SplitPosition,
) -> None:
    splits, _ = new_splits()
    splits.add("a", earlier(before))
    assert splits.positions() == {"a": earlier(before)}
    splits.started("a", None)
    assert splits.positions() == {"a": before}


def test_a_split_that_had_ended_goes_on_if_its_source_says_so() -> None:
    splits, listener = new_splits()
    splits.add("a", earlier(ENDED))
    splits.started("a", 12)
    splits.arrived("a", 1, batch_of([3], 13))
    listener.slice(1)
    assert splits.positions() == {"a": at(13, 0)}


def test_records_that_an_earlier_run_had_taken_of_a_batch_stay_taken() -> None:
    splits, listener = new_splits()
    splits.add("a", earlier(at(10, 2)))
    splits.started("a", 10)
    splits.arrived("a", 1, batch_of([1, 2, 3], 13))
    assert listener.slice(3) == [3]


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        (SplitPosition(SplitKind.ENDED, ["it is damaged", 12]), "it is damaged"),
        (SplitPosition(SplitKind.ENDED, "it is damaged"), "it is damaged"),
        (SplitPosition(SplitKind.ENDED, ""), ""),
        (INITIAL, ""),
        (NEW, ""),
    ],
)
def test_nobody_is_asked_about_a_split_that_broke_off_or_has_no_place(
    position: SplitPosition, problem: str
) -> None:
    assert earlier(position) == unasked(position) == position
    splits, _ = new_splits()
    assert splits.add("a", position).problem == problem


def test_a_split_that_is_not_resolved_says_so_in_a_checkpoint() -> None:
    splits, listener = new_splits()
    splits.add("old", INITIAL)
    splits.add("young", NEW)
    assert splits.positions() == {"old": INITIAL, "young": NEW}
    splits.started("old", 70)
    splits.arrived("young", 2, batch_of([1, 2], 2))
    listener.slice(1)
    assert splits.positions() == {"old": at(70, 0), "young": at(None, 1)}


def test_a_new_split_with_nothing_taken_is_new_when_it_stops() -> None:
    splits, _ = new_splits()
    splits.add("young", NEW)
    splits.arrived("young", 1, batch_of([1, 2], 2))
    splits.stop()
    assert splits.positions() == {"young": NEW}


def test_a_removed_split_leaves_nothing_to_take() -> None:
    splits, listener = new_splits()
    for name in ("a", "b"):
        splits.add(name, at(0, 0))
    splits.arrived("a", 1, batch_of(["a1", "a2"], 2))
    splits.arrived("a", 1, batch_of(["a3"], 3))
    splits.arrived("b", 2, batch_of(["b1"], 1))
    assert listener.slice(1) == ["a1"]
    splits.remove("a")
    assert len(listener.left) == 2
    assert listener.slice(9) == []
    assert listener.slice(9) == ["b1"]
    assert splits.positions() == {"b": at(1, 0)}
    assert splits.queued_count == 0


def test_what_was_read_before_a_split_was_added_again_is_dropped() -> None:
    splits, listener = new_splits()
    splits.add("a", at(0, 0))
    splits.remove("a")
    split = splits.add("a", at(5, 0))
    splits.arrived("a", 1, batch_of(["old"], 1))
    splits.ended("a", 1)
    assert len(listener.left) == 1
    splits.arrived("a", split.reading, batch_of(["young"], 6))
    assert listener.slice(9) == ["young"]
    assert listener.ended == []


def test_the_lag_is_the_end_less_the_position() -> None:
    splits, listener = new_splits()
    split = splits.add("a", at(10, 0))
    assert split.lag is None
    split.ends_at(15, "", 0.0)
    splits.arrived("a", 1, batch_of(["x"], 11, times=[3.5]))
    listener.slice(1)
    assert [split.lag, split.time] == [4, 3.5]


def test_the_lag_counts_from_the_offset_that_is_first_in_a_position() -> None:
    splits, _ = new_splits()
    split = splits.add("a", at([10, "id"], 0))
    split.ends_at(15, "", 0.0)
    assert split.lag == 5


def test_without_an_offset_in_positions_there_is_no_lag() -> None:
    splits, _ = new_splits()
    split = splits.add("a", at("b", 0))
    split.ends_at(15, "", 0.0)
    assert split.lag is None


Cut = Callable[[random.Random, int, int], SplitBatch]
NAMES = ("a", "b", "c")
LENGTH = 60


def counted(chance: random.Random, start: int, end: int) -> SplitBatch:
    """Return records of a log whose positions count in tens, so a position is needed."""
    return batch_of(list(range(start, end)), end * 10)


def with_offsets(chance: random.Random, start: int, end: int) -> SplitBatch:
    """Return records with their offsets, of which odd ones may be compacted away."""
    kept = [n for n in range(start, end) if n % 2 == 0 or chance.random() < 0.9]
    return batch_of(kept, end * 10, offsets=[n * 10 for n in kept])


def one_by_one(chance: random.Random, start: int, end: int) -> SplitBatch:
    """Return records with positions of their own."""
    positions = [(n + 1) * 10 for n in range(start, end)]
    return SplitBatch(list(range(start, end)), end * 10, positions=positions)


@pytest.mark.parametrize("cut", [counted, with_offsets, one_by_one])
@pytest.mark.parametrize("first_seed", range(0, 500, 100))
def test_each_record_is_taken_once_over_any_crashes(cut: Cut, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 100):
        live_until_the_end(random.Random(seed), cut)


def live_until_the_end(chance: random.Random, cut: Cut) -> None:
    """Read three logs to their ends with crashes; what a checkpoint has stays taken."""
    saved: dict[str, SplitPosition] = dict.fromkeys(NAMES, NEW)
    kept: dict[str, list[int]] = {name: [] for name in NAMES}
    for _ in range(100):
        splits, listener = new_splits()
        taken = {name: list(kept[name]) for name in NAMES}
        at: dict[str, int] = {}
        for name in NAMES:
            split = splits.add(name, saved[name])
            # Offsets are the next record's position, so -9 makes them a position of this log.
            at[name] = 0 if split.base is None else (split.base + 9) // 10
        while chance.random() > 0.02:
            step(chance, splits, listener, at, taken, cut)
            if chance.random() < 0.2:
                saved = splits.positions()
                kept = {name: list(taken[name]) for name in NAMES}
        if all(each.kind is SplitKind.ENDED for each in saved.values()):
            break
    else:
        pytest.fail("the logs were not read to their ends")
    for name in NAMES:
        even = range(0, LENGTH, 2)
        wanted = even if cut is with_offsets else range(LENGTH)
        found = [n for n in kept[name] if cut is not with_offsets or n % 2 == 0]
        assert found == [*wanted]
        assert sorted(set(kept[name])) == kept[name]


def step(
    chance: random.Random,
    splits: WorkerSplits,
    listener: Listener,
    at: dict[str, int],
    taken: dict[str, list[int]],
    cut: Cut,
) -> None:
    """Let one batch arrive, or take some records, or move a split away and back."""
    name = chance.choice(NAMES)
    split = splits.all[name]
    happens = chance.random()
    if happens < 0.05:
        again = splits.add(name, splits.remove(name))
        at[name] = 0 if again.base is None else (again.base + 9) // 10
        splits.arrived(name, split.reading, batch_of([-1], 9999))
    elif happens < 0.5 and split.kind is not SplitKind.ENDED and at[name] <= LENGTH:
        end = min(at[name] + chance.randint(0, 7), LENGTH)
        if at[name] == LENGTH:
            splits.ended(name, split.reading)
            end += 1
        else:
            splits.arrived(name, split.reading, cut(chance, at[name], end))
        at[name] = end
    else:
        owner = splits._split  # the split of the records that are taken next
        records = listener.slice(chance.randint(1, 5))
        if owner is not None:
            taken[owner.name].extend(records)


def caught_up_split() -> Split:
    split = Split("s", 1, SplitPosition(SplitKind.AT, [10, 0]), SplitLags())
    split.finish(SplitBatch([], 10, is_caught_up=True))
    return split


def test_records_that_arrive_behind_a_split_that_had_caught_up_have_an_age_from_then_on() -> None:
    split = caught_up_split()
    split.ends_at(NO_LAG, "", 100.0)
    assert split.age_s(105.0) == 0.0
    split.ends_at(SOME_LAG, "", 105.0)
    split.ends_at(SOME_LAG, "", 110.0)
    assert split.age_s(112.0) == 7.0
    split.take_up(SplitBatch([b"x"], 11))
    assert split.age_s(112.0) is None  # the record has no time
    split.finish(SplitBatch([b"x"], 11, times=[111.5]))
    assert split.age_s(112.0) == 0.5


def test_a_split_whose_end_is_not_known_and_that_is_held_has_no_age() -> None:
    split = caught_up_split()
    split.ends_at(SOME_LAG, "a transaction is open", 100.0)
    split.ends_at(SOME_LAG, "a transaction is open", 105.0)
    assert (split.age_s(106.0), split.held_since_s) == (6.0, 100.0)
    split.ends_at(None, "nobody answers", 107.0)
    assert (split.age_s(108.0), split.held_since_s) == (None, 100.0)
    split.ends_at(NO_LAG, "", 109.0)
    assert (split.age_s(110.0), split.held_since_s, split.held) == (0.0, None, "")


class OneByOne(Sequence[float]):
    """A sequence that looks its items up when they are asked for, and knows no slices."""

    def __init__(self, items: list[float]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        assert isinstance(index, int)
        return self._items[index]


def test_records_go_on_with_the_times_that_their_batch_gives_and_the_split_they_are_from() -> None:
    listener = Listener()
    splits = WorkerSplits(0, listener, listener, gives_times=True)
    reading = splits.add("a", NEW).reading
    times = OneByOne([1.5, 2.5, float("nan")])
    timed = SplitBatch(["x", "y", "z"], 3, times=times, read_ns=7)
    splits.arrived("a", reading, timed)
    splits.arrived("a", reading, SplitBatch(["w"], 4))
    assert splits.origin == Origin("a", 7)
    taken = splits.take(2)
    assert isinstance(taken, KeyedRecords)
    assert (taken, taken.keys, taken.times) == (["x", "y"], None, [1.5, 2.5])
    assert listener.slice(1) == ["z"]
    assert splits.all["a"].time is None, "the last message has no time"
    rest = splits.take(9)
    assert isinstance(rest, KeyedRecords)
    assert (rest, rest.times) == (["w"], [None])


def test_clocks_wait_for_splits_until_it_is_known_whether_they_have_records() -> None:
    splits, listener = new_splits()
    for name in ("empty", "full", "ends", "read"):
        splits.add(name, NEW)
    splits.add("ended", SplitPosition(SplitKind.ENDED, None))
    assert listener.expected == ["empty", "full", "ends", "read"]
    splits.arrived("empty", 1, batch_of([], 0, is_caught_up=True))
    splits.arrived("full", 2, batch_of([], 0))
    splits.ended("ends", 3)
    splits.arrived("read", 4, batch_of(["x"], 1, is_caught_up=True))
    assert listener.expected == ["full", "read"]


def test_clocks_do_not_wait_for_a_split_that_stays_ended() -> None:
    splits, listener = new_splits()
    splits.add(
        "a", SplitPosition(SplitKind.EARLIER, SplitPosition(SplitKind.ENDED, None).to_wire())
    )
    assert listener.expected == ["a"]
    splits.started("a", None)
    assert not listener.expected
