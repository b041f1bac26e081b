"""One worker's chain: filters, results in order, and errors that stop one record only."""

from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import (
    Mesh,
    application,
    decode_text,
    encode_line,
    payloads,
    stateless_plan,
    tcp_sink,
    tcp_source_at,
)
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.operators.writing.chain import LOOPS_NESTED_MAX
from wallaroo.topology.plan import Application


def multi(name: str, function: Callable[..., Any]) -> Any:
    return wallaroo.computation_multi(name)(function)


def single(name: str, function: Callable[..., Any]) -> Any:
    return wallaroo.computation(name)(function)


def stateful_plan(
    function: Callable[..., Any], *, is_multi: bool = False, create: Any = list
) -> Application:
    """Return a plan with one state for each first letter, ended by a step called ``after``."""
    decorate: Any = wallaroo.state_computation_multi if is_multi else wallaroo.state_computation
    builder = application().to_state_partition(
        decorate("keep")(function), create, "words", wallaroo.partition(lambda word: word[0])
    )
    return builder.to(single("after", lambda word: word)).to_sink(tcp_sink()).build()


def run(plan: Application, words: str) -> tuple[list[str], list[Failure]]:
    """Return the lines of the first sink and the failures of one worker."""
    mesh = Mesh(plan)
    mesh.feed(payloads(words))
    return mesh.lines(), mesh.failures()


def none_if(word: str) -> Callable[[Any], Any]:
    return lambda value: None if value == word else value


def test_none_drops_the_record_in_decoder_computation_and_encoder() -> None:
    decoder: Any = wallaroo.decoder()(lambda payload: None if payload == b"b" else payload.decode())
    encoder: Any = wallaroo.encoder(lambda word: None if word == "d" else f"{word}\n")
    plan = stateless_plan(none_if("c"), none_if("e"), decoder=decoder, encoder=encoder)
    assert run(plan, "a b c d e f") == (["a", "f"], [])


@pytest.mark.parametrize("falsy", [0, "", b"", False, [], 0.0])
def test_falsy_records_are_records(falsy: Any) -> None:
    plan = stateless_plan(lambda word: falsy, lambda value: (value, "came"), encoder=encode_line)
    assert run(plan, "a") == ([f"{(falsy, 'came')}"], [])


def test_many_results_go_on_in_the_order_of_the_list() -> None:
    plan = application()
    plan.to(multi("letters", list)).to(multi("twice", lambda letter: [letter, None, letter * 2]))
    assert run(plan.to_sink(tcp_sink()).build(), "ab cd")[0] == [
        "a",
        "aa",
        "b",
        "bb",
        "c",
        "cc",
        "d",
        "dd",
    ]


def test_none_and_an_empty_list_are_no_results() -> None:
    plan = application().to(multi("some", lambda word: {"a": None, "b": []}.get(word, [word])))
    assert run(plan.to_sink(tcp_sink()).build(), "a b c") == (["c"], [])


@pytest.mark.parametrize("count", [LOOPS_NESTED_MAX - 1, LOOPS_NESTED_MAX, 12, 40])
def test_any_number_of_multi_computations_may_follow_each_other(count: int) -> None:
    def grow(word: str) -> list[str]:
        return [f"{word}+"] if word.endswith("+") else [f"{word}+", f"{word}-+"]

    builder = application()
    for index in range(count):
        builder.to(multi(f"grow {index}", grow))
    tail = "+" * count
    assert run(builder.to_sink(tcp_sink()).build(), "a b") == (
        [f"a{tail}", f"a-{tail}", f"b{tail}", f"b-{tail}"],
        [],
    )


