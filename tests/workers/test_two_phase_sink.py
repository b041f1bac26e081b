"""Sinks of authors that prepare their results: threads, failures, rewinds, and the end."""

import asyncio
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

import wallaroo
from tests.workers.durable_sinks import FIRST, SECOND, SLOT, running, until
from wallaroo.checkpoint.manifest import Prepared
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.names import SinkId


class Target(wallaroo.TwoPhaseSink[Any]):
    """Keeps what is prepared by token; fails or refuses as a test says."""

    def __init__(self) -> None:
        self.hidden: dict[bytes, list[Any]] = {}
        self.visible: list[Any] = []
        self.calls: list[Any] = []
        self.errors: dict[str, list[Exception]] = {}
        self.threads: set[str] = set()
        self.may_write = threading.Event()
        self.may_write.set()

    def called(self, *call: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.append(call)
        if self.errors.get(call[0]):
            raise self.errors[call[0]].pop(0)

    def open(self, slot: str, /) -> None:
        self.called("open", slot)
        self.rows: list[Any] = []

    def write(self, records: list[Any], /) -> None:
        self.may_write.wait()
        self.called("write", *records)
        self.rows += records
        records.clear()

    def prepare(self) -> bytes | None:
        token = b"token %d" % sum(call == ("prepare",) for call in self.calls)
        self.hidden[token], self.rows = self.rows, []
        self.called("prepare")
        return token

    def commit(self, token: bytes, /) -> None:
        self.called("commit", token)
        self.visible += self.hidden.pop(token, [])

    def abort(self, token: bytes, /) -> None:
        self.called("abort", token)
        self.hidden.pop(token, None)

    def prepared(self) -> list[bytes]:
        self.called("prepared")
        return [*self.hidden]

    def close(self) -> None:
        self.called("close")


class TargetOnLoop(wallaroo.TwoPhaseSink[Any]):
    def __init__(self) -> None:
        self.visible: list[Any] = []

    async def open(self, slot: str, /) -> None: ...

    async def write(self, records: list[Any], /) -> None:
        self.rows = records

    async def prepare(self) -> bytes:
        return b"token"

    async def commit(self, token: bytes, /) -> None:
        self.visible.append((threading.current_thread().name, self.rows))

    async def abort(self, token: bytes, /) -> None: ...

    async def prepared(self) -> list[bytes]:
        return []


async def test_results_are_prepared_at_the_barrier_and_committed_with_their_checkpoint() -> None:
    async with running(Target()) as worker:
        assert worker.sinks.write(SinkId(0), ["a", ("b", 1)]) > 0
        assert (await worker.share(FIRST)).prepared == [Prepared(0, b"token 0", FIRST)]
        assert worker.target.visible == []
        assert worker.runner.queued_bytes > 0
        worker.sinks.committed(FIRST, [])
        await worker.sinks.flush()
        assert worker.target.visible == ["a", ("b", 1)]
        assert worker.target.calls == [
            ("open", SLOT),
            ("prepared",),
            ("write", "a", ("b", 1)),
            ("prepare",),
            ("commit", b"token 0"),
            ("close",),
        ]
        assert worker.target.threads == {"totals"}
        assert worker.runner.queued_bytes == 0
        assert worker.runner.wait is None


async def test_coroutines_are_awaited_on_the_loop() -> None:
    async with running(TargetOnLoop()) as worker:
        worker.sinks.write(SinkId(0), [1])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [])
        await worker.sinks.flush()
        assert worker.target.visible == [(threading.current_thread().name, [1])]


async def test_the_next_share_is_not_complete_before_the_last_one_is_committed() -> None:
    async with running(Target()) as worker:
        worker.sinks.write(SinkId(0), ["a"])
        await worker.share(FIRST)
        worker.target.errors["commit"] = [OSError("gone")]
        worker.sinks.committed(FIRST, [])
        worker.sinks.write(SinkId(0), ["b"])
        assert (await worker.share(SECOND)).prepared == [Prepared(0, b"token 1", SECOND)]
        assert worker.target.visible == ["a"]


@pytest.mark.parametrize("method", ["open", "prepared", "write", "prepare", "commit", "abort"])
async def test_a_method_that_raises_is_called_again_and_no_result_is_lost_or_doubled(
    method: str,
) -> None:
    target = Target()
    target.errors = {method: [OSError("gone")], "write": [OSError("gone")]}
    target.hidden = {b"unknown": ["no"]}
    with capture_logs() as logs:
        async with running(target) as worker:
            worker.sinks.write(SinkId(0), ["a"])
            await worker.share(FIRST)
            worker.sinks.committed(FIRST, [])
            await worker.sinks.flush()
            assert worker.target.visible == ["a"]
            assert worker.target.hidden == {}
            assert worker.runner.wait is None
    waiting = [line for line in logs if line["event"] == "sink.waiting"]
    assert "gone" in waiting[0]["reason"]


