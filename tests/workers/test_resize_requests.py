"""Requests for other members: one at a time, each when the cluster runs."""

import asyncio

import pytest

from wallaroo.coordinator.events import Answer, Event, ResizeRequested
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Held
from wallaroo_workers.initializer.control.resize_requests import ResizeRequests


class Told:
    """A coordinator that is told of requests, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[ResizeRequested] = []
        self.left: list[str] = []
        self.is_running = True
        self.requests = ResizeRequests(self._happened, lambda: self.is_running, self._left)

    def _happened(self, event: Event) -> None:
        assert isinstance(event, ResizeRequested)
        self.asked.append(event)

    async def _left(self, worker: WorkerName) -> None:
        self.left.append(worker)

    def answer(self, *, ok: bool = True) -> None:
        self.requests.answered(Answer(self.asked[-1].request_id, ok, "no", {"workers": []}))

    def in_turn(self, added: str, leaving: str = "") -> asyncio.Task[object]:
        joining, going = added.split(), leaving.split()
        return asyncio.create_task(self.requests.make_in_turn(joining, going))


async def settle() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_in_turn_waits_for_the_one_before_it() -> None:
    told = Told()
    first, second = told.in_turn("a"), told.in_turn("b")
    await settle()
    assert [event.added for event in told.asked] == [("a",)]
    told.answer()
    await first
    await settle()
    assert [event.added for event in told.asked] == [("a",), ("b",)]
    told.answer(ok=False)
    with pytest.raises(ClusterError, match="no"):
        await second


async def test_one_in_turn_waits_for_one_that_did_not_wait() -> None:
    told = Told()
    first = asyncio.create_task(told.requests.make(["a"], []))
    await settle()
    second = told.in_turn("b")
    await settle()
    assert len(told.asked) == 1
    told.answer()
    await first
    await settle()
    told.answer()
    await second


async def test_one_in_turn_waits_until_the_cluster_runs() -> None:
    told = Told()
    told.is_running = False
    waiting = told.in_turn("a")
    await settle()
    assert told.asked == []
    told.is_running = True
    told.requests.running()
    await settle()
    told.answer()
    await waiting


async def test_who_leaves_is_let_go_when_it_is_done() -> None:
    told = Told()
    leaving = told.in_turn("", "b c")
    await settle()
    assert told.left == []
    told.answer()
    await leaving
    assert told.left == ["b", "c"]


async def test_who_hangs_up_has_it_done_all_the_same() -> None:
    told = Told()
    asked = asyncio.create_task(told.requests.make([], ["b"]))
    await settle()
    asked.cancel()
    await settle()
    second = told.in_turn("c")
    await settle()
    assert len(told.asked) == 1
    told.answer()
    await settle()
    assert told.left == ["b"]
    assert len(told.asked) == 2
    told.answer()
    await second


async def test_nobody_waits_beyond_the_end() -> None:
    told = Told()
    first, second = told.in_turn("a"), told.in_turn("b")
    await settle()
    told.requests.end("the cluster has ended")
    for each in (first, second):
        with pytest.raises(ClusterError, match="the cluster has ended"):
            await each
    assert len(told.asked) == 1


async def test_the_pause_is_told_apart_from_the_time_in_which_keys_moved() -> None:
    told = Told()
    asked = asyncio.create_task(told.requests.make(["a"], []))
    await settle()
    told.requests.held(7)
    told.requests.through(Held(Epoch(1), 7, [], 0))
    # What comes late of one that was called off says nothing about this one.
    told.requests.through(Held(Epoch(1), 6, [], -(10**9)))
    told.requests.moved()
    told.requests.running()
    told.answer()
    facts = await asked
    barrier_s, moving_s, pause_s = (facts[f"{name}_s"] for name in ("barrier", "moving", "pause"))
    assert 0 <= barrier_s <= barrier_s + moving_s <= pause_s <= facts["took_s"] < 100
