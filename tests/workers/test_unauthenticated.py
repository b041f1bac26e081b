"""Unauthenticated peers can use only limited connections, memory and lines of the log."""

import asyncio
import resource
from typing import Any, cast

import pytest

from wallaroo_workers import rate_limited_log
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.network.unauthenticated import UnauthenticatedPeers
from wallaroo_workers.rate_limited_log import LINES_EACH_S, RateLimitedLog
from wallaroo_workers.sources import frame_limits
from wallaroo_workers.sources.frame_limits import PartialFrames, intake_limits


class Written:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.counted = asyncio.Event()

    def __call__(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))
        if event.endswith("_more"):
            self.counted.set()


class Connection:
    """A connection of an unauthenticated peer, or of a sender that does not finish its frame."""

    def __init__(self, name: str = "unknown") -> None:
        self.peer = name
        self.reasons: list[str] = []

    def abort(self, reason: str) -> None:
        self.reasons.append(reason)

    give_up = abort


def connection(name: str = "unknown") -> FrameConnection:
    return cast(FrameConnection, Connection(name))


def reasons(of: FrameConnection) -> list[str]:
    return cast(Connection, of).reasons


async def test_a_few_lines_a_second_are_written_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Written()
    log = RateLimitedLog(written, "peer.rejected")
    monkeypatch.setattr(rate_limited_log, "SECOND_S", 0.01)
    for number in range(LINES_EACH_S + 3):
        log.add(number=number)
    assert written.lines == [("peer.rejected", {"number": n}) for n in range(LINES_EACH_S)]
    await asyncio.wait_for(written.counted.wait(), 10)
    assert written.lines[LINES_EACH_S:] == [("peer.rejected_more", {"count": 3})]
    log.add(number=99)
    assert written.lines[-1] == ("peer.rejected", {"number": 99})


async def test_beyond_the_limit_the_oldest_unauthenticated_connection_is_closed() -> None:
    written = Written()
    peers = UnauthenticatedPeers(RateLimitedLog(written, "rejected"), count_max=2)
    first, second, third, fourth = (connection(str(number)) for number in range(4))
    peers.connected(first)
    peers.connected(second)
    peers.authenticated(first)
    peers.connected(third)
    assert not reasons(second)
    peers.connected(fourth)
    assert reasons(second) == ["more than 2 connections have not proven the secret"]
    assert not reasons(first)
    peers.rejected(second, "as said")
    assert written.lines == [("rejected", {"peer": "1", "reason": "as said"})]
    assert len(peers) == 2


def test_partial_frames_are_bounded_and_the_longest_silent_sender_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_limits, "PARTIAL_BYTES_MAX", 100)

    partial = PartialFrames(frame_bytes_max=5)
    silent, slow, busy = Connection(), Connection(), Connection()
    partial.update(silent, 40)
    partial.update(slow, 20)
    partial.update(busy, 40)
    partial.update(slow, 21)
    assert silent.reasons == [
        "it was silent for longest when all connections held 100 bytes of incomplete frames"
    ]
    partial.update(silent, 0)
    partial.update(busy, 0)
    partial.update(busy, 79)
    assert not slow.reasons
    partial.update(busy, 80)
    assert len(slow.reasons) == 1
    assert not busy.reasons


def test_one_frame_of_the_maximum_length_always_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_limits, "PARTIAL_BYTES_MAX", 100)
    partial = PartialFrames(frame_bytes_max=1_000)
    one, another = Connection(), Connection()
    partial.update(one, 1_000)
    partial.update(another, 1_000)
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