async def test_refused_records_become_dead_letters_and_the_others_are_written() -> None:
    async with running(Target()) as worker:
        worker.target.errors["write"] = [wallaroo.Rejected({1: "too long"})]
        worker.sinks.write(SinkId(0), ["a", "b", "c"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [])
        await worker.sinks.flush()
        assert worker.target.visible == ["a", "c"]
        (failure,) = worker.events.refused
        assert (failure.step, failure.payload) == ("sink totals", b"b")


async def test_a_rewind_waits_for_the_call_that_is_under_way_and_aborts_what_is_not_named() -> None:
    async with running(Target()) as worker:
        worker.sinks.write(SinkId(0), ["a"])
        [named] = (await worker.share(FIRST)).prepared
        worker.sinks.write(SinkId(0), ["b"])
        await worker.share(SECOND)
        worker.target.may_write.clear()
        worker.sinks.write(SinkId(0), ["c"])
        discarded = asyncio.create_task(worker.sinks.discard())
        await asyncio.sleep(0)
        assert not discarded.done()
        worker.target.may_write.set()
        await discarded
        assert worker.target.calls[-1] == ("close",)
        assert worker.runner.queued_bytes == 0
        worker.begin(prepared=PreparedStart(mine=(named,), named=(named,)))
        await worker.sinks.connected()
        assert worker.target.calls[-4:] == [
            ("open", SLOT),
            ("commit", b"token 0"),
            ("prepared",),
            ("abort", b"token 1"),
        ]
        assert worker.target.visible == ["a"]


async def test_a_worker_that_leaves_closes_behind_what_it_has_given_away() -> None:
    async with running(Target()) as worker:
        worker.sinks.write(SinkId(0), ["a"])
        share = await worker.sinks.cut_for_resize(FIRST)()
        assert share.prepared == [Prepared(0, b"token 0", FIRST)]
        worker.sinks.give_away()
        await worker.sinks.flush()
        assert worker.target.hidden == {b"token 0": ["a"]}


@pytest.mark.parametrize(
    ("method", "wrong"), [("prepare", "text"), ("prepared", None), ("prepared", ["text"])]
)
async def test_wrong_tokens_are_reported_and_asked_for_again(method: str, wrong: object) -> None:
    class Wrong(Target):
        answers: int = 0

        def prepare(self) -> Any:
            return self.wrong_once("prepare", super().prepare())

        def prepared(self) -> Any:
            return self.wrong_once("prepared", super().prepared())

        def wrong_once(self, name: str, right: object) -> object:
            if name != method or self.answers:
                return right
            self.answers += 1
            return wrong

    with capture_logs() as logs:
        async with running(Wrong()) as worker:
            worker.sinks.write(SinkId(0), ["a"])
            await worker.share(FIRST)
            worker.sinks.committed(FIRST, [])
            await worker.sinks.flush()
            assert worker.target.visible == ["a"]
    (waiting,) = [line for line in logs if line["event"] == "sink.waiting"]
    assert f"{method}() returned" in waiting["reason"]


async def test_without_checkpoints_each_batch_is_prepared_and_committed_and_it_says_so() -> None:
    target = Target()
    target.hidden = {b"of a lost process": ["no"]}
    with capture_logs() as logs:
        async with running(target, is_durable=False) as worker:
            worker.runner.write(["a"])
            await worker.runner.flush()
            assert worker.target.visible == ["a"]
            assert worker.target.hidden == {}
    assert [line["sink"] for line in logs if line["event"] == "sink.at_least_once"] == ["totals"]


@pytest.mark.parametrize("method", ["write", "prepare", "commit"])
async def test_an_error_that_cannot_get_better_ends_the_run(method: str) -> None:
    async with running(Target(), fails=True) as worker:
        worker.target.errors[method] = [wallaroo.SinkError("the disk is gone", "replace it")]
        worker.sinks.write(SinkId(0), ["a"])
        cut = asyncio.ensure_future(worker.share(FIRST))
        if method == "commit":
            await cut
            worker.sinks.committed(FIRST, [FIRST])
        await until(lambda: worker.events.errors != [])
        assert [call[0] for call in worker.target.calls].count("open") == 1
        cut.cancel()
    (error,) = worker.events.errors
    assert "the disk is gone" in error.what
    assert error.hint == "replace it"
