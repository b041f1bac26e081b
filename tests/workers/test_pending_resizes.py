"""Callers wait for a change of the members, and it is done though they stop waiting."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from wallaroo.coordinator.events import Answer
from wallaroo.coordinator.resize_requests import ResizeOutcome
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo_workers.initializer.control.pending_resizes import PendingResizes


class Asked:
    """Takes requests, and answers when the test says so."""

    def __init__(self) -> None:
        self.callers: list[Callable[[ResizeOutcome], None]] = []
        self.in_turn: list[bool] = []
        self.released: list[str] = []
        self.requests = PendingResizes(self, self._release)

    def resize(
        self,
        added: Sequence[WorkerName],
        leaving: Sequence[WorkerName],
        answered: Callable[[ResizeOutcome], None],
        *,
        in_turn: bool = False,
    ) -> None:
        self.callers.append(answered)
        self.in_turn.append(in_turn)

    async def _release(self, worker: WorkerName) -> None:
        self.released.append(worker)

    def answer(self, *, ok: bool = True) -> None:
        answer = Answer(1, ok, "no", {"workers": []})
        self.callers[-1](ResizeOutcome(answer, time.monotonic()))


async def settle() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_host_of_a_worker_that_left_is_released_when_it_is_done() -> None:
    asked = Asked()
    leaving = asyncio.create_task(asked.requests.make_in_turn([], ["b", "c"]))
    await settle()
    assert asked.in_turn == [True]
    assert asked.released == []
    asked.answer()
    facts = await leaving
    assert asked.released == ["b", "c"]
    assert facts["workers"] == []
    assert 0 <= facts["took_s"] < 100


async def test_a_request_is_carried_out_though_its_caller_stops_waiting() -> None:
    asked = Asked()
    caller = asyncio.create_task(asked.requests.make([], ["b"]))
    await settle()
    assert asked.in_turn == [False]
    caller.cancel()
    await settle()
    asked.answer()
    await settle()
    assert asked.released == ["b"]


async def test_a_refusal_is_an_error_with_the_reason() -> None:
    asked = Asked()
    caller = asyncio.create_task(asked.requests.make(["a"], []))
    await settle()
    asked.answer(ok=False)
    with pytest.raises(ClusterError, match="no"):
        await caller
