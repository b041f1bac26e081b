"""Windows of so many records, and the one window that a key's first record opens."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallaroo.timing.tracked import TrackedObjects
from tests.wallaroo.timing.windowed import EARLY, FINAL, JOIN, LATE, UPDATE, Result, spec_of
from wallaroo.testing.model import TimedRecord, count_windows
from wallaroo.timing.counts import CountStore
from wallaroo.timing.ephemeral import EphemeralStore
from wallaroo.timing.instants import END
from wallaroo.timing.keyed_objects import UntrackedObjects
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import CountWindows, EphemeralWindows, LatePolicy


def results_of(fired: list[Fired]) -> list[Result]:
    return [
        (each.keys[0], each.accumulators[0], each.window.start, each.window.end, each.kind)
        for each in fired
    ]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=40),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 40),
)
def test_count_windows_are_those_of_the_definition(
    drawn: list[tuple[str, int]], count: int, slide: int, restart_at: int
) -> None:
    slide = min(slide, count)
    spec = spec_of(CountWindows(count, slide))
    state = TrackedObjects()
    store = CountStore(spec, state)
    records = [TimedRecord(key, time, chr(65 + at)) for at, (key, time) in enumerate(drawn)]
    found: dict[str, list[list[str]]] = {"a": [], "b": []}
    for number, (key, time, value) in enumerate(records):
        if number == restart_at:
            state = TrackedObjects(state.saved())
            store = CountStore(spec, state)
        for fired in store.add(key, value, time):
            found[key].append([*fired.accumulators[0]])
    expected = count_windows(records, count, slide)
    assert {key: values for key, values in found.items() if values} == {
        key: values for key, values in expected.items() if values
    }


def counted(records: str, windows: CountWindows, **firing: Any) -> tuple[CountStore, list[Result]]:
    store = CountStore(spec_of(windows, **firing), UntrackedObjects())
    fired = [
        each for time, record in enumerate(records) for each in store.add("k", record, 10 + time)
    ]
    return store, results_of(fired)


def test_a_count_window_has_the_times_of_its_first_and_last_record() -> None:
    _, results = counted("abcde", CountWindows(2, 2))
    assert results == [("k", "ab", 10, 11, FINAL), ("k", "cd", 12, 13, FINAL)]


@pytest.mark.parametrize(("emits", "last"), [(True, [("k", "e", 14, 14, FINAL)]), (False, [])])
def test_a_partial_window_gives_a_result_at_the_end_only_if_that_was_said(
    emits: bool, last: list[Result]
) -> None:
    store, _ = counted("abcde", CountWindows(2, 2, emits_partial=emits))
    assert results_of(store.finish_some(10) or []) == last
    assert store.finish_some(10) is None


def test_count_windows_give_early_results_and_end_when_that_was_said() -> None:
    _, results = counted("abcd", CountWindows(5, 5), early_count=2)
    assert results == [("k", "ab", 10, 11, EARLY), ("k", "abcd", 10, 13, EARLY)]
    _, results = counted("abcde", CountWindows(5, 5), until=lambda key, found: len(found) == 2)
    assert results == [("k", "ab", 10, 11, FINAL), ("k", "cd", 12, 13, FINAL)]


def test_a_record_whose_update_raises_is_not_counted() -> None:
    def update(record: str, so_far: str) -> str:
        if record == "!":
            raise ValueError(record)
        return so_far + record

    store = CountStore(
        spec_of(CountWindows(2, 1), replace(JOIN, update=update)), UntrackedObjects()
    )
    given = []
    for record in "a!bc":
        try:
            given += store.add("k", record, 0)
        except ValueError:
            continue
    assert [each.accumulators[0] for each in given] == ["ab", "bc"]


class EphemeralRun:
    def __init__(self, trigger: int, post: int, **firing: Any) -> None:
        self.spec = spec_of(EphemeralWindows(trigger, post), **firing)
        self.state = TrackedObjects()
        self.store = EphemeralStore(self.spec, self.state)

    def add(self, time: int, record: str, key: str = "k") -> list[Result]:
        self.store.add(key, record, time)
        fired = []
        while (each := self.store.fire_ready()) is not None:
            fired.append(each)
        return results_of(fired)

    def advance(self, clock: int) -> list[Result]:
        self.store.advance(clock)
        fired = []
        while (each := self.store.fire_some(1)) is not None:
            fired += [each] if each.keys else []
        assert self.store.fired == clock - self.spec.firing.delay_ns
        return results_of(fired)

    def restart(self) -> None:
        clock, fired = self.store.clock, self.store.fired
        self.state = TrackedObjects(self.state.saved())
        self.store = EphemeralStore(self.spec, self.state)
        self.store.restore_clock(clock, fired)


def test_the_first_record_of_a_key_opens_its_window() -> None:
    run = EphemeralRun(10, 20)
    run.add(3, "a")
    run.add(99, "b")
    assert run.store.get("k")[0][1] == "ab"
    assert run.advance(12) == []
    run.restart()
    assert run.advance(13) == [("k", "ab", 3, 13, FINAL)]
    assert run.store.get("k") == []


def test_records_are_late_until_the_key_is_forgotten() -> None:
    run = EphemeralRun(10, 20)
    run.add(3, "a")
    run.advance(13)
    run.restart()
    run.add(14, "b")
    assert run.store.late_count == 1
    assert run.advance(33) == []
    assert run.state.saved() == {}
    run.add(30, "c")
    assert run.advance(40) == [("k", "c", 30, 40, FINAL)]


@pytest.mark.parametrize(
    ("policy", "given"),
    [
        (LatePolicy.FIRE_PER_MESSAGE, [("k", "b", 3, 13, LATE)]),
        (LatePolicy.UPDATE, [("k", "ab", 3, 13, UPDATE)]),
        (LatePolicy.SIDE, []),
    ],
)
def test_a_late_record_of_a_key_follows_the_policy(policy: LatePolicy, given: Any) -> None:
    run = EphemeralRun(10, 20, late=policy, allow_late_ns=5)
    run.add(3, "a")
    run.advance(13)
    assert run.add(14, "b") == given
    assert len(run.store.take_side()) == (policy is LatePolicy.SIDE)
    run.advance(18)
    assert run.add(15, "c") == ([("k", "c", 3, 13, LATE)] if given and given[0][4] is LATE else [])


def test_a_window_without_time_to_be_late_is_forgotten_as_it_fires() -> None:
    run = EphemeralRun(10, 0, delay_ns=5)
    run.add(3, "a")
    assert run.advance(18) == [("k", "a", 3, 13, FINAL)]
    assert run.state.objects == {}
    run.add(2, "late from its first record on")
    assert run.store.late_count == 1


def test_until_fires_a_window_at_once_and_later_records_are_late() -> None:
    run = EphemeralRun(10, 20, until=lambda key, found: "b" in found)
    assert run.add(3, "a") == []
    assert run.add(4, "b") == [("k", "ab", 3, 13, FINAL)]
    run.add(5, "c")
    assert run.store.late_count == 1
    assert run.advance(END - 1) == []
    assert run.state.objects == {}


def test_a_window_that_should_have_been_forgotten_gives_its_result_first() -> None:
    run = EphemeralRun(10, 20)
    run.add(3, "a")
    run.store.advance(50)
    assert run.add(45, "b") == [("k", "a", 3, 13, FINAL)]
    assert run.advance(55) == [("k", "b", 45, 55, FINAL)]
