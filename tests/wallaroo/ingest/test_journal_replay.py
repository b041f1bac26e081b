"""Replays of journals under an application that is not quite the one that wrote them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.wallaroo.runtime.engine_events import EventsIgnored, LoopIgnored
from wallaroo.checkpoint.blocks import BLOCK_HEAD_BYTES
from wallaroo.checkpoint.journal import ENTRY_HEAD_BYTES, Entry
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.ingest.journal_replay import ReplayRunner
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Application, Pipeline

PIPELINE = Pipeline("sent", TCPSource("h", 7010, 1, ">B", bytes), (), ())
PLAN = Application("app", (PIPELINE,), {}, ())
WITH_WIDER_HEADER = replace(
    PLAN, pipelines=(replace(PIPELINE, source=TCPSource("h", 7010, 2, ">H", bytes)),)
)
FRAMES = b"\x01a\x02bb\x03ccc"


def entries(*pipelines: int) -> Iterator[Entry]:
    """An entry of three records for each of these."""
    for number, pipeline in enumerate(pipelines):
        yield Entry(
            number * (BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES + len(FRAMES)), pipeline, 3, FRAMES, 0
        )


class Replay:
    """A replay, and what it reports."""

    def __init__(self, plan: Application) -> None:
        self.problems: list[WallarooError] = []
        self.finished: list[tuple[int, int]] = []
        engine = Engine(lambda: 0.0, LoopIgnored(), EventsIgnored())
        self.runner = ReplayRunner(plan, engine, self)

    def replay_finished(self, journal_count: int, record_count: int) -> None:
        self.finished.append((journal_count, record_count))

    def replay_failed(self, error: WallarooError) -> None:
        self.problems.append(error)


def runner_of(plan: Application) -> ReplayRunner:
    return Replay(plan).runner


def test_all_records_come_however_long_they_were_allowed_to_be() -> None:
    runner, progress = runner_of(PLAN), JournalProgress("w1-0000000001")
    runner.start([(entries(0, 0), progress)])
    assert runner.take(2) == [b"a", b"bb"]
    assert runner.take(9) == [b"ccc"]
    assert runner.take(9) == [b"a", b"bb", b"ccc"]
    assert not runner.has_records
    assert progress.position().offset == progress.end


def test_records_that_cannot_be_cut_as_they_were_are_not_skipped() -> None:
    runner = runner_of(WITH_WIDER_HEADER)
    with pytest.raises(ConfigError, match="the 3 records there do not match") as caught:
        runner.start([(entries(0), JournalProgress("w1-0000000001"))])
    assert caught.value.what.startswith("journal w1-0000000001, byte 0: ")
    assert "'sent'" in caught.value.what


def test_an_entry_that_cannot_be_cut_later_on_ends_the_replay() -> None:
    plan = replace(PLAN, pipelines=(PIPELINE, *WITH_WIDER_HEADER.pipelines))
    replay = Replay(plan)
    runner = replay.runner
    runner.start([(entries(0, 1), JournalProgress("w1-0000000001"))])
    assert runner.take(3) == [b"a", b"bb", b"ccc"]
    assert [type(problem) for problem in replay.problems] == [ConfigError]
    runner.batch_consumed()
    assert replay.finished == []


def test_what_was_sent_to_a_pipeline_that_is_gone_is_dropped() -> None:
    runner, progress = runner_of(PLAN), JournalProgress("w1-0000000001")
    runner.start([(entries(1, 0, 2), progress)])
    assert runner.take(9) == [b"a", b"bb", b"ccc"]
    assert not runner.has_records
    assert progress.position().offset == progress.end
