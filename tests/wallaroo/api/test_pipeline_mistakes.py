"""What ``build_application`` says of mistakes in pipelines: all of them, with file and line."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import decode, encode, first_letter, mistakes_of, pair, split, upper
from wallaroo import Pipeline, TCPSinkConfig, TCPSourceConfig, WallarooParameterError


@wallaroo.state_computation("count", dict)
def count(record: str, state: dict[str, int]) -> str:
    return record


SINK = TCPSinkConfig("127.0.0.1", "5555", encode)


class Numbers:
    def initial_value(self) -> str:
        return "1"

    def apply(self, value: str) -> str | None:
        return None


def lines(name: str = "lines", port: int = 0) -> Any:
    """Return a pipeline for which types do not matter: most of its uses here are mistakes."""
    return wallaroo.source(name, TCPSourceConfig("127.0.0.1", port, decode, framing="newline"))


def mistakes_of_ends(*ends: Pipeline[Any]) -> list[str]:
    return mistakes_of(lambda: wallaroo.build_application("app", *ends))


def mistake_of(*ends: Pipeline[Any]) -> str:
    (mistake,) = mistakes_of_ends(*ends)
    assert mistake.startswith("test_pipeline_mistakes.py:")
    return mistake


def test_no_method_raises_and_all_mistakes_are_told_together() -> None:
    nonsense: Any = object()
    pipeline = (
        wallaroo.source(nonsense, nonsense)
        .to(nonsense)
        .filter(nonsense)
        .map(nonsense)
        .flat_map(nonsense)
        .to_parallel(nonsense)
        .to_stateful(nonsense, nonsense, nonsense)
        .to_state_partition(nonsense, nonsense, nonsense, nonsense, nonsense)
        .named(nonsense)
        .key_by(nonsense)
        .collect()
        .merge(nonsense)
    )
    branch, _ = pipeline.split(nonsense)
    mistakes = mistakes_of_ends(branch.to_sinks(nonsense).to_sink(nonsense))
    assert len(mistakes) > 15
    assert all(mistake.startswith("test_pipeline_mistakes.py:") for mistake in mistakes)


def test_each_mistake_has_the_line_of_its_call() -> None:
    # fmt: off
    pipeline = (lines()
        .to(pair)
        .filter(5)
        .to_sink(SINK))
    # fmt: on
    first = test_each_mistake_has_the_line_of_its_call.__code__.co_firstlineno
    places = [mistake.split(": ")[0] for mistake in mistakes_of_ends(pipeline)]
    assert places == [f"test_pipeline_mistakes.py:{first + number}" for number in (3, 4)]


def test_a_mistake_in_a_shared_prefix_is_told_once() -> None:
    start = lines().filter(5)
    assert "the function of filter() is the int 5" in mistake_of(
        start.to_sink(SINK), start.map(upper).to_sink(SINK)
    )


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (lines().to(pair), "use to_stateful() or to_state_partition()"),
        (lines().to(first_letter), "which is decorated with @wallaroo.partition"),
        (lines().to_parallel(count), "use to(), behind key_by() or collect()"),
        (lines().to_stateful(count, dict, "s"), "use to(), behind key_by() or collect()"),
        (lines().filter(pair), "filter() has pair, which is decorated with"),
        (lines().map(split), "map() has the computation 'split'; give a function that returns one"),
        (lines().flat_map(upper), "give a function that returns a list, or use to()"),
        (lines().map(count), "map() has the computation 'count'"),
        (lines().map(divmod), "is called with 1 argument but is declared"),
        (lines().filter(lambda: True), "the function of filter() is called with 1 argument"),
        (lines().key_by(encode), "key of key_by() is the Encoder encode, which has no partition()"),
        (lines().key_by(lambda: 1), "the key of key_by() is called with 1 argument"),
        (lines().key_by(None), "the key of key_by() is None"),
        (lines().split(5)[0], "the function of split() is the int 5"),
        (lines().split()[0], "split() has no predicate"),
        (lines().named("x"), "named() does not come after a step"),
        (lines().key_by(len).named("x"), "named() does not come after a step"),
        (lines().map(upper).named(""), "the name of named() is empty"),
        (lines().merge(5), "merge() has the int 5; give pipelines"),
        (lines().merge(lines("q").done()), "merge() has a pipeline that done() has ended"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_told_with_what_to_do(pipeline: Any, said: str) -> None:
    assert said in mistake_of(pipeline.to_sink(SINK))


def test_an_async_function_is_not_a_step() -> None:
    async def fetch(record: str) -> str:
        return record

    assert "is an async function" in mistake_of(lines().to(fetch).to_sink(SINK))


def test_a_step_after_a_sink_is_a_mistake() -> None:
    ended = lines().to_sink(SINK)
    said = "comes after to_sink() has ended the pipeline; move it before to_sink()"
    assert f"to() {said}" in mistake_of(ended.to(upper).done())
    assert f"done() {said}" in mistake_of(ended.done())
    assert f"merge() {said}" in mistakes_of_ends(ended.merge(lines("q")).to_sink(SINK))[0]
    assert f"split() {said}" in mistakes_of_ends(ended.split(len)[1].to_sink(SINK))[0]


def test_a_pipeline_that_is_left_open_is_a_mistake() -> None:
    start = lines().map(upper)
    merged = start.merge(lines("q"))
    short, rest = start.split(len)
    left_open = "is left open; end it with to_sink(), to_sinks() or done()"
    assert f"the pipeline of 'lines' {left_open}" in mistake_of(start)
    assert f"the pipeline of 'lines' {left_open}" in mistake_of(start, start.to_sink(SINK))
    assert f"the pipeline of 'lines' and 'q' {left_open}" in mistake_of(merged)
    assert left_open in mistake_of(short.done(), rest)


def test_an_application_has_pipelines_with_a_sink() -> None:
    assert "the application has no pipeline" in mistake_of()
    assert "no pipeline of the application has a sink" in mistake_of(lines().map(upper).done())
    builder: Any = wallaroo.build_application
    with pytest.raises(WallarooParameterError, match="has the int 5; give pipelines"):
        builder("app", 5)


def test_two_sources_do_not_have_one_name() -> None:
    mistake = mistake_of(lines(port=1).merge(lines(port=2)).to_sink(SINK))
    assert "the pipeline name 'lines' is taken by the one at" in mistake


def test_two_sources_do_not_listen_at_one_address() -> None:
    mistake = mistake_of(lines("p", 7010).merge(lines("q", 7010)).to_sink(SINK))
    assert "the pipeline 'q' listens at 127.0.0.1:7010, as does 'p'" in mistake


def test_the_same_pipeline_is_not_merged_with_itself() -> None:
    start = lines()
    assert "each record would count twice" in mistake_of(start.merge(start).to_sink(SINK))


def test_a_state_is_not_used_twice_on_one_way() -> None:
    start = lines().to_stateful(pair, dict, "s")
    once, rest = start.split(len)
    said = "the state 's' is used twice in one pipeline"
    assert said in mistake_of(start.map(upper).to_stateful(pair, dict, "s").to_sink(SINK))
    assert said in mistake_of(rest.to_stateful(pair, dict, "s").to_sink(SINK), once.done())
    merged = lines("q").merge(once)
    assert said in mistake_of(merged.to_stateful(pair, dict, "s").to_sink(SINK), rest.done())
    # On two ways it is shared.
    both = lines("q").to_stateful(pair, dict, "s").merge(start)
    assert wallaroo.build_application("app", both.to_sink(SINK)).states.keys() == {"s"}


def test_all_merged_pipelines_have_a_key_or_none_has() -> None:
    keyed, other = lines().key_by(first_letter), lines("q")
    said = "merge() has a pipeline that ends with key_by() and one whose records have no key"
    assert said in mistake_of(keyed.merge(other).to_sink(SINK))
    stepped = keyed.map(upper)
    assert wallaroo.build_application("app", stepped.merge(other).to_sink(SINK)).name == "app"
    mistake = mistake_of(stepped.merge(other).map(upper).to(count).to_sink(SINK))
    assert "the step 'count' has a state and is behind a merge() of pipelines of which" in mistake
    assert "call key_by() or collect() before it" in mistake


PAYLOAD_KEY = wallaroo.payload_key(offset=0, length=1)


def test_a_payload_key_belongs_to_the_first_step_behind_a_source() -> None:
    keyed = lines().key_by(PAYLOAD_KEY)
    plan = wallaroo.build_application("app", keyed.to(count).to_sink(SINK))
    exchange = plan.pipelines[0].stages[1].exchange
    assert exchange is not None
    assert exchange.payload_key is PAYLOAD_KEY.rule
    behind = lines().map(upper).key_by(PAYLOAD_KEY).to(count)
    assert "a payload_key() is behind the step 'upper'" in mistake_of(behind.to_sink(SINK))
    start = lines()
    one = start.key_by(PAYLOAD_KEY).to(count).to_sink(SINK)
    mistake = mistake_of(one, start.map(upper).to_sink(SINK))
    assert "is in the pipeline 'lines > count', which is fed by another one" in mistake
    assert "a payload_key() is before to_parallel()" in mistake_of(
        keyed.to_parallel(upper).to_sink(SINK)
    )
    twice = keyed.to(count).to_sink(SINK), keyed.map(upper).to_sink(SINK)
    assert "a payload_key() is before merge(), or before several" in mistake_of(*twice)
    branch, rest = keyed.split(len)
    mistake = mistake_of(branch.to_sink(SINK), rest.done())
    assert "a payload_key() is before split()" in mistake


def test_a_payload_key_needs_a_source_with_payloads() -> None:
    numbers = wallaroo.source("numbers", wallaroo.GenSourceConfig(Numbers())).key_by(PAYLOAD_KEY)
    assert "has no payloads to find a key in" in mistake_of(numbers.to(count).to_sink(SINK))


def test_a_source_key_needs_a_source_with_keys_and_no_step_before_it() -> None:
    keyed = lines().key_by(wallaroo.source_key)
    mistake = mistake_of(keyed.to(count).to_sink(SINK))
    assert "the source of pipeline 'lines' has no keys" in mistake
    behind = lines().map(upper).key_by(wallaroo.source_key).to(count).to_sink(SINK)
    assert "source_key is behind the step 'upper', whose records have no key" in mistake_of(behind)


def test_a_file_that_several_pipelines_write_is_one_sink() -> None:
    def file_sink() -> wallaroo.FileSinkConfig[object]:
        return wallaroo.FileSinkConfig("out.txt", encode)

    start, shared = lines(), file_sink()
    one, two = start.map(upper), start.map(len)
    plan = wallaroo.build_application("app", one.to_sink(shared), two.to_sink(shared))
    assert len(plan.sinks) == 1
    mistake = mistake_of(one.to_sink(file_sink()), two.to_sink(file_sink()))
    assert "the pipeline 'lines > len' writes to out.txt, as does 'lines > upper'" in mistake


def test_the_builder_takes_pipelines_too() -> None:
    start = lines("q", 7011)
    builder = wallaroo.ApplicationBuilder("both").new_pipeline(
        "p", TCPSourceConfig("127.0.0.1", 7010, decode, framing="newline")
    )
    builder.to(upper).to_sink(SINK)
    plan = builder.add(start.map(len).to_sink(SINK), start.done()).build()
    assert [pipeline.name for pipeline in plan.pipelines] == ["p", "q"]
    assert len(plan.sinks) == 2
    builder.to(upper)
    with pytest.raises(WallarooParameterError, match="after to_sink\\(\\) has ended pipeline 'p'"):
        builder.build()


@pytest.mark.parametrize("method", ["filter", "map", "flat_map", "key_by", "collect", "named"])
def test_a_method_of_the_builder_needs_an_open_pipeline(method: str) -> None:
    arguments = {"named": ["x"], "collect": []}.get(method, [str.split])
    builder = wallaroo.ApplicationBuilder("app")
    getattr(builder, method)(*arguments)
    builder.add(lines().to_sink(SINK))
    with pytest.raises(WallarooParameterError) as caught:
        builder.build()
    assert f"{method}() comes before any pipeline; call new_pipeline()" in str(caught.value)


@pytest.mark.parametrize("key", ["user", b"user"])
def test_a_text_is_not_a_key_though_it_has_a_method_of_that_name(key: Any) -> None:
    told = mistake_of(lines().key_by(key).to(count).to_sink(SINK))
    assert f"the key of key_by() is the {type(key).__name__} {key!r}" in told
    assert "lambda record: record[...]" in told


def test_every_branch_of_a_split_goes_somewhere() -> None:
    long, short = lines().split(lambda line: len(line) > 80)
    assert "the records of branch 1 of split() go nowhere" in mistake_of(long.to_sink(SINK))
    assert wallaroo.build_application("lines", long.to_sink(SINK), short.done())