@pytest.mark.parametrize("failing", [0, LOOPS_NESTED_MAX, 11])
def test_an_error_behind_many_multi_computations_is_of_its_step_and_item(failing: int) -> None:
    def fail_on_minus(word: str) -> list[str]:
        if "-" in word:
            raise ValueError(word)
        return [word]

    builder = application().to(multi("split", lambda word: [word, f"{word}-", f"{word}/"]))
    for index in range(12):
        builder.to(
            multi(f"step {index}", fail_on_minus if index == failing else lambda word: [word])
        )
    lines, failures = run(builder.to_sink(tcp_sink()).build(), "a b")
    assert lines == ["a", "a/", "b", "b/"]
    assert [(each.step, each.record, each.payload) for each in failures] == [
        (f"step {failing}", "'a-'", b"a"),
        (f"step {failing}", "'b-'", b"b"),
    ]


def test_each_sink_gets_its_own_encoding_whatever_the_others_do() -> None:
    def choosy(word: str) -> str | None:
        if word == "bad":
            raise ValueError("not for me")
        return None if word == "skip" else f"{word}!\n"

    builder = application().to(multi("letters", lambda word: [word, word.upper()]))
    sinks = [tcp_sink(), tcp_sink(wallaroo.encoder(choosy)), tcp_sink()]
    mesh = Mesh(builder.to_sinks(sinks).build())
    mesh.feed(payloads("bad skip good"))
    everything = ["bad", "BAD", "skip", "SKIP", "good", "GOOD"]
    assert mesh.lines(0) == mesh.lines(2) == everything
    assert mesh.lines(1) == ["BAD!", "SKIP!", "good!", "GOOD!"]
    (failure,) = mesh.failures()
    assert failure.step == "encoder of tcp sink to 127.0.0.1:7002"


def test_a_pipeline_may_end_without_a_sink() -> None:
    seen: list[str] = []
    see = single("see", lambda word: seen.append(word))
    builder = application().to(see).done().new_pipeline("q", tcp_source_at("7011"))
    assert run(builder.to_sink(tcp_sink()).build(), "a b") == ([], [])
    assert seen == ["a", "b"]


def failing_decode(payload: bytes) -> str:
    if payload == b"bad":
        raise ValueError("no such word")
    return payload.decode()


def failing_step(word: Any) -> Any:
    if word == "bad":
        raise KeyError("bad")
    return word


def failing_state_step(word: str, state: list[str]) -> tuple[str, bool]:
    return failing_step(word), True


def only_failure(plan: Application) -> Failure:
    """Run with one bad record among good ones, which must all come through."""
    lines, failures = run(plan, "good bad fine")
    assert lines == ["good", "fine"]
    (failure,) = failures
    assert failure.pipeline == "p"
    assert failure.payload == b"bad"
    assert failure.traceback.startswith("Traceback (most recent call last):\n")
    first_frame = failure.traceback.splitlines()[1]
    assert f'File "{__file__}"' in first_frame
    return failure


def test_an_error_in_the_decoder_is_a_failure_with_its_payload() -> None:
    decoder: Any = wallaroo.decoder()(failing_decode)
    failure = only_failure(stateless_plan(decoder=decoder))
    assert (failure.step, failure.key, failure.error) == (
        "decoder",
        None,
        "ValueError: no such word",
    )
    assert failure.record == "b'bad'"
    assert "in failing_decode" in failure.traceback.splitlines()[1]


def test_an_error_in_a_computation_is_a_failure_with_its_record() -> None:
    failure = only_failure(stateless_plan(str.strip, failing_step, str.strip))
    assert (failure.step, failure.key, failure.error, failure.record) == (
        "failing_step",
        None,
        "KeyError: 'bad'",
        "'bad'",
    )
    assert "in failing_step" in failure.traceback.splitlines()[1]


def test_an_error_in_the_encoder_is_a_failure() -> None:
    encoder: Any = wallaroo.encoder(lambda word: failing_step(word) + "\n")
    failure = only_failure(stateless_plan(encoder=encoder))
    assert (failure.step, failure.key) == ("encoder of tcp sink to 127.0.0.1:7002", None)


