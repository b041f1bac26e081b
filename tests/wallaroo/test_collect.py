import bdb
import json
import sys
from collections import Counter
from random import Random
from types import FrameType
from typing import Any

import pytest

import wallaroo
from tests.graphs import compiled, expected, random_graph, tcp_sink
from wallaroo.errors import WallarooParameterError
from wallaroo.names import SinkId
from wallaroo.testing import collect


class Count:
    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> dict[str, Any] | None:
    record: dict[str, Any] | None = json.loads(payload)
    return record


@wallaroo.partition
def user_of(record: dict[str, Any]) -> str:
    return str(record["user"])


@wallaroo.state_computation("count")
def count(record: dict[str, Any], state: Count) -> tuple[dict[str, Any], bool]:
    if record.get("stop"):
        raise record["stop"]
    state.value += 1
    return {"user": record["user"], "count": state.value}, True


@wallaroo.computation_multi("twice")
def twice(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [record, record]


@wallaroo.encoder
def encode(record: dict[str, Any]) -> str | None:
    if record["count"] == 3:
        raise ValueError("three")
    return None if record["count"] == 2 else f"{record['user']}={record['count']}"


def application(partition: Any = user_of, source: Any = None) -> wallaroo.Application:
    source = source or wallaroo.TCPSourceConfig("127.0.0.1", 0, decode)
    return (
        wallaroo.ApplicationBuilder("counts")
        .new_pipeline("clicks", source)
        .to_state_partition(count, Count, "counts", partition)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 1, encode, name="results"))
        .build()
    )


def click(user: str) -> bytes:
    return json.dumps({"user": user}).encode()


@pytest.mark.parametrize("workers", [1, 3])
def test_each_sink_has_what_its_pipeline_gave_and_what_its_encoder_made(workers: int) -> None:
    items = [click("ada"), click("bob"), click("ada"), click("ada")]
    collected = collect(application(), {"clicks": items}, workers=workers)
    of_ada = [each for each in collected.outputs["results"] if each["user"] == "ada"]
    assert of_ada == [{"user": "ada", "count": number} for number in (1, 2, 3)]
    assert sorted(collected.encoded["results"]) == [b"ada=1", b"bob=1"]
    (failure,) = collected.failures
    assert failure.error == "ValueError: three"
    assert failure.step.startswith("encoder of")


def test_one_worker_keeps_the_order_of_all_records() -> None:
    items = [click(user) for user in "abcabc"]
    outputs = collect(application(), {"clicks": items}).outputs["results"]
    assert [each["user"] for each in outputs] == list("abcabc")


@pytest.mark.parametrize("workers", [1, 2])
def test_items_may_be_records_and_payloads(workers: int) -> None:
    items = [{"user": "ada"}, click("ada"), b"null", b"{", {"user": "bob"}]
    collected = collect(application(), {"clicks": items}, workers=workers)
    outputs = sorted((each["user"], each["count"]) for each in collected.outputs["results"])
    assert outputs == [("ada", 1), ("ada", 2), ("bob", 1)]
    (failure,) = collected.failures
    assert (failure.step, failure.payload) == ("decoder", b"{")
    assert failure.error.startswith("JSONDecodeError")


def test_a_record_that_user_code_cannot_process_is_a_failure() -> None:
    collected = collect(application(), {"clicks": [b"{", {"nobody": 1}, {"user": "ada"}]})
    assert [each.step for each in collected.failures] == ["decoder", "user_of"]
    assert len(collected.outputs["results"]) == 1


def test_records_that_cannot_be_pickled_fail_only_if_they_travel() -> None:
    items = [{"user": f"user {number}", "bad": lambda: None} for number in range(20)]
    assert collect(application(), {"clicks": items}).failures == ()
    failures = collect(application(), {"clicks": items}, workers=2).failures
    assert failures
    assert all("pickle" in each.error.lower() for each in failures)


def test_a_key_in_the_payload_needs_payloads() -> None:
    keyed = application(wallaroo.payload_key(json="user"))
    outputs = collect(keyed, {"clicks": [click("ada"), click("ada")]}, workers=2).outputs
    assert [each["count"] for each in outputs["results"]] == [1, 2]
    with pytest.raises(WallarooParameterError, match=r"key in the payload.*as bytes"):
        collect(keyed, {"clicks": [{"user": "ada"}]})


class Log(wallaroo.PartitionedSource[Any]):
    key = "utf-8"

    def partitions(self) -> list[str]:
        raise AssertionError("a source is never asked")

    def read(self, partition: str, position: Any) -> Any:
        raise AssertionError("a source is never read")


def test_a_source_with_keys_takes_pairs() -> None:
    keyed = application(wallaroo.source_key, Log())
    items = [(b"ada", {"user": 1}), (b"bob", {"user": 2}), (b"ada", {"user": 1})]
    outputs = collect(keyed, {"clicks": items}, workers=2).outputs["results"]
    assert sorted((each["user"], each["count"]) for each in outputs) == [(1, 1), (1, 2), (2, 1)]
    with pytest.raises(WallarooParameterError, match="pairs of a key and an item"):
        collect(keyed, {"clicks": [{"user": 1}]})


class Numbers:
    def __init__(self, last: int | None) -> None:
        self.last = last

    def initial_value(self) -> dict[str, int]:
        return {"user": 1}

    def apply(self, value: dict[str, int]) -> dict[str, int] | None:
        return None if value["user"] == self.last else {"user": value["user"] + 1}


