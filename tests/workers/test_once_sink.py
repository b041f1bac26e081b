"""Sinks of authors that are exactly once: numbers, refusals, failures, and the end."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

import wallaroo
from tests.workers.durable_sinks import FIRST, SECOND, SLOT, Running, running, until
from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.errors import MissingObjectError, StoreError
from wallaroo.metrics.histogram import Histogram
from wallaroo.names import SinkId
from wallaroo_workers.sinks.process_sinks import ProcessSinks


class Target(wallaroo.OnceSink[Any]):
    """Keeps batches by slot and number; fails or refuses as a test says."""

    def __init__(self) -> None:
        self.slots: dict[str, list[tuple[int, list[Any]]]] = {}
        self.calls: list[Any] = []
        self.errors: list[Exception] = []
        self.lost_answers = 0
        self.threads: set[str] = set()
        self.may_write = threading.Event()
        self.may_write.set()

    def open(self, slot: str, /) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.append(("open", slot))
        self.slot = slot

    def last(self) -> int | None:
        written = self.slots.get(self.slot)
        return written[-1][0] if written else None

    def write(self, records: list[Any], number: int, /) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_write.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.slots.setdefault(self.slot, []).append((number, [*records]))
        records.clear()
        if self.lost_answers:
            self.lost_answers -= 1
            raise TimeoutError("no answer")

    def close(self) -> None:
        self.calls.append("close")


class TargetOnLoop(wallaroo.OnceSink[Any]):
    def __init__(self) -> None:
        self.written: list[Any] = []

    async def open(self, slot: str, /) -> None: ...

    async def last(self) -> int | None:
        return None

    async def write(self, records: list[Any], number: int, /) -> None:
        self.written.append((threading.current_thread().name, number, records))


async def test_results_are_written_with_a_number_after_their_checkpoint() -> None:
    async with running(Target()) as worker:
        assert worker.sinks.write(SinkId(0), ["a", ("b", 1)]) > 0
        [batch] = (await worker.share(FIRST)).outbox
        assert (batch.number, batch.record_count) == (1, 2)
        assert worker.target.slots == {}
        worker.sinks.committed(FIRST, [FIRST])
        await worker.sinks.flush()
        assert worker.target.slots == {SLOT: [(1, ["a", ("b", 1)])]}
        assert worker.target.calls == [("open", SLOT), "close"]
        assert worker.target.threads == {"totals"}
        assert worker.runner.settled_bytes > 0
        assert worker.runner.queued_bytes == 0


async def test_coroutines_are_awaited_on_the_loop() -> None:
    async with running(TargetOnLoop()) as worker:
        worker.sinks.write(SinkId(0), [1])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        await worker.sinks.flush()
        assert worker.target.written == [(threading.current_thread().name, 1, [1])]


async def test_a_write_that_failed_is_repeated_after_the_slot_was_opened_again() -> None:
    with capture_logs() as logs:
        async with running(Target()) as worker:
            worker.target.errors = [OSError("gone")]
            worker.sinks.write(SinkId(0), ["a"])
            await worker.share(FIRST)
            worker.sinks.committed(FIRST, [FIRST])
            await worker.sinks.flush()
            assert worker.target.slots == {SLOT: [(1, ["a"])]}
            assert worker.target.calls == [("open", SLOT), "close", ("open", SLOT), "close"]
    (waiting,) = [line for line in logs if line["event"] == "sink.waiting"]
    assert "gone" in waiting["reason"]


async def test_metrics_count_batches_that_a_checkpoint_has_and_the_target_does_not() -> None:
    async with running(Target()) as worker:
        assert worker.runner.batches["undelivered"] == 0
        worker.target.may_write.clear()
        worker.target.errors = [OSError("gone")]
        worker.sinks.write(SinkId(0), ["a"])
        [batch] = (await worker.share(FIRST)).outbox
        assert worker.runner.batches["undelivered"] == 0, "no manifest names it yet"
        worker.sinks.committed(FIRST, [FIRST])
        facts = worker.runner.batches
        assert (facts["undelivered"], facts["undelivered_bytes"]) == (1, batch.byte_count)
        plan: Any = None
        of_process = ProcessSinks(plan, [worker.runner], None).undelivered()
        assert of_process == {"undelivered_batches": 1, "undelivered_bytes": batch.byte_count}
        await until(lambda: worker.runner.batches["waiting_s"] > 0)
        worker.target.may_write.set()
        await worker.sinks.flush()
        facts = worker.runner.batches
        assert (facts["undelivered"], facts["written"], facts["retries"]) == (0, 1, 1)
        assert facts["waiting_s"] == 0
        delays = Histogram.from_wire(facts["delays"])
        assert (delays.count, delays.maximum > 0) == (1, True)


async def test_an_error_that_cannot_get_better_ends_the_run() -> None:
    async with running(Target(), fails=True) as worker:
        worker.target.errors = [wallaroo.SinkError("the table was dropped", "create it")]
        worker.sinks.write(SinkId(0), ["a"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        await until(lambda: worker.events.errors != [])
        assert worker.target.calls == [("open", SLOT)], "it is not opened again"
    (error,) = worker.events.errors
    assert "the table was dropped" in error.what
    assert error.hint == "create it"


async def test_a_slot_that_cannot_be_opened_ends_the_run() -> None:
    class Refused(Target):
        def open(self, slot: str, /) -> None:
            raise wallaroo.SinkError("the account is closed", "open another one")

    worker = Running(Refused())
    worker.begin()
    async with asyncio.timeout(20):
        await until(lambda: worker.events.errors != [])
    assert worker.events.errors[0].hint == "open another one"


async def test_a_batch_whose_answer_was_lost_is_not_written_again() -> None:
    async with running(Target()) as worker:
        worker.target.lost_answers = 1
        worker.sinks.write(SinkId(0), ["a"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        await worker.sinks.flush()
        assert worker.target.slots == {SLOT: [(1, ["a"])]}


async def test_refused_records_become_dead_letters_and_the_others_keep_the_number() -> None:
    async with running(Target()) as worker:
        worker.target.errors = [wallaroo.Rejected({1: "too long"})]
        worker.sinks.write(SinkId(0), ["a", "b", "c"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        await worker.sinks.flush()
        assert worker.target.slots == {SLOT: [(1, ["a", "c"])]}
        (failure,) = worker.events.refused
        assert (failure.step, failure.error, failure.payload) == (
            "sink totals",
            "Rejected: too long",
            b"b",
        )


async def test_a_batch_that_is_refused_as_a_whole_counts_as_delivered() -> None:
    async with running(Target()) as worker:
        worker.target.errors = [wallaroo.Rejected({0: "no"})]
        worker.sinks.write(SinkId(0), ["a"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        worker.sinks.write(SinkId(0), ["b"])
        await worker.share(SECOND)
        worker.sinks.committed(SECOND, [SECOND])
        await worker.sinks.flush()
        assert worker.target.slots == {SLOT: [(2, ["b"])]}


async def test_a_result_that_cannot_be_pickled_is_a_dead_letter() -> None:
    async with running(Target()) as worker:
        worker.sinks.write(SinkId(0), [lambda: None, "b"])
        [batch] = (await worker.share(FIRST)).outbox
        assert batch.record_count == 1
        (failure,) = worker.events.refused
        assert "it cannot be pickled" in failure.error


async def test_a_recovery_delivers_what_the_manifest_names_before_it_is_connected() -> None:
    async with running(Target()) as worker:
        worker.sinks.write(SinkId(0), ["a"])
        [batch] = (await worker.share(FIRST)).outbox
        await worker.sinks.discard()
        assert worker.runner.settled_bytes > 0
        worker.begin(in_doubt=(batch,))
        await worker.sinks.connected()
        assert worker.target.slots == {SLOT: [(1, ["a"])]}


async def test_a_rewind_waits_for_the_write_that_is_under_way() -> None:
    async with running(Target()) as worker:
        worker.target.may_write.clear()
        worker.sinks.write(SinkId(0), ["a"])
        await worker.share(FIRST)
        worker.sinks.committed(FIRST, [FIRST])
        discarded = asyncio.create_task(worker.sinks.discard())
        await asyncio.sleep(0.02)
        assert not discarded.done()
        worker.target.may_write.set()
        await discarded
        assert worker.target.slots == {SLOT: [(1, ["a"])]}
        assert worker.target.calls[-1] == "close"


async def test_an_object_that_is_missing_ends_the_run() -> None:
    async with running(Target(), fails=True) as worker:
        await worker.sinks.discard()
        worker.begin(in_doubt=(OutboxBatch(0, "w1", "parts/1/gone", 1, 1, 9, FIRST),))
        await until(lambda: bool(worker.events.errors))
        assert isinstance(worker.events.errors[0], MissingObjectError)


async def test_an_object_that_cannot_be_stored_fails_the_share() -> None:
    async with running(Target()) as worker:
        [taken] = ["parts/0000000001/w1-1-out-0-0"]
        await worker.store.create(taken, b"of another process")
        worker.sinks.write(SinkId(0), ["a"])
        with pytest.raises(StoreError):
            await worker.share(FIRST)


@pytest.mark.parametrize("wrong", [True, -1, "7"])
async def test_a_wrong_number_ends_the_run(wrong: object) -> None:
    async with running(Target(), fails=True) as worker:
        await worker.sinks.discard()
        worker.target.last = lambda: wrong
        worker.begin()
        await until(lambda: worker.events.errors != [])
    (error,) = worker.events.errors
    assert error.what.startswith("the sink 'totals': Target.last (")
    assert " returned " in error.what
    assert error.hint.startswith("return the number of the last batch")


async def test_a_number_that_the_target_has_lost_is_reported_and_the_batch_written() -> None:
    with capture_logs() as logs:
        async with running(Target()) as worker:
            worker.sinks.write(SinkId(0), ["a"])
            [batch] = (await worker.share(FIRST)).outbox
            await worker.sinks.discard()
            worker.begin(in_doubt=(replace(batch, number=7),))
            await worker.sinks.connected()
            assert worker.target.slots == {SLOT: [(7, ["a"])]}
    (unknown,) = [line for line in logs if line["event"] == "sink.unknown"]
    assert (unknown["slot"], unknown["number"]) == (SLOT, 7)


async def test_a_number_that_the_target_has_lost_ends_a_run_that_wants_that() -> None:
    with capture_logs() as logs:
        async with running(Target(), fails=True) as worker:
            worker.sinks.write(SinkId(0), ["a"])
            [batch] = (await worker.share(FIRST)).outbox
            await worker.sinks.discard()
            worker.target.on_unknown = "stop"
            worker.begin(in_doubt=(replace(batch, number=7),))
            await until(lambda: worker.events.errors != [])
            await worker.sinks.discard()
            assert worker.target.slots == {}
    (error,) = worker.events.errors
    assert error.what == (
        "the sink 'totals' cannot tell whether batch 7 was written: the target has no number for "
        f"{SLOT}"
    )
    assert error.hint.startswith("look whether its results are there; start with on_unknown=")
    assert [line["next"] for line in logs if line["event"] == "sink.unknown"] == [
        "the cluster stops"
    ]


async def test_without_checkpoints_it_is_at_least_once_and_says_so() -> None:
    with capture_logs() as logs:
        async with running(Target(), is_durable=False) as worker:
            worker.runner.write(["a"])
            await worker.runner.flush()
            assert worker.target.slots == {"wallaroo.letters..sink0.w1": [(0, ["a"])]}
    assert [line["sink"] for line in logs if line["event"] == "sink.at_least_once"] == ["totals"]