def test_an_error_in_the_partition_function_has_no_key_yet() -> None:
    keep: Any = wallaroo.state_computation("keep")(lambda word, state: (word, True))
    partition = wallaroo.partition(failing_step)
    plan = application().to_state_partition(keep, list, "words", partition).to_sink(tcp_sink())
    failure = only_failure(plan.build())
    assert (failure.step, failure.key) == ("failing_step", None)


def test_an_error_in_a_state_computation_has_the_key() -> None:
    failure = only_failure(stateful_plan(failing_state_step))
    assert (failure.step, failure.key, failure.record) == ("keep", "b", "'bad'")


def test_an_error_behind_a_state_still_has_the_key() -> None:
    keep: Any = wallaroo.state_computation("keep")(lambda word, state: (word, True))
    builder = application().to_stateful(keep, list, "words").to(single("after", failing_step))
    failure = only_failure(builder.to_sink(tcp_sink()).build())
    assert (failure.step, failure.key) == ("after", "key")


def test_an_error_of_one_item_keeps_the_key_that_its_step_stands_behind() -> None:
    def split(word: str, state: list[str]) -> tuple[list[str], bool]:
        return [f"x{word}", word, f"y{word}"], True

    keep: Any = wallaroo.state_computation("keep")(lambda word, state: (word, True))
    builder = application()
    builder.to_state_partition(
        wallaroo.state_computation_multi("split")(split),
        list,
        "words",
        wallaroo.partition(lambda word: word[0]),
    )
    builder.to(single("check", failing_step))
    builder.to_state_partition(keep, list, "others", wallaroo.partition(lambda word: word[0]))
    lines, failures = run(builder.to_sink(tcp_sink()).build(), "bad")
    assert lines == ["xbad", "ybad"]
    assert [(failure.step, failure.key) for failure in failures] == [("check", "b")]


def test_an_error_of_one_item_is_not_the_other_items_loss() -> None:
    builder = application().to(multi("items", lambda word: ["bad", word, "bad", word]))
    plan = builder.to(single("check", failing_step)).to_sink(tcp_sink()).build()
    lines, failures = run(plan, "a b")
    assert lines == ["a", "a", "b", "b"]
    assert [failure.payload for failure in failures] == payloads("a a b b")


def test_a_state_that_cannot_be_made_fails_its_record_and_is_tried_again() -> None:
    attempts: list[str] = []

    def create() -> list[str]:
        attempts.append("")
        if len(attempts) == 1:
            raise OSError("not yet")
        return []

    def keep(word: str, state: list[str]) -> tuple[str, bool]:
        state.append(word)
        return "".join(state), True

    lines, failures = run(stateful_plan(keep, create=create), "a1 a2 a3")
    assert lines == ["a2", "a2a3"]
    (failure,) = failures
    assert (failure.step, failure.key, failure.payload) == ("keep", "a", b"a1")
    assert "in create" in failure.traceback


def pair_of(result: Any) -> Callable[[str, Any], Any]:
    return lambda word, state: result if word == "bad" else (word, True)


def listed(result: Any) -> Callable[[str], Any]:
    return lambda word: result if word == "bad" else [word]


def listed_pair(result: Any) -> Callable[[str, Any], Any]:
    return lambda word, state: result if word == "bad" else ([word], True)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (None, "NoneType"),
        ("word", "str"),
        ("ab", "str"),
        (7, "int"),
        ((), "tuple of 0"),
        (("word", True, 1), "tuple of 3"),
        (["word"], "list of 1"),
        ({"a": 1, "b": 2}, "dict"),
    ],
)
def test_a_state_computation_that_returns_no_pair_is_told_so(result: Any, shown: str) -> None:
    lines, failures = run(stateful_plan(pair_of(result)), "good bad fine")
    assert lines == ["good", "fine"]
    (failure,) = failures
    assert (failure.step, failure.key, failure.record) == ("keep", "b", "'bad'")
    assert failure.error == (
        "TypeError: a state computation must return a pair (output, save_state), this one "
        f"returned {shown}; end it with `return output, True`, or with False or "
        "wallaroo.DELETE instead"
    )
    assert "During handling" not in failure.traceback