def test_a_generator_that_is_left_out_makes_its_own_records() -> None:
    generated = application(source=wallaroo.GenSourceConfig(Numbers(3)))
    assert len(collect(generated, {}).outputs["results"]) == 3
    given = collect(generated, {"clicks": [{"user": 9}]})
    assert given.outputs["results"] == [{"user": 9, "count": 1}]


def test_a_generator_has_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallaroo.testing.collecting.GENERATED_MAX", 10)
    endless = application(source=wallaroo.GenSourceConfig(Numbers(None)))
    with pytest.raises(WallarooParameterError, match=r"'clicks' makes its own records.*not end"):
        collect(endless, {})


def test_two_sinks_and_two_sources_are_told_apart_by_their_names() -> None:
    plan = (
        wallaroo.ApplicationBuilder("both")
        .new_pipeline("one", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to(twice)
        .to_sinks([wallaroo.TCPSinkConfig("h", 1, encode), wallaroo.TCPSinkConfig("h", 2, encode)])
        .new_pipeline("two", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_sink(wallaroo.TCPSinkConfig("h", 3, encode))
        .build()
    )
    one, two = {"user": "ada", "count": 1}, {"user": "bob", "count": 4}
    collected = collect(plan, {"two": [two], "one": [one]})
    assert collected.outputs == {"sink 0": [one, one], "sink 1": [one, one], "sink 2": [two]}
    assert collected.encoded["sink 2"] == [b"bob=4"]
    assert collect(plan, {}).outputs == {"sink 0": [], "sink 1": [], "sink 2": []}


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), bdb.BdbQuit()])
def test_the_debugger_and_ctrl_c_end_the_call(interrupt: BaseException) -> None:
    with pytest.raises(type(interrupt)):
        collect(application(), {"clicks": [{"user": "ada", "stop": interrupt}]})


@pytest.mark.parametrize("line", range(1, 12))
def test_ctrl_c_at_any_line_of_a_chain_ends_the_call(line: int) -> None:
    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename.startswith("<pipeline clicks, stage 0"):
            if event == "line" and frame.f_lineno - frame.f_code.co_firstlineno == line:
                raise KeyboardInterrupt
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            collect(application(), {"clicks": [click("ada")]})
    finally:
        sys.settrace(before)


def test_every_other_error_of_user_code_is_a_failure() -> None:
    items = [{"user": "ada", "stop": SystemExit(3)}, {"user": "ada"}]
    collected = collect(application(), {"clicks": items})
    assert [each.error for each in collected.failures] == ["SystemExit: 3"]
    assert len(collected.outputs["results"]) == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"inputs": {"click": []}}, "did you mean 'clicks'\\? its sources are: 'clicks'"),
        ({"inputs": {"clicks": b"abc"}}, "items of source 'clicks' are a bytes; give a list"),
        ({"inputs": {"clicks": 3}}, "items of source 'clicks' are an int; give a list"),
        ({"inputs": []}, "inputs is a list; give a dict"),
        ({"workers": 0}, "workers is 0"),
        ({"application": application}, "application is a function; give what application_setup"),
    ],
)
def test_a_mistake_in_the_call_is_told(given: dict[str, Any], sentence: str) -> None:
    arguments: dict[str, Any] = {"application": application(), "inputs": {}, **given}
    with pytest.raises(WallarooParameterError, match=sentence):
        collect(**arguments)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("given", ["payloads", "records", "both"])
def test_pipelines_may_feed_pipelines(seed: int, workers: int, given: str) -> None:
    pipelines = random_graph(Random(seed), [tcp_sink() for _ in range(3)])
    plan = compiled(*pipelines)
    numbers = [*range(1, 60), *range(30, 40)]
    items = {
        "payloads": [b"%d" % number for number in numbers],
        "records": numbers,
        "both": [b"%d" % number if number % 2 else number for number in numbers],
    }[given]
    names = [pipeline.name for pipeline in plan.pipelines]
    collected = collect(plan, dict.fromkeys(names, items), workers=workers)
    wanted = expected(pipelines, dict.fromkeys(names, numbers))
    for index, sink in enumerate(plan.sinks):
        rows = wanted.rows[id(sink)]
        assert Counter(map(int, collected.encoded[plan.sink_name(SinkId(index))])) == rows
        assert Counter(collected.outputs[plan.sink_name(SinkId(index))]) == rows
    assert Counter((each.pipeline, each.step) for each in collected.failures) == wanted.failures


def ends_of_one_prefix(*, through_a_step: bool) -> wallaroo.Application:
    clicks = wallaroo.source("clicks", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
    sink = wallaroo.TCPSinkConfig("127.0.0.1", 1, encode, name="results")
    other = clicks.map(as_it_is) if through_a_step else clicks
    return wallaroo.build_application("ends", clicks.to_sink(sink), other.to_sink(sink))


def as_it_is(record: dict[str, Any]) -> dict[str, Any]:
    return record


@pytest.mark.parametrize(("through_a_step", "count"), [(False, 1), (True, 2)])
def test_a_prefix_that_ends_twice_delivers_once_for_each_different_end(
    *, through_a_step: bool, count: int
) -> None:
    application = ends_of_one_prefix(through_a_step=through_a_step)
    outputs = collect(application, {"clicks": [{"user": "a", "count": 1}]}).outputs["results"]
    assert len(outputs) == count


def test_all_ends_of_a_prefix_get_the_same_object() -> None:
    application = ends_of_one_prefix(through_a_step=True)
    one, other = collect(application, {"clicks": [{"user": "a", "count": 1}]}).outputs["results"]
    assert one is other
