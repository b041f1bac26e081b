"""Sinks of authors: rows in their order, errors, refusals, slow targets, and the end."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

import wallaroo
from wallaroo.checkpoint.manifest import SinkShare
from wallaroo.connectors.sink_classes import Sink
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.metrics.nodes import Nodes
from wallaroo.names import CheckpointId, SinkId, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.topology.describe import plan_dot, plan_text
from wallaroo.worker.sink_port import SinkContext
from wallaroo_workers import slow_calls
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sinks.connector import ConnectorRunner
from wallaroo_workers.sinks.process_sinks import new_sinks
from wallaroo_workers.sinks.runner import new_runner

FIRST = CheckpointId(1)


class Target(Sink[Any]):
    """Keeps what it gets; fails or refuses as a test says."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.errors: list[BaseException] = []
        self.threads: set[str] = set()
        self.may_write = threading.Event()
        self.may_write.set()

    def open(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.append("open")

    def write(self, records: list[Any]) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_write.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.calls.append([*records])
        records.clear()

    def close(self) -> None:
        self.calls.append("close")


class TargetOnLoop(Sink[Any]):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def write(self, records: list[Any]) -> None:
        await asyncio.sleep(0)
        self.calls.append((threading.current_thread().name, records))


class Events:
    def __init__(self) -> None:
        self.refused: list[tuple[SinkId, list[Failure]]] = []
        self.ended_run: list[WallarooError] = []

    def backlog_changed(self) -> None: ...

    def records_refused(self, sink: SinkId, failures: list[Failure]) -> None:
        self.refused.append((sink, failures))

    def sink_failed(self, error: WallarooError) -> None:
        self.ended_run.append(error)


@contextlib.asynccontextmanager
async def running(
    sink: Sink[Any], events: Events | None = None
) -> AsyncIterator[tuple[ConnectorRunner, Any]]:
    """Run a sink; yield its runner, and the object that the runner calls."""
    context = SinkContext(
        index=SinkId(3),
        name="totals",
        pipeline="orders",
        worker=WorkerName("w1"),
        events=events or Events(),
    )
    runner: Any = new_runner(sink.sink(), context)
    work = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            yield runner, runner._author._sink
    finally:
        work.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  a thread makes it so
        await asyncio.sleep(0.001)


def reports_at(logs: Sequence[Mapping[str, Any]], event: str, text: str) -> list[Mapping[str, Any]]:
    """Return the reports of a call that was at this line of its function.

    Earlier ones may have come before it was there.
    """
    return [line for line in logs if line["event"] == event and text in line["stack"]]


def wait_of(runner: ConnectorRunner) -> Any:
    return runner.wait


async def test_rows_are_written_in_one_thread_of_the_sinks_own() -> None:
    async with running(Target()) as (runner, target):
        await runner.connected()
        assert runner.write(["a", "b"]) == 2
        runner.write([("c", 1)])
        assert runner.settled_bytes < runner.written_bytes
        await runner.flush()
    assert (target.calls[0], target.calls[-1]) == ("open", "close")
    assert [row for batch in target.calls[1:-1] for row in batch] == ["a", "b", ("c", 1)]
    assert target.threads == {"totals"}
    assert runner.settled_bytes == runner.written_bytes


async def test_a_coroutine_is_awaited_on_the_loop() -> None:
    async with running(TargetOnLoop()) as (runner, target):
        runner.write([1])
        await runner.flush()
    assert target.calls == [(threading.current_thread().name, [1])]


async def test_a_checkpoint_waits_until_all_before_it_is_written() -> None:
    async with running(Target()) as (runner, target):
        target.may_write.clear()
        runner.write(["a"])
        finish = asyncio.ensure_future(runner.cut(FIRST)())
        runner.write(["b"])
        await asyncio.sleep(0)
        assert not finish.done()
        target.may_write.set()
        assert await finish == SinkShare()
        assert ["a"] in target.calls or ["a", "b"] in target.calls


async def test_what_a_write_failed_on_is_written_again_by_a_sink_opened_again() -> None:
    with capture_logs() as logs:
        async with running(Target()) as (runner, target):
            target.errors = [OSError("gone"), SystemExit(3)]
            runner.write(["a", "b"])
            await runner.flush()
    again = ["open", "close"]
    assert target.calls == [*again, *again, "open", ["a", "b"], "close"]
    (line,) = [line for line in logs if line["event"] == "sink.waiting"]
    assert line["sink"] == "totals"
    assert line["method"].startswith("Target.write (")
    assert line["reason"] == "OSError: gone"
    assert "test_connector_sink.py" in line["at"]
    assert line["hint"]


async def test_a_sink_that_accepts_nothing_is_waiting_until_it_does() -> None:
    async with running(Target()) as (runner, target):
        await runner.connected()
        assert runner.wait is None
        target.may_write.clear()
        target.errors = [OSError("gone")]
        runner.write(["a"])
        await until(lambda: runner.wait is not None)
        since_s = wait_of(runner).since_s
        target.may_write.set()
        await until(lambda: runner.connection_count == 2)
        # A pause does not start a new wait.
        assert wait_of(runner) is None or wait_of(runner).since_s == since_s
        await runner.flush()
    assert runner.wait is None


async def test_a_write_that_does_not_return_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with running(Target()) as (runner, target):
            await runner.connected()
            monkeypatch.setattr(slow_calls, "REPORTED_EVERY_S", 0.01)
            target.may_write.clear()
            runner.write(["a"])
            await until(lambda: bool(reports_at(logs, "sink.waiting", "self.may_write.wait()")))
            target.may_write.set()
            await runner.flush()
    line = reports_at(logs, "sink.waiting", "self.may_write.wait()")[0]
    assert "has not returned" in line["reason"]
    assert line["method"].startswith("Target.write")


async def test_a_coroutine_that_does_not_return_is_reported_with_its_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Waits(TargetOnLoop):
        async def write(self, records: list[Any]) -> None:
            await self.answered()

        async def answered(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(slow_calls, "REPORTED_EVERY_S", 0.01)
    with capture_logs() as logs:
        async with running(Waits()) as (runner, _):
            runner.write(["a"])
            await until(
                lambda: bool(reports_at(logs, "sink.waiting", "await asyncio.Event().wait()"))
            )
    line = reports_at(logs, "sink.waiting", "await asyncio.Event().wait()")[0]
    assert "await self.answered()" in line["stack"]


async def test_a_timeout_says_which_method_the_sink_waits_for() -> None:
    async with running(Target()) as (runner, target):
        await runner.connected()
        target.may_write.clear()
        runner.write(["a"])
        await until(lambda: wait_of(runner) is not None)
        assert wait_of(runner).what == "the sink 'totals' took nothing"
        assert wait_of(runner).why.startswith("Target.write (")
        assert wait_of(runner).why.endswith("has not returned")
        target.errors = [OSError("gone")] * 1000
        target.may_write.set()
        await until(lambda: wait_of(runner) is not None and "raised" in wait_of(runner).why)
        assert wait_of(runner).why.endswith("raised OSError: gone")
        target.errors.clear()
        await runner.flush()


async def test_refused_rows_become_dead_letters_and_the_others_are_written() -> None:
    events = Events()
    async with running(Target(), events) as (runner, target):
        target.errors = [wallaroo.Rejected({1: "too long", 2: "no such user"})]
        runner.write(["a", "bb", b"cc", 5])
        await runner.flush()
    assert target.calls[1:-1] == [["a", 5]]
    ((index, failures),) = events.refused
    assert index == 3
    assert [(each.pipeline, each.step, each.error, each.payload) for each in failures] == [
        ("orders", "sink totals", "Rejected: too long", b"bb"),
        ("orders", "sink totals", "Rejected: no such user", b"cc"),
    ]
    assert runner.settled_bytes == runner.written_bytes


async def test_metrics_count_batches_failed_calls_and_refused_rows() -> None:
    async with running(Target()) as (runner, target):
        await runner.connected()
        target.errors = [OSError("gone"), wallaroo.Rejected({0: "no"})]
        runner.write(["a", "b"])
        await runner.flush()
        facts = runner.batches
    assert (facts["written"], facts["retries"], facts["rejected"]) == (1, 1, 1)
    assert facts["waiting_s"] == 0
    assert facts["undelivered"] is None


@pytest.mark.parametrize("reasons", [{9999: "no"}, {2: "no"}, {-1: "no"}, {"0": "no"}, {}, [0], 0])
async def test_rows_that_are_not_there_cannot_be_refused(reasons: Any) -> None:
    events = Events()
    async with running(Target(), events) as (runner, target):
        target.errors = [wallaroo.Rejected(reasons)]
        runner.write(["a", "b"])
        await until(lambda: events.ended_run != [])
    (error,) = events.ended_run
    assert error.what.startswith("the sink 'totals': Target.write (")
    assert error.what.endswith(f"raised Rejected({reasons!r}) for a batch with the rows 0 to 1")
    assert "index of each row" in error.hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (TypeError("write() got an unexpected argument"), "correct the method"),
        (SystemExit(3), "correct the method"),
        (OSError("gone"), "see that the target can be reached"),
    ],
)
async def test_a_line_says_what_was_raised_where_and_what_to_do(
    error: BaseException, hint: str
) -> None:
    with capture_logs() as logs:
        async with running(Target()) as (runner, target):
            target.errors = [error]
            runner.write(["a"])
            await runner.flush()
    line = next(line for line in logs if line["event"] == "sink.waiting")
    assert line["reason"] == f"{type(error).__name__}: {error}"
    assert "test_connector_sink.py:" in line["at"]
    assert line["hint"].startswith(hint)