@pytest.mark.parametrize("pair", [("x", True), ["x", False], ("x", None), ("x", 1)])
def test_a_pair_is_a_tuple_or_list_of_two(pair: Any) -> None:
    assert run(stateful_plan(pair_of(pair)), "bad") == (["x"], [])


def test_a_pair_that_raises_while_it_is_unpacked_fails_with_what_it_raised() -> None:
    def lazily(word: str) -> Any:
        if word == "bad":
            raise KeyError("state")
        yield word
        yield True

    def keep(word: str, state: list[str]) -> Any:
        return lazily(word)

    lines, failures = run(stateful_plan(keep), "good bad fine")
    assert lines == ["good", "fine"]
    assert [(failure.step, failure.error) for failure in failures] == [
        ("keep", "KeyError: 'state'")
    ]


@pytest.mark.parametrize(
    "result", [("a", "b"), "ab", {"a"}, 7, iter("ab")], ids=lambda result: type(result).__name__
)
def test_a_multi_computation_must_return_a_list(result: Any) -> None:
    expected = (
        "TypeError: a multi computation must return a list or None, this one returned "
        f"{type(result).__name__}; wrap the result in list(...)"
    )
    stateless = application().to(multi("keep", listed(result))).to_sink(tcp_sink()).build()
    for plan in (stateless, stateful_plan(listed_pair((result, True)), is_multi=True)):
        lines, failures = run(plan, "good bad fine")
        assert lines == ["good", "fine"]
        assert [(failure.step, failure.error) for failure in failures] == [("keep", expected)]


def test_a_subclass_of_list_is_a_list() -> None:
    class Words(list[str]):
        pass

    plan = application().to(multi("words", lambda word: Words([word]))).to_sink(tcp_sink()).build()
    assert run(plan, "a b") == (["a", "b"], [])


@pytest.mark.parametrize("result", [7, ["a"], 1.5, ("a",), {}])
def test_an_encoder_must_return_bytes_or_text(result: Any) -> None:
    encoder: Any = wallaroo.encoder(lambda word: result if word == "bad" else f"{word}\n")
    lines, failures = run(stateless_plan(encoder=encoder), "good bad fine")
    assert lines == ["good", "fine"]
    assert [failure.error for failure in failures] == [
        "TypeError: an encoder must return bytes, str or None, this one returned "
        f"{type(result).__name__}"
    ]


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, bytes.decode])
def test_an_encoder_may_return_any_kind_of_bytes_or_text(wrap: Callable[[bytes], Any]) -> None:
    encoder: Any = wallaroo.encoder(lambda word: wrap(f"{word}\u00e9\n".encode()))
    assert run(stateless_plan(encoder=encoder), "a b") == (["a\u00e9", "b\u00e9"], [])


def test_text_that_utf8_cannot_hold_is_a_failure_of_the_encoder() -> None:
    encoder: Any = wallaroo.encoder(lambda word: "\ud800" if word == "bad" else f"{word}\n")
    lines, failures = run(stateless_plan(encoder=encoder), "good bad")
    assert lines == ["good"]
    assert [failure.step for failure in failures] == ["encoder of tcp sink to 127.0.0.1:7002"]


@pytest.mark.parametrize("key", [None, 1.5, ["a"], {"a"}, object, ("a", None), bytearray(b"a")])
def test_what_cannot_be_a_key_is_a_failure_of_the_partition_function(key: Any) -> None:
    def by_letter(word: str) -> Any:
        return key if word == "bad" else word[0]

    keep: Any = wallaroo.state_computation("keep")(lambda word, state: (word, True))
    builder = application().to_state_partition(keep, list, "w", wallaroo.partition(by_letter))
    plan = builder.to_sink(tcp_sink()).build()
    for worker_count in (1, 2):
        mesh = Mesh(plan, worker_count)
        mesh.feed(payloads("good bad fine"))
        assert sorted(mesh.lines()) == ["fine", "good"]
        (failure,) = mesh.failures()
        assert (failure.step, failure.key) == ("by_letter", None)
        assert "cannot be a key" in failure.error


