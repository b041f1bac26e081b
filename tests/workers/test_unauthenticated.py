"""What strangers can take of a process is bounded: connections, memory, lines of the log."""

import asyncio
import resource
from typing import Any, cast

import pytest

from wallaroo_workers import rate_limited_log
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.network.unauthenticated import Strangers
from wallaroo_workers.rate_limited_log import TOLD_EACH_S, BoundedLog
from wallaroo_workers.sources import frame_limits
from wallaroo_workers.sources.frame_limits import Unfinished, intake_limits


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.counted = asyncio.Event()

    def __call__(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))
        if event.endswith("_more"):
            self.counted.set()


class Connection:
    """Of a stranger, or of a sender with a frame that it does not end."""

    def __init__(self, name: str = "stranger") -> None:
        self.peer = name
        self.reasons: list[str] = []

    def abort(self, reason: str) -> None:
        self.reasons.append(reason)

    give_up = abort


def connection(name: str = "stranger") -> FrameConnection:
    return cast(FrameConnection, Connection(name))


def reasons(of: FrameConnection) -> list[str]:
    return cast(Connection, of).reasons


async def test_a_few_lines_a_second_are_told_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    log = BoundedLog(told, "stranger.refused")
    monkeypatch.setattr(rate_limited_log, "SECOND_S", 0.01)
    for number in range(TOLD_EACH_S + 3):
        log.add(number=number)
    assert told.lines == [("stranger.refused", {"number": n}) for n in range(TOLD_EACH_S)]
    await asyncio.wait_for(told.counted.wait(), 10)
    assert told.lines[TOLD_EACH_S:] == [("stranger.refused_more", {"count": 3})]
    log.add(number=99)
    assert told.lines[-1] == ("stranger.refused", {"number": 99})


async def test_beyond_the_limit_the_stranger_that_waited_longest_has_to_go() -> None:
    told = Told()
    strangers = Strangers(BoundedLog(told, "refused"), count_max=2)
    first, second, third, fourth = (connection(str(number)) for number in range(4))
    strangers.came(first)
    strangers.came(second)
    strangers.proven(first)
    strangers.came(third)
    assert not reasons(second)
    strangers.came(fourth)
    assert reasons(second) == ["more than 2 connections wait for their proof"]
    assert not reasons(first)
    strangers.refused(second, "as said")
    assert told.lines == [("refused", {"peer": "1", "reason": "as said"})]
    assert len(strangers) == 2


def test_unfinished_frames_are_bounded_and_who_is_silent_longest_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_limits, "UNFINISHED_BYTES_MAX", 100)
    held = Unfinished(frame_bytes_max=5)
    silent, slow, busy = Connection(), Connection(), Connection()
    held.holds(silent, 40)
    held.holds(slow, 20)
    held.holds(busy, 40)
    held.holds(slow, 21)
    assert silent.reasons == [
        "it was silent longest when all connections together held 100 bytes of unfinished frames"
    ]
    held.holds(silent, 0)
    held.holds(busy, 0)
    held.holds(busy, 79)
    assert not slow.reasons
    held.holds(busy, 80)
    assert len(slow.reasons) == 1
    assert not busy.reasons


def test_one_frame_of_the_greatest_length_always_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_limits, "UNFINISHED_BYTES_MAX", 100)
    held = Unfinished(frame_bytes_max=1_000)
    one, another = Connection(), Connection()
    held.holds(one, 1_000)
    held.holds(another, 1_000)
    assert not one.reasons + another.reasons


def test_listeners_share_half_of_the_files_that_a_process_may_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), before[1]))
        limits = intake_limits(frame_bytes_max=10, listener_count=2)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
        assert 1 <= limits.connections_max <= hard // 4
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