async def test_a_call_that_does_not_fit_is_shown_at_the_authors_method() -> None:
    class Wrong(Target):
        def write(self) -> None:  # type: ignore[override]
            ...

    with capture_logs() as logs:
        async with running(Wrong()) as (runner, _):
            runner.write(["a"])
            await until(lambda: any(line["event"] == "sink.waiting" for line in logs))
    line = next(line for line in logs if line["event"] == "sink.waiting")
    assert line["at"] == f"{__file__}:{Wrong.write.__code__.co_firstlineno}"


@pytest.mark.parametrize("method", ["open", "write", "close"])
async def test_an_error_that_cannot_get_better_ends_the_run(method: str) -> None:
    class Closed(Target):
        def fails(self, now: str) -> None:
            if now == method:
                raise wallaroo.SinkError("the table was dropped", "create it")

        def open(self) -> None:
            super().open()
            self.fails("open")

        def write(self, records: list[Any]) -> None:
            self.fails("write")

        def close(self) -> None:
            super().close()
            self.fails("close")

    events = Events()
    with capture_logs() as logs:
        async with running(Closed(), events) as (runner, target):
            runner.write(["a"])
            runner.close()
            await until(lambda: events.ended_run != [])
            await runner._ended.wait()
            assert target.calls == ["open", "close"]
    (error,) = events.ended_run
    assert error.what == "the sink 'totals' cannot go on: the table was dropped"
    assert (error.hint, error.exit_code) == ("create it", 1)
    assert "sink.waiting" not in [line["event"] for line in logs]


