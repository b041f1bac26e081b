"""All sources of one worker driven as one: what opens, what is replayed first, what ends."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.wallaroo.ingest.senders import NotedListener, NotedReader, all_of
from tests.wallaroo.runtime.engine_events import EventsIgnored, LoopIgnored
from wallaroo.checkpoint.journal import Entry
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.connectors.file import FileSource
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.sources import Sources
from wallaroo.ingest.split_ports import SplitSource
from wallaroo.runtime.engine import Engine
from wallaroo.testing.waiting import Flag
from wallaroo.topology.plan import Application, Pipeline

LISTENING = Pipeline("sent", TCPSource("h", 7010, 1, ">B", bytes), (), ())
PLACED = replace(LISTENING, name="made", source=FileSource("in", "length", 1, ">B", bytes))
PLAN = Application("app", (LISTENING, PLACED), {}, ())
ADDRESSES = ["here:1", ""]
HERE = [False, True]
ELSEWHERE = [False, False]


class NotedPlaced:
    """A source that this worker alone runs."""

    def __init__(self, on_ended: Callable[[], None]) -> None:
        self.on_ended = on_ended
        self.done: list[str] = []
        self.end: str | None = None

    def start(self) -> None:
        self.done.append("started")

    def stop(self) -> None:
        self.done.append("stopped")

    def position(self) -> int:
        return 7

    def restore(self, position: Any) -> None:
        self.done.append(f"restored to {position}")


class Around:
    """What surrounds the sources, and what they report."""

    def __init__(self) -> None:
        self.plan = PLAN
        self.engine = Engine(lambda: 0.0, LoopIgnored(), EventsIgnored())
        self.intake = ReadBudget()
        self.reader = NotedReader(self.intake)
        self.intake.add(self.reader)
        self.listener = NotedListener()
        self.listeners = {0: self.listener}
        self.replayed = Flag()
        self.placed: list[NotedPlaced] = []
        self.reports: list[tuple[str, Any]] = []
        self.ended_count = 0
        self.problems: list[WallarooError] = []
        self.sources = Sources(self, self)

    def new_placed(self, index: int) -> NotedPlaced:
        assert index == 1
        self.placed.append(NotedPlaced(self.source_ended))
        return self.placed[-1]

    def new_split_source(self, index: int) -> SplitSource:
        raise AssertionError(f"pipeline {index} has no such source")

    def split_ended(self, pipeline: int, split: str, problem: str) -> None:
        raise AssertionError(f"pipeline {pipeline} has no such source")

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        await all_of(works)

    def report(self, event: str, values: dict[str, Any]) -> None:
        self.reports.append((event, values))

    def source_ended(self) -> None:
        self.ended_count += 1

    def source_failed(self, error: WallarooError) -> None:
        self.problems.append(error)


def journal(*frames: bytes) -> list[Any]:
    """Return one journal to replay, with an entry of one record for each of these."""
    entries = [Entry(100 * number, 0, 1, each, 0) for number, each in enumerate(frames)]
    return [(entries, JournalProgress("w1-0000000001"))]


async def test_a_source_that_runs_on_one_worker_runs_there_alone() -> None:
    here, elsewhere = Around(), Around()
    await here.sources.open(ADDRESSES, HERE)
    await elsewhere.sources.open(ADDRESSES, ELSEWHERE)
    assert [each.done for each in here.placed] == [["started"]]
    assert elsewhere.placed == []
    assert here.listener.address == elsewhere.listener.address == "here:1"


async def test_what_is_open_stays_as_it_is_when_the_sources_are_opened_again() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, HERE)
    await around.sources.open(["elsewhere:1", ""], HERE)
    assert len(around.placed) == 1
    assert around.listener.address == "here:1"


async def test_a_source_begins_at_its_position_in_the_checkpoint() -> None:
    around = Around()
    around.sources.go_back({1: 40}, [])
    await around.sources.open(ADDRESSES, HERE)
    assert around.placed[0].done == ["restored to 40", "started"]


async def test_a_source_that_ran_on_a_worker_that_left_goes_on_where_that_one_was() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, ELSEWHERE)
    around.sources.set_positions({1: 41})
    await around.sources.open(ADDRESSES, HERE)
    assert around.placed[0].done == ["restored to 41", "started"]


async def test_senders_are_read_at_once_if_nothing_is_to_be_replayed() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, ELSEWHERE)
    assert not around.reader.is_paused()
    assert around.sources.is_replayed
    assert around.reports == []


async def test_senders_are_not_read_before_all_of_the_journals_is_processed() -> None:
    around = Around()
    around.sources.go_back({}, journal(b"\x01a", b"\x01b"))
    await around.sources.open(ADDRESSES, ELSEWHERE)
    assert around.listener.address, "senders connect, and wait"
    assert around.reader.is_paused()
    around.sources.replay_finished(1, 2)
    assert not around.reader.is_paused()
    assert around.sources.is_replayed
    ((event, values),) = around.reports
    assert (event, values["journals"], values["records"]) == ("journals.replayed", 1, 2)


async def test_a_journal_that_cannot_be_cut_refuses_the_start() -> None:
    around = Around()
    around.sources.go_back({}, journal(b"\x09a"))
    with pytest.raises(ConfigError, match="the 1 records"):
        await around.sources.open(ADDRESSES, ELSEWHERE)
    assert around.reader.is_paused()


async def test_a_journal_that_cannot_be_read_on_is_told_of() -> None:
    around = Around()
    around.sources.replay_failed(ConfigError("byte 7 is damaged"))
    assert [each.what for each in around.problems] == ["byte 7 is damaged"]


async def test_a_worker_that_goes_back_reads_nothing_until_it_is_opened_again() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, HERE)
    around.sources.rewind()
    assert around.reader.is_paused()
    assert around.listener.done == ["rewound"]
    assert around.placed[0].done == ["started", "stopped"]
    assert around.sources.placed == {}
    around.sources.go_back({1: 3}, [])
    await around.sources.open(ADDRESSES, HERE)
    assert around.placed[1].done == ["restored to 3", "started"]
    assert not around.reader.is_paused()


async def test_positions_are_those_of_the_sources_that_run_here() -> None:
    around = Around()
    assert around.sources.positions() == {}
    await around.sources.open(ADDRESSES, HERE)
    assert around.sources.positions() == {1: 7}


async def test_a_source_that_has_ended_is_told_of_with_what_broke_it_off() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, HERE)
    assert around.sources.ended == ([], [])
    around.placed[0].end = "line 3 is too long"
    around.placed[0].on_ended()
    assert around.ended_count == 1
    assert around.sources.ended == ([1], ["line 3 is too long"])


async def test_a_source_that_came_to_its_end_has_no_problem() -> None:
    around = Around()
    await around.sources.open(ADDRESSES, HERE)
    around.placed[0].end = ""
    assert around.sources.ended == ([1], [])


async def test_a_drain_waits_for_the_replay_and_takes_nothing_more_afterwards() -> None:
    around = Around()
    around.sources.go_back({}, journal(b"\x01a"))
    await around.sources.open(ADDRESSES, HERE)
    draining = around.sources.drain()
    draining.send(None)
    assert around.listener.done == []
    around.sources.replay_finished(1, 1)
    with pytest.raises(StopIteration):
        draining.send(None)
    assert around.listener.done == ["drained"]
    assert around.placed[0].done[-1] == "stopped"
    around.listener.address = ""
    await around.sources.listen(ADDRESSES)
    assert around.listener.address == "", "it is closed for good"
