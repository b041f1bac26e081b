"""Late records, several sources, timers, alarms and keys that expire, whatever fails."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest

from tests.simulation.planted import Plant, first_failure
from tests.simulation.timed import run_timed
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.pane_state import PaneState
from wallaroo.operators.saved_state import Moved, Progress
from wallaroo.operators.timed_states import TimedStates
from wallaroo.testing import SimulationError
from wallaroo.timing import clocks
from wallaroo.timing.clocks import Clock, Status, Watermark
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.panes import Failed, Pane
from wallaroo.timing.source_times import SourceTimes

SEEDS, SEEDS_WITH_LOGS, SEEDS_A_TEST = 33, 11, 11
SEEDS_OF_A_BUG = range(100)

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def half_fired_windows_with_many_layers(monkeypatch: Patch) -> None:
    """Let barriers, crashes and resizes find windows that are half fired, and layers merged."""
    fire = TimedStates.fire_some
    monkeypatch.setattr(TimedStates, "fire_some", lambda self, count: fire(self, min(count, 2)))
    monkeypatch.setattr(Pane.layers_to_merge, "__defaults__", (2,))


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_record_is_in_its_results_or_late(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_timed(seed)


@pytest.mark.parametrize("first", range(0, SEEDS_WITH_LOGS, SEEDS_A_TEST))
def test_logs_are_read_to_their_ends_and_all_windows_fire(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_timed(seed, with_logs=True)


def without_one_sender(patch: Patch) -> None:
    """A clock is the minimum of all senders but one."""

    def combine(watermarks: Iterable[Watermark]) -> int:
        given = [*watermarks]
        return combined(given[1:] or given)

    combined = clocks.combine
    patch.setattr(clocks, "combine", combine)


def without_holding_own(patch: Patch) -> None:
    """A worker applies its own watermark at once, behind its barrier, too."""
    patch.setattr(Clock, "hold_own", lambda *_: None)


def with_ended_senders(patch: Patch) -> None:
    """A sender that has ended counts beside others that are idle."""

    def combine(watermarks: Iterable[Watermark]) -> int:
        given = [*watermarks]
        is_active = any(each.status is Status.ACTIVE for each in given)
        has_ended = any(each.status is Status.ENDED for each in given)
        return END if has_ended and not is_active else combined(given)

    combined = clocks.combine
    patch.setattr(clocks, "combine", combine)


def without_waiting_for_what_has_moved(patch: Patch) -> None:
    """Splits and connections move without the times of their sources."""
    patch.setattr(SourceTimes, "wait_for_moved", lambda *_: None)


def with_fired_as_the_clock(patch: Patch) -> None:
    """A share has how far windows have fired as its clock."""
    progress = property(lambda self: Progress(self._store.fired, self._store.fired))
    patch.setattr(PaneState, "progress", progress)


def with_the_clock_as_fired(patch: Patch) -> None:
    """A share has its clock as how far windows have fired."""
    progress = property(lambda self: Progress(self._store.clock, self._store.clock))
    patch.setattr(PaneState, "progress", progress)


def without_a_restored_clock(patch: Patch) -> None:
    """A restore begins before all windows, so some fire twice."""

    def begin(self: PaneState, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        self._store.restore_clock(BEFORE_ALL, BEFORE_ALL)

    patch.setattr(PaneState, "begin_restore", begin)


def with_bases_as_deltas(patch: Patch) -> None:
    """A base of a checkpoint is merged with what is below it."""

    def restore(self: Pane, *given: Any, is_base: bool) -> list[Failed]:
        return original(self, *given, is_base=False)

    original = Pane.restore
    patch.setattr(Pane, "restore", restore)


def with_lateness_by_fired(patch: Patch) -> None:
    """Whether a record is late follows from what has fired."""

    def locate(self: PaneStore, *given: Any) -> Any:
        clock = self.clock
        self.clock = min(clock, max(self.fired, BEFORE_ALL) + self._rules.delay_ns)
        try:
            return original(self, *given)
        finally:
            self.clock = clock

    original = PaneStore.locate
    patch.setattr(PaneStore, "locate", locate)


def without_times_that_move(patch: Patch) -> None:
    """Timers, alarms and touches do not move with their keys."""

    def take_in(self: KeyedState, givers: Iterable[Moved]) -> None:
        if type(self) is not KeyedState:
            original(self, givers)

    original = KeyedState.take_in
    patch.setattr(KeyedState, "take_in", take_in)


def without_keys_that_are_done(patch: Patch) -> None:
    """A half-fired window fires as a whole after a restore."""
    patch.setattr(PaneStore, "add_done", lambda *_: None)


PLANTED: dict[Plant, tuple[int, bool]] = {
    without_one_sender: (19, False),
    without_holding_own: (1, False),
    with_ended_senders: (16, False),
    without_waiting_for_what_has_moved: (22, True),
    with_fired_as_the_clock: (2, False),
    with_the_clock_as_fired: (2, False),
    without_a_restored_clock: (2, False),
    with_bases_as_deltas: (7, False),
    with_lateness_by_fired: (13, False),
    without_times_that_move: (4, False),
    without_keys_that_are_done: (9, False),
}
"""Each with a seed that showed it, and whether that was one with logs."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_a_planted_bug_is_found(
    plant: Callable[[Patch], None], known: tuple[int, bool], monkeypatch: Patch
) -> None:
    seed, with_logs = known
    run = partial(run_timed, with_logs=with_logs)
    errors = (SimulationError, AssertionError)
    first_failure(plant, monkeypatch, (seed, *SEEDS_OF_A_BUG), run, errors)
