"""Turns of the engine, with functions that take as long as a test says."""

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.wallaroo.runtime.engine_events import EventsIgnored
from wallaroo.operators.dataflow import Dataflow
from wallaroo.runtime.engine import SLICES_BEFORE_SAVING, Engine
from wallaroo.runtime.engine_ports import Origin


class SlowDataflow:
    """Takes a fixed time for each record."""

    probe = None
    waiting = SimpleNamespace(steps=())
    timed = None

    def __init__(self, record_s: float) -> None:
        self.record_s = record_s
        self.now_s = 0.0
        self.slices: list[int] = []

    def run_source(self, pipeline: int, records: list[Any], *, is_watched: bool) -> None:
        self.slices.append(len(records))
        self.now_s += self.record_s * len(records)

    def take_batches(self, oldest_ns: dict[int, int], *, holds_partials: bool) -> list[Any]:
        return []

    def take_output(self) -> list[Any]:
        return []

    def take_failures(self) -> list[Any]:
        return []


class Endless:
    """A source that always has more."""

    pipeline = 0
    delivered_ns = 0
    origin = Origin(None, 0)
    has_records = True

    def take(self, count: int) -> list[int]:
        return [0] * count


class Played:
    """An engine whose turns a test takes one by one."""

    def __init__(self, record_s: float) -> None:
        self.dataflow = SlowDataflow(record_s)
        self._turns: deque[Callable[[], None]] = deque()
        self.engine = Engine(lambda: self.dataflow.now_s, self, EventsIgnored())
        self.engine.restart(cast(Dataflow, self.dataflow))
        self.engine.source_ready(cast(Any, Endless()))

    def call_soon(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None: ...

    def turns(self, count: int) -> None:
        """Take some turns."""
        for _ in range(count):
            self._turns.popleft()()


@pytest.mark.parametrize("record_s", [0.000_002, 0.001, 0.02, 1.0])
def test_a_checkpoint_is_written_however_long_a_record_takes(record_s: float) -> None:
    played, saved = Played(record_s), 0

    def save_some() -> bool:
        nonlocal saved
        saved += 1
        return True

    played.engine.save_with(save_some)
    played.turns(10 * (SLICES_BEFORE_SAVING + 1))
    slice_count = len(played.dataflow.slices)
    assert saved >= slice_count // SLICES_BEFORE_SAVING - 1 > 0


def test_a_checkpoint_makes_no_slice_longer() -> None:
    played = Played(0.02)
    played.turns(5)
    played.dataflow.slices.clear()
    played.engine.save_with(lambda: False)
    played.turns(5)
    assert max(played.dataflow.slices) == 1


def test_slices_are_small_again_when_a_checkpoint_begins() -> None:
    played = Played(0.000_000_1)
    played.turns(5)
    assert played.dataflow.slices[-1] == 2000
    played.dataflow.slices.clear()
    played.engine.save_with(lambda: False)
    played.turns(1)
    assert played.dataflow.slices[0] == 64


def test_an_engine_that_starts_again_while_a_checkpoint_is_written_takes_records() -> None:
    played = Played(0.02)
    played.engine.save_with(lambda: True)
    played.turns(SLICES_BEFORE_SAVING)
    played.engine.restart(cast(Dataflow, played.dataflow))
    played.dataflow.slices.clear()
    played.engine.source_ready(cast(Any, Endless()))
    played.turns(1)
    assert played.dataflow.slices == [1]