async def test_new_results_wait_for_those_of_the_old_owner() -> None:
    async with running(Target()) as (runner, target):
        runner.hold(7)
        runner.write(["new"])
        runner.write(["newer"])
        await runner.connected()
        assert target.calls == ["open"]
        runner.release(7)
        await runner.flush()
    assert target.calls == ["open", ["new", "newer"], "close"]


async def test_a_replay_makes_held_results_again() -> None:
    async with running(Target()) as (runner, target):
        runner.hold(7)
        runner.write(["new"])
        runner.drop_held()
        assert runner.settled_bytes == runner.written_bytes
        await runner.flush()
    assert target.calls == ["open", "close"]


@pytest.mark.parametrize("runner", ["wallaroo_lost.runner:new_runner", f"{__name__}:not_there", ""])
def test_a_runner_that_is_not_there_is_an_error_with_a_remedy(runner: str) -> None:
    sink = replace(Target().sink(), runner=runner)  # type: ignore[type-var]
    context: Any = SimpleNamespace(name="totals")
    with pytest.raises(ConfigError, match="the sink 'totals' cannot be run") as told:
        new_runner(sink, context)
    assert "install the package" in told.value.hint


async def test_a_sink_has_one_name_everywhere() -> None:
    @wallaroo.decoder
    def decode(line: bytes) -> bytes:
        return line

    @wallaroo.encoder
    def encode(line: bytes) -> str:
        raise ValueError(line)

    named = Target()
    named.name = "totals"
    plan = (
        wallaroo.ApplicationBuilder("two")
        .new_pipeline("lines", wallaroo.FileSourceConfig("in", decode, framing="newline"))
        .to_sinks(
            [
                named,
                Target(),
                wallaroo.FileSinkConfig("out", encode),
                wallaroo.FileSinkConfig("copy", encode, name="copies"),
            ]
        )
        .build()
    )
    wanted = ["totals", "sink 1", "file sink to out", "copies"]
    sinks = new_sinks(plan, WorkerName("w1"), RunOptions(), None, None, Events())
    assert [facts["name"] for facts in sinks.facts()] == wanted
    nodes = Nodes(plan)
    assert [nodes.all[nodes.of_sink[SinkId(index)]].label for index in range(4)] == wanted
    of_author = f"{__name__}.Target, at least once"
    assert plan_text(plan).splitlines()[-4:] == [
        f"  sink totals: sink {of_author}",
        f"  sink 1: sink {of_author}",
        "  sink 2: file sink to out",
        "  sink copies: file sink to copy",
    ]
    assert f'label="totals: sink {of_author}"' in plan_dot(plan)
    dataflow = Dataflow(plan, WorkerName("w1"), DataflowOptions())
    dataflow.bind((WorkerName("w1"),), {})
    dataflow.run_source(0, [b"a"])
    assert [failure.step for failure in dataflow.take_failures()] == [
        "encoder of file sink to out",
        "encoder of sink copies",
    ]
