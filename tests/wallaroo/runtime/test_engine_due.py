"""What a clock has made due: before records, a slice at a time, but never before a barrier."""

from collections import defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.wallaroo.operators.mesh import stateless_plan
from tests.wallaroo.runtime.engine_events import EventsIgnored
from tests.wallaroo.runtime.test_engine_turns import Endless
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.pacing import Pacer
from wallaroo.operators.timed_states import TimedStates
from wallaroo.runtime.due_work import DueWork
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import Barrier


class TimedDataflow:
    """Notes what runs; one key that fires, or one record, takes a millisecond."""

    probe = None
    waiting = SimpleNamespace(steps=(), me=WorkerName("w1"), plan=stateless_plan())
    keyed = SimpleNamespace(steps={})
    names = ("windows",)

    def __init__(self, due_count: int) -> None:
        self.now_s = 0.0
        self.due_count = due_count
        self.log: list[str] = []
        self.timed = self

    @property
    def due_state(self) -> str | None:
        return "windows" if self.due_count else None

    def fire_some(self, key_count_max: int) -> int:
        count = min(key_count_max, self.due_count)
        self.due_count -= count
        self.log.append(f"due {count}")
        self.now_s += 0.001 * count
        return count

    def pipeline_of(self, state: str) -> int:
        return 0

    def run_source(
        self, pipeline: int, records: list[Any], *, is_watched: bool, read_ns: int
    ) -> int:
        self.log.append("records")
        self.now_s += 0.001 * len(records)
        return read_ns

    def take_batches(self, oldest_ns: dict[int, int], *, holds_partials: bool) -> list[Any]:
        return []

    def take_output(self) -> list[Any]:
        return []

    def take_failures(self) -> list[Any]:
        return []


class Events(EventsIgnored):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def barrier_received(self, link: Link, barrier: Barrier) -> None:
        self._log.append("barrier")


class FrameLink:
    worker = WorkerName("w2")

    def processed(self, frame: object) -> None: ...


class Played:
    """An engine whose turns a test takes one by one."""

    def __init__(self, due_count: int) -> None:
        self.dataflow = TimedDataflow(due_count)
        self.log = self.dataflow.log
        self.events = Events(self.log)
        self._turns: deque[Callable[[], None]] = deque()
        self.engine = Engine(lambda: self.dataflow.now_s, self, self.events)
        self.engine.restart(cast(Dataflow, self.dataflow))
        self.engine.source_ready(cast(Any, Endless()))

    def call_soon(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None: ...

    def turn(self) -> list[str]:
        """Take a turn; return what ran in it."""
        del self.log[:]
        self._turns.popleft()()
        return [*self.log]


def barrier() -> Barrier:
    return Barrier(1, Epoch(1), CheckpointId(1), EdgeId(0))


def test_what_is_due_comes_before_records_in_short_slices() -> None:
    played = Played(70)
    assert played.turn() == ["due 64"]
    ran = [*played.turn(), *played.turn()]
    due = [each for each in ran if each.startswith("due")]
    assert ran[: len(due)] == due
    assert sum(int(each.split()[1]) for each in due) == 6
    assert set(due) <= {"due 1", "due 2"}


def test_a_barrier_does_not_wait_for_what_is_due() -> None:
    played = Played(70)
    assert played.turn() == ["due 64"]
    played.engine.frame_arrived(cast(Link, FrameLink()), barrier())
    assert played.turn()[0] == "barrier"


def test_nothing_fires_while_the_sources_are_behind_a_barrier() -> None:
    played = Played(70)
    played.engine.hold_sources()
    assert played.turn() == []
    played.engine.release_sources()
    played.engine.schedule()
    assert played.turn() == ["due 64"]


def test_records_do_not_wait_for_what_is_due_while_output_is_under_pressure() -> None:
    played = Played(70)
    played.events.must_pause = True
    played.engine.frame_arrived(cast(Link, FrameLink()), barrier())
    assert played.turn() == ["barrier"]


def last_windows_under_pressure() -> list[str]:
    """Return what runs while the outbox is full, which only the last barrier empties."""
    played = Played(70)
    played.events.must_pause = True
    assert played.engine._due is not None
    played.engine._due.stop_waiting()
    played.engine.schedule()
    return played.turn()


def test_the_last_windows_fire_under_pressure_since_the_last_barrier_waits_for_them() -> None:
    assert last_windows_under_pressure() == ["due 64"]


def test_the_planted_bug_of_last_windows_that_wait_for_the_outbox_is_found_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DueWork, "stop_waiting", lambda _: None)
    with pytest.raises(AssertionError):
        test_the_last_windows_fire_under_pressure_since_the_last_barrier_waits_for_them()


class TimersOfTwoPipelines:
    """Timers of one state that two pipelines share, by the pipeline of each."""

    def __init__(self, *pipelines: int) -> None:
        self._due = deque(pipelines)

    @property
    def due_state(self) -> str | None:
        return "shared" if self._due else None

    def pipeline_of(self, state: str) -> int:
        return self._due[0] if self._due else 0

    def fire_some(self, key_count_max: int) -> int:
        self._due.popleft()
        return 1


def test_results_of_a_timer_are_those_of_its_pipeline() -> None:
    timed = cast(TimedStates, TimersOfTwoPipelines(2, 1))
    due = DueWork(timed, defaultdict(Pacer), lambda: 0.0)
    assert [due.run(None), due.run(None)] == [2, 1]