def test_an_assertion_of_the_users_is_a_failure_like_any_other() -> None:
    def check(word: str) -> str:
        assert word != "bad", "never bad"
        return word

    failure = only_failure(stateless_plan(check))
    assert (failure.step, failure.error.splitlines()[0]) == ("check", "AssertionError: never bad")


def test_an_exception_object_that_is_raised_again_tells_only_the_latest_call() -> None:
    kept = ValueError("kept")

    def fail(word: str) -> str:
        raise kept

    _, failures = run(stateless_plan(fail), "a b c d")
    assert [failure.payload for failure in failures] == payloads("a b c d")
    assert {failure.traceback.count("in fail\n") for failure in failures} == {1}


def test_an_error_shows_what_led_to_it() -> None:
    def fail(word: str) -> str:
        try:
            return {"known": "x"}[word]
        except KeyError as error:
            raise ValueError("unknown") from error

    _, (failure,) = run(stateless_plan(fail), "a")
    assert "KeyError: 'a'" in failure.traceback
    assert failure.traceback.rstrip().endswith("ValueError: unknown")


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_what_would_end_a_process_is_the_failure_of_its_record(
    ending: type[BaseException],
) -> None:
    def end(word: str) -> list[str]:
        if word == "b":
            raise ending
        return [word]

    builder = application().to(multi("items", list)).to(multi("end", end))
    mesh = Mesh(builder.to_sink(tcp_sink()).build())
    mesh.feed(payloads("abc"))
    (failure,) = mesh.failures()
    assert (failure.step, failure.payload) == ("end", b"abc")
    assert failure.error.startswith(ending.__name__)
    assert mesh.lines() == ["a", "c"]


def test_the_first_error_stops_the_run_where_errors_are_to() -> None:
    builder = application().to(multi("items", lambda word: [word])).to(single("c", failing_step))
    mesh = Mesh(builder.to_sink(tcp_sink()).build(), stop_on_error=True)
    with pytest.raises(StopOnError) as stop:
        mesh.feed(payloads("good bad fine"))
    assert (stop.value.failure.step, stop.value.failure.payload) == ("c", b"bad")
    assert isinstance(stop.value.__cause__, KeyError)
    mesh.settle()
    assert mesh.lines() == ["good"]
    assert mesh.failures() == []


def test_a_record_that_cannot_be_read_stops_the_run_too() -> None:
    plan = application().to_parallel(single("same", lambda word: word)).to_sink(tcp_sink()).build()
    mesh = Mesh(plan, 2, form=BatchFormat.OBJECTS, stop_on_error=True)
    receiver = mesh.flows[mesh.workers[1]]
    mesh.flows[mesh.workers[0]].run_source(0, payloads("a b"))
    (batch,) = mesh.flows[mesh.workers[0]].take_batches()
    with pytest.raises(StopOnError, match="UnpicklingError"):
        receiver.unpack(batch.edge, batch.form, batch.body.replace(b"\x8c\x01b", b"\xff\x01b"))


def test_the_decoder_of_a_payload_that_travels_runs_again_at_the_owner() -> None:
    calls: list[bytes] = []

    def decode(payload: bytes) -> str:
        calls.append(payload)
        return decode_text.function(payload)

    plan = application(decoder=wallaroo.decoder()(decode)).to_parallel(single("s", str.upper))
    mesh = Mesh(plan.to_sink(tcp_sink()).build(), 2)
    mesh.feed(payloads("a b"), worker=0)
    assert sorted(mesh.lines()) == ["A", "B"]
    assert calls == [b"a", b"b", b"b"]
