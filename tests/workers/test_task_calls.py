"""Calls as tasks of the event loop: what is reported of them, and how they end with the worker."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from wallaroo.names import StepId
from wallaroo.runtime.calls import Call
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs, Waiting
from wallaroo_workers import task_calls
from wallaroo_workers.task_calls import TaskCalls


class Called:
    """Calls of a coroutine function, and what was reported of them."""

    def __init__(self, function: Any) -> None:
        self.calls = TaskCalls()
        self.reported: list[tuple[Any, BaseException | None]] = []
        self.has_reported = asyncio.Event()
        step = Step(StepId(0), "ask", function, waiting=Waiting(runs=Runs.AS_TASK))
        self.calls.start(step, function, "record", self._ended, Call([], None))

    def _ended(self, result: Any, error: BaseException | None) -> None:
        self.reported.append((result, error))
        self.has_reported.set()


def test_an_answer_is_reported() -> None:
    async def answer(record: str) -> str:
        return record.upper()

    async def main() -> None:
        called = Called(answer)
        await called.has_reported.wait()
        assert called.reported == [("RECORD", None)]

    asyncio.run(main())


def test_a_cancel_of_the_functions_own_is_its_error() -> None:
    async def give_up(_record: str) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        called = Called(give_up)
        await called.has_reported.wait()
        ((_, error),) = called.reported
        assert type(error) is asyncio.CancelledError

    asyncio.run(main())


@pytest.mark.parametrize("becomes", [None, "late", OSError("connection lost")])
def test_a_call_that_the_end_of_the_worker_cancels_has_no_outcome(becomes: object) -> None:
    has_begun = asyncio.Event()
    cancelled: list[str] = []

    async def wait(record: str) -> object:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(record)
            if isinstance(becomes, OSError):
                raise becomes from None
            if becomes is None:
                raise
        return becomes

    async def main() -> None:
        called = Called(wait)
        await has_begun.wait()
        await called.calls.close()
        assert cancelled == ["record"]
        assert called.reported == []

    asyncio.run(main())


def test_a_call_that_cannot_be_cancelled_does_not_keep_the_loop_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_calls, "CLOSE_S", 0.01)
    has_begun = asyncio.Event()

    async def go_on(_record: str) -> None:
        has_begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    async def main() -> None:
        called = Called(go_on)
        await has_begun.wait()
        await called.calls.close()
        assert called.reported == []

    with capture_logs() as lines:
        asyncio.run(main())
    assert [(line["event"], line["call"]) for line in lines] == [("call.abandoned", "step ask")]
