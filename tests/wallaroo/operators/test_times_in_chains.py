"""Records that need a time get it at their source, and keep it to the state that needs it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, encode_line, tcp_sink
from tests.wallaroo.operators.timed import (
    EVENT_TIME,
    at,
    collected,
    decode,
    keep,
    kept,
    name_of,
    tcp,
    timed,
)
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.names import EdgeId
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.topology.describe import plan_text
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application
from wallaroo.topology.timing import timed_edges, timed_flows

MS = 1_000_000
PAYLOADS = [f"{name}@{number}".encode() for number, name in enumerate("abcdefghij" * 7)]


def plan(time: Any = EVENT_TIME) -> Application:
    return kept(wallaroo.source("p", tcp(time)))


def travelled(mesh: Mesh) -> list[tuple[Any, int]]:
    """Return key and time of each record that has left its worker."""
    return [pair for sent in mesh.carried for pair in _unpacked(mesh, sent)]


def _unpacked(mesh: Mesh, sent: OutgoingBatch) -> Iterator[tuple[Any, int]]:
    batch = mesh.flows[sent.worker].unpack(sent.edge, sent.form, sent.body)
    assert batch.times is not None
    yield from zip(batch.keys, batch.times, strict=True)


def run_one(plan: Application, records: list[Any], read_ns: int = 0) -> tuple[Mesh, int]:
    """Run records on one worker; return it with their highest time."""
    mesh = Mesh(plan)
    (flow,) = mesh.flows.values()
    top = flow.run_source(0, records, read_ns=read_ns)
    mesh.settle()
    return mesh, top


@pytest.mark.parametrize("form", [None, BatchFormat.PAYLOADS, BatchFormat.OBJECTS])
def test_records_keep_their_times_across_an_exchange(form: BatchFormat | None) -> None:
    mesh = Mesh(plan(), 3, form=form)
    mesh.feed(PAYLOADS)
    found = travelled(mesh)
    assert found
    assert {time for _, time in found} <= {number * MS for number in range(70)}
    assert all("abcdefghij"[time // MS % 10] == key for key, time in found)
    assert sorted(collected(mesh)) == sorted(map(decode, PAYLOADS))


def test_a_chain_returns_the_highest_time_of_its_slice() -> None:
    mesh, top = run_one(plan(), [b"a@5", b"b@9", b"a@7"])
    assert (top, mesh.failures()) == (9 * MS, [])


def test_a_slice_without_a_record_has_no_highest_time() -> None:
    assert run_one(plan(), [])[1] == BEFORE_ALL


def test_a_watched_slice_has_the_highest_time_of_all_its_parts() -> None:
    mesh = Mesh(plan())
    (flow,) = mesh.flows.values()
    assert flow.run_source(0, PAYLOADS, is_watched=True) == 69 * MS


def test_without_a_time_of_their_own_records_have_that_of_their_arrival() -> None:
    mesh = Mesh(plan(None), 2)
    for flow in mesh.flows.values():
        assert flow.run_source(0, PAYLOADS, read_ns=1234) == 1234
    mesh.settle()
    assert {time for _, time in travelled(mesh)} == {1234}


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        (None, "TypeError: the timestamp is a NoneType, not a number of ms"),
        (True, "TypeError: the timestamp is a bool, not a number of ms"),
        (float("nan"), "ValueError: the timestamp is nan"),
        (10**15, "ValueError: the timestamp is 1e+12 s since 1970"),
    ],
)
def test_a_record_without_a_usable_time_is_a_dead_letter(returned: Any, error: str) -> None:
    first_only = wallaroo.timestamp("ms")(lambda record: returned if record[0] == "x" else 3)
    mesh, top = run_one(plan(wallaroo.event_time(first_only)), [b"x@1", b"b@2"])
    (failure,) = mesh.failures()
    assert (failure.step, failure.payload) == ("timestamp", b"x@1")
    assert failure.error.startswith(error)
    assert (collected(mesh), top) == ([("b", 2)], 3 * MS)


@pytest.mark.parametrize(
    ("unit", "returned", "time"),
    [
        ("ns", 7, 7),
        ("us", 7, 7_000),
        ("ms", 1.5, 1_500_000),
        ("s", -2, -2_000_000_000),
        ("datetime", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1_000_000_000),
    ],
)
def test_a_timestamp_has_the_unit_that_was_declared(unit: str, returned: Any, time: int) -> None:
    function = wallaroo.timestamp(unit)(lambda record: returned)
    assert run_one(plan(wallaroo.event_time(function)), [b"a@0"])[1] == time


def test_a_record_too_far_ahead_is_a_dead_letter_and_moves_nothing() -> None:
    limited = wallaroo.event_time(at, ahead_max=wallaroo.milliseconds(10))
    mesh, top = run_one(plan(limited), [b"a@110", b"b@111", b"c@90"], read_ns=100 * MS)
    (failure,) = mesh.failures()
    assert failure.payload == b"b@111"
    assert "further ahead of its arrival than ahead_max allows" in failure.error
    assert top == 110 * MS


def test_a_step_may_make_the_records_that_have_times() -> None:
    @wallaroo.computation_multi("twice")
    def twice(record: tuple[str, int]) -> list[dict[str, Any]]:
        return [{"name": record[0], "at": record[1] + more} for more in (0, 100)]

    found = wallaroo.timestamp("ms")(lambda record: record["at"])
    pipeline = wallaroo.source("p", tcp(None)).to(twice).with_time(wallaroo.event_time(found))
    key = wallaroo.partition(lambda record: record["name"])
    _, top = run_one(kept(pipeline, key), [b"a@1", b"b@2"])
    assert top == 102 * MS


def test_times_are_found_behind_many_multi_computations() -> None:
    pipeline: Any = wallaroo.source("p", tcp(None))
    for number in range(8):
        step = wallaroo.computation_multi(f"same {number}")(lambda record: [record])
        pipeline = pipeline.to(step)
    mesh, top = run_one(kept(pipeline.with_time(EVENT_TIME)), [b"a@1", b"b@2"])
    assert (top, len(collected(mesh))) == (2 * MS, 2)


class Messages(wallaroo.PartitionedSource[Any]):
    decoder = staticmethod(decode.function)
    key = "utf-8"

    def __init__(self, time: Any) -> None:
        self.time = time

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        yield None


def by_source_key(time: Any) -> Application:
    return kept(wallaroo.source("p", Messages(time)), wallaroo.source_key)


@pytest.mark.parametrize("worker_count", [1, 3])
def test_a_source_gives_the_times_itself(worker_count: int) -> None:
    mesh = Mesh(by_source_key(wallaroo.event_time(wallaroo.source_time)), worker_count)
    keys = [payload[:1] for payload in PAYLOADS]
    times = [1_700_000_000.123 + number for number in range(len(PAYLOADS))]
    records = KeyedRecords(PAYLOADS, keys, times)
    for flow in mesh.flows.values():
        assert flow.run_source(0, records) == 1_700_000_069_123_000_000
        records = KeyedRecords([b"a@0"], [b"a"], [1_700_000_069.123])
    mesh.settle()
    assert all(time % 1_000_000_000 == 123_000_000 for _, time in travelled(mesh))
    assert len(collected(mesh)) == len(PAYLOADS) + worker_count - 1


def test_a_time_that_a_source_leaves_out_is_a_dead_letter() -> None:
    plan = by_source_key(wallaroo.event_time(wallaroo.source_time))
    mesh, top = run_one(plan, KeyedRecords([b"a@1", b"b@2"], [b"a", b"b"], [None, 2]))
    (failure,) = mesh.failures()
    assert (failure.step, failure.payload, top) == ("timestamp", b"a@1", 2_000_000_000)


@pytest.mark.parametrize("worker_count", [1, 3])
@pytest.mark.parametrize(
    "key", [wallaroo.source_key, wallaroo.payload_key(field=0, separator=b"@")]
)
def test_a_record_with_a_time_inside_is_decoded_where_it_is_read(
    key: Any, worker_count: int
) -> None:
    plan = kept(wallaroo.source("p", Messages(EVENT_TIME)), key)
    assert "records are decoded before that, for their times" in plan_text(plan)
    mesh = Mesh(plan, worker_count)
    flow = mesh.flows[mesh.workers[-1]]
    records = KeyedRecords(PAYLOADS, [payload[:1] for payload in PAYLOADS])
    assert flow.run_source(0, records) == 69 * MS
    mesh.settle()
    assert len(collected(mesh)) == len(PAYLOADS)
    assert bool(travelled(mesh)) is (worker_count > 1)


def test_only_pipelines_from_which_a_timed_state_is_reached_need_times() -> None:
    ended = wallaroo.source("q", tcp(port=7011)).to_parallel(
        wallaroo.computation("same")(lambda r: r)
    )
    first = wallaroo.source("p", tcp()).to_state_partition(keep, list, "seen", name_of)
    sinks = [tcp_sink(encode_line), tcp_sink(encode_line)]
    plan = wallaroo.build_application("t", first.to_sink(sinks[0]), ended.to_sink(sinks[1]))
    assert (timed_flows(plan), timed_edges(plan)) == (frozenset(), frozenset())
    plan = timed(plan)
    assert (timed_flows(plan), timed_edges(plan)) == (
        frozenset({0}),
        frozenset({EdgeId(0)}),
    )


def test_a_fork_and_a_merge_carry_the_times_on() -> None:
    one = wallaroo.source("p", tcp())
    two = wallaroo.source("q", tcp(None, 7011))
    both = one.merge(two)
    ended = both.to_state_partition(keep, list, "seen", name_of).to_sink(tcp_sink(encode_line))
    plan = wallaroo.build_application("t", ended, one.to_sink(tcp_sink(encode_line)))
    mesh = Mesh(timed(plan), 2)
    flow = mesh.flows[mesh.workers[0]]
    assert flow.run_source(0, PAYLOADS) == 69 * MS
    assert flow.run_source(1, PAYLOADS, read_ns=5) == 5
    mesh.settle()
    assert len(collected(mesh, sink=1)) == 2 * len(PAYLOADS)
    assert len(mesh.lines()) == len(PAYLOADS)


def test_what_waits_at_a_step_keeps_its_time() -> None:
    @wallaroo.computation_batch("all")
    def every(records: list[Any]) -> list[Any]:
        return records

    pipeline = wallaroo.source("p", tcp()).to(every)
    mesh = Mesh(kept(pipeline))
    (flow,) = mesh.flows.values()
    assert flow.run_source(0, [b"a@5"]) == 5 * MS
    (step,) = flow.waiting.steps
    assert [each[-1] for each in flow.waiting.take(step.id)] == [5 * MS]
    assert flow.waiting.needs_time(step.id)
    flow.waiting.run_results(step.id, [[None], [("a", 5)], [b"a@5"], [5 * MS]])
    assert collected(mesh) == [("a", 5)]


def test_the_outline_names_a_time_only_if_one_is_declared() -> None:
    lines = [line for line in outline(plan()) if line.startswith("time of pipeline 'p'")]
    assert len(lines) == 1
    assert "unit='ms'" in lines[0]
    assert not any("time of" in line for line in outline(plan(None)))
    assert outline(plan(None))[1] == outline(plan())[1]


EVENT: Any = wallaroo.event_time
WRONG: list[tuple[Any, str]] = [
    (lambda: EVENT(lambda record: 1), "decorate a function of the record"),
    (lambda: wallaroo.event_time(wallaroo.timestamp("h")(lambda r: 1)), "the unit of @timestamp"),
    (lambda: EVENT(at, out_of_order=0.5), "out_of_order of event_time()"),
    (lambda: wallaroo.event_time(at, idle_after=0), "idle_after of event_time()"),
    (lambda: wallaroo.event_time(at, when_quiet="sleep"), 'give one of "wait", "advance"'),
    (lambda: wallaroo.event_time(wallaroo.source_time), "this source gives no times"),
    (lambda: at, "give event_time(...) or ingest_time()"),
]


@pytest.mark.parametrize(("time", "sentence"), WRONG)
def test_build_reports_what_is_wrong_with_a_time(time: Any, sentence: str) -> None:
    # Made here, not by tcp(): some of these mistakes have the place of their source.
    config = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode, time=time())
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        kept(wallaroo.source("p", config))
    (mistake,) = raised.value.mistakes
    assert sentence in mistake
    assert mistake.startswith("test_times_in_chains.py:")


def test_build_reports_with_time_where_it_cannot_be() -> None:
    source = wallaroo.source("p", tcp(None))
    same = wallaroo.computation("same")(lambda record: record)
    sink = tcp_sink(encode_line)
    wrong: dict[str, wallaroo.Pipeline[Any]] = {
        "is called, and the source has a time=": wallaroo.source("p", tcp()).with_time(EVENT_TIME),
        "is called twice": source.with_time(EVENT_TIME).with_time(EVENT_TIME),
        "before which records change worker": source.to_parallel(same).with_time(EVENT_TIME),
        "which other pipelines feed": source.split(lambda record: True)[0]
        .to(same)
        .with_time(EVENT_TIME),
        "behind a step": source.to(same).with_time(wallaroo.event_time(wallaroo.source_time)),
        "with_time() has": source.with_time(at),  # type: ignore[arg-type]
    }
    for sentence, pipeline in wrong.items():
        with pytest.raises(wallaroo.WallarooParameterError) as raised:
            wallaroo.build_application("test", pipeline.to_sink(sink))
        assert any(sentence in mistake for mistake in raised.value.mistakes), sentence
