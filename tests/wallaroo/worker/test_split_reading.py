"""What a worker reports about splits: what is discovered, what has started, what has ended."""

from collections.abc import Coroutine, Mapping
from typing import Any, cast

import pytest

from tests.wallaroo.worker.by_hand import E1, ME, A
from wallaroo.checkpoint.departure import successor_of
from wallaroo.checkpoint.split_positions import SplitKind
from wallaroo.names import Epoch
from wallaroo.testing.waiting import Flag
from wallaroo.wire.splits import Discovered, Splits, SplitsEnded, SplitsStarted
from wallaroo.worker import split_reading
from wallaroo.worker.context import WorkerContext
from wallaroo.worker.split_reading import SplitReading

MEMBERS = (ME, A)
MINE = next(f"p{n}" for n in range(9) if successor_of(f"splits p{n}", MEMBERS) == ME)
OTHERS = next(f"p{n}" for n in range(9) if successor_of(f"splits p{n}", MEMBERS) == A)


class Source:
    """A source that answers when the test says so."""

    def __init__(self, discovery_s: float | None = None) -> None:
        self.discovery_s = discovery_s
        self.asked_count = 0
        self.names: list[str] = []
        self.may_answer = Flag()
        self.may_answer.set()
        self.are_started = Flag()

    async def discover(self) -> list[str]:
        self.asked_count += 1
        await self.may_answer.wait()
        return [*self.names]

    async def resolved(self) -> None:
        await self.are_started.wait()


class Sources:
    """The part of a worker's sources that is needed here."""

    def __init__(self, *sources: Source) -> None:
        self.splits = self
        self.open_sources = dict(enumerate(sources))
        self.given: list[tuple[int, SplitKind, list[str]]] = []
        self.asking: list[int] = []
        self.ended_splits: dict[int, dict[str, str]] = {}

    def give(self, pipeline: int, kind: SplitKind, splits: list[str], at: list[Any]) -> None:
        self.given.append((pipeline, kind, splits))

    def take_asking(self) -> list[int]:
        asking, self.asking = self.asking, []
        return asking

    def ended(self) -> Mapping[int, dict[str, str]]:
        return self.ended_splits


class Worker:
    """A worker's context of which only the sources are there; time passes as the test says."""

    def __init__(self, *sources: Source, pipelines: tuple[str, ...] = (MINE,)) -> None:
        self.me, self.epoch = ME, E1
        self.sources = Sources(*sources)
        self.sent: list[Any] = []
        self.paused_s: list[float] = []
        self.time = Flag()
        self._works: list[Coroutine[Any, Any, None]] = []
        self.reading = SplitReading(cast(WorkerContext, self), pipelines)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._works.append(work)

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    async def pause(self, delay_s: float) -> None:
        self.paused_s.append(delay_s)
        self.time.clear()
        await self.time.wait()

    def go_on(self) -> list[Any]:
        """Let everything go on that can; return what was sent since the last call."""
        for _ in range(10):
            works, self._works = self._works, []
            for work in works:
                try:
                    work.send(None)
                except StopIteration:
                    continue
                self._works.append(work)
        sent, self.sent = self.sent, []
        return sent


def test_one_worker_asks_a_source_for_its_splits() -> None:
    worker = Worker(Source(), Source(), pipelines=(MINE, OTHERS))
    worker.sources.open_sources[0].names = ["x", "y"]
    worker.reading.opened(MEMBERS)
    assert worker.go_on() == [Discovered(E1, 0, ["x", "y"], True)]
    assert worker.sources.open_sources[1].asked_count == 0


def test_a_source_is_asked_again_after_a_while() -> None:
    source = Source(discovery_s=30.0)
    worker = Worker(source)
    worker.reading.opened(MEMBERS)
    worker.go_on()
    assert worker.paused_s == [30.0]
    source.names = ["x"]
    worker.time.set()
    assert worker.go_on() == [Discovered(E1, 0, ["x"], True)]


def test_only_splits_that_are_new_are_reported_again() -> None:
    source = Source(discovery_s=30.0)
    worker = Worker(source)
    source.names = ["x"]
    worker.reading.opened(MEMBERS)
    worker.go_on()
    source.names = ["x", "y"]
    worker.time.set()
    assert worker.go_on() == [Discovered(E1, 0, ["y"], True)]
    worker.reading.opened(MEMBERS)
    assert worker.go_on() == [Discovered(E1, 0, ["x", "y"], True)]


def test_many_splits_take_several_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_reading, "SPLITS_A_FRAME_MAX", 2)
    worker = Worker(Source())
    worker.sources.open_sources[0].names = ["x", "y", "z"]
    worker.reading.opened(MEMBERS)
    assert worker.go_on() == [
        Discovered(E1, 0, ["x", "y"], False),
        Discovered(E1, 0, ["z"], True),
    ]


def test_a_source_is_not_asked_again_before_it_has_answered() -> None:
    source = Source()
    source.may_answer.clear()
    worker = Worker(source)
    worker.reading.opened(MEMBERS)
    worker.go_on()
    worker.epoch = Epoch(2)
    worker.reading.opened(MEMBERS)
    assert worker.go_on() == []
    assert source.asked_count == 1
    source.may_answer.set()
    assert worker.go_on() == [Discovered(Epoch(2), 0, [], True)]


def test_a_source_is_asked_at_one_pace_however_often_it_is_opened() -> None:
    source = Source(discovery_s=30.0)
    worker = Worker(source)
    for _ in range(3):
        worker.reading.opened(MEMBERS)
        worker.go_on()
    worker.time.set()
    worker.go_on()
    assert source.asked_count == 4


def test_an_answer_for_another_worker_to_give_is_dropped() -> None:
    source = Source()
    source.may_answer.clear()
    worker = Worker(source)
    worker.reading.opened(MEMBERS)
    worker.go_on()
    worker.reading.opened([A])
    source.may_answer.set()
    assert worker.go_on() == []


def test_a_worker_that_stops_asks_nothing_more() -> None:
    worker = Worker(Source(discovery_s=30.0))
    worker.reading.opened(MEMBERS)
    worker.go_on()
    worker.reading.end()
    worker.time.set()
    assert worker.go_on() == []


def test_it_reports_when_all_first_positions_are_known() -> None:
    source = Source()
    worker = Worker(source)
    worker.sources.asking = [0]
    worker.reading.given(Splits(E1, 0, "initial", ["x"], []))
    assert worker.sources.given == [(0, SplitKind.INITIAL, ["x"])]
    assert worker.go_on() == []
    source.are_started.set()
    assert worker.go_on() == [SplitsStarted(E1, 0)]


def test_splits_that_have_ended_are_reported_again_when_sources_open() -> None:
    worker = Worker(Source(), pipelines=(OTHERS,))
    worker.sources.ended_splits = {0: {"x": "", "y": "it is damaged"}}
    worker.reading.opened(MEMBERS)
    assert worker.go_on() == [SplitsEnded(E1, 0, {"x": "", "y": "it is damaged"})]


def test_a_split_that_ends_is_reported_at_once() -> None:
    worker = Worker(Source())
    worker.reading.ended(0, "x", "it is damaged")
    assert worker.sent == [SplitsEnded(E1, 0, {"x": "it is damaged"})]
