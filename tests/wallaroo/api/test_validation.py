from collections.abc import Sequence
from dataclasses import replace

from wallaroo.api.drafts import PipelineDraft
from wallaroo.api.validation import application_mistakes
from wallaroo.connectors.base import Sink, Source
from wallaroo.connectors.file import FileSink, FileSource
from wallaroo.connectors.tcp import TCPSource
from wallaroo.topology.graph import (
    ComputationDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)

HERE = SourceLocation("app.py", 1)
SOURCE = TCPSource("h", 0, 4, ">I", bytes)
STATE = StateDeclaration("s", dict, ("a", "b"))


def draft(
    line: int,
    *states: StateDeclaration,
    name: str | None = None,
    source: Source = SOURCE,
    sinks: Sequence[Sink] = (),
    closed_by: str = "to_sink",
) -> PipelineDraft:
    computation = ComputationDeclaration("c", len, is_multi=False)
    steps = [
        StepDeclaration(
            StepKind.PARTITIONED_STATE,
            computation,
            SourceLocation("app.py", line + 1 + index),
            state,
        )
        for index, state in enumerate(states)
    ]
    place = SourceLocation("app.py", line)
    return PipelineDraft(name or f"p{line}", source, place, steps, [*sinks], closed_by=closed_by)


def mistakes(*drafts: PipelineDraft) -> list[str]:
    return [*application_mistakes(drafts, HERE)]


def test_a_sound_application_has_no_mistakes() -> None:
    assert mistakes(draft(10, STATE), draft(20, STATE, closed_by="done")) == []


def test_an_application_has_a_pipeline() -> None:
    assert mistakes() == [
        "app.py:1: the application has no pipeline; give it one that has a source"
    ]


def test_a_pipeline_of_the_application_has_a_sink() -> None:
    assert mistakes(draft(10, closed_by="done")) == [
        "app.py:1: no pipeline of the application has a sink; end at least one with to_sink()"
    ]
    assert mistakes(draft(10, closed_by="to_sinks")) == []


def test_every_pipeline_is_ended() -> None:
    assert mistakes(draft(10, closed_by=""), draft(20)) == [
        "app.py:10: the pipeline 'p10' is left open; end it with to_sink(), to_sinks() or done()"
    ]


def test_pipeline_names_are_unique() -> None:
    assert mistakes(draft(10, name="x"), draft(20, name="x"), draft(30, name="y")) == [
        "app.py:20: the pipeline name 'x' is taken by the one at app.py:10; "
        "give each pipeline a name of its own"
    ]


def test_a_pipeline_does_not_come_back_to_a_state() -> None:
    (mistake,) = mistakes(draft(10, STATE, STATE))
    assert mistake.startswith(
        "app.py:12: the state 's' is used twice in one pipeline, first at app.py:11;"
    )


def test_a_state_has_one_class() -> None:
    assert mistakes(draft(10, STATE), draft(20, replace(STATE, create=list))) == [
        "app.py:21: the state 's' has class list here, but dict at app.py:11; "
        "use one class, or another state name"
    ]


def test_a_state_has_one_set_of_keys_in_any_order() -> None:
    assert mistakes(draft(10, STATE), draft(20, replace(STATE, keys=("b", "a")))) == []
    assert mistakes(draft(10, STATE), draft(20, replace(STATE, keys=("a",)))) == [
        "app.py:21: the state 's' has other partition_keys here than at app.py:11; "
        "declare the same keys, or use another state name"
    ]


def test_a_state_is_partitioned_everywhere_or_nowhere() -> None:
    assert mistakes(draft(10, STATE), draft(20, replace(STATE, keys=None))) == [
        "app.py:21: the state 's' is one object (to_stateful) here, but partitioned by key at "
        "app.py:11; use to_state_partition() for both, or another state name"
    ]


def test_each_tcp_source_has_a_port_of_its_own() -> None:
    taken = replace(SOURCE, port=7010)
    assert mistakes(draft(10, source=taken), draft(20, source=taken)) == [
        "app.py:20: the pipeline 'p20' listens at h:7010, as does 'p10' at app.py:10; "
        "give each source a port of its own"
    ]
    assert mistakes(draft(10, source=taken), draft(20, source=replace(taken, port=7011))) == []
    assert mistakes(draft(10, source=taken), draft(20, source=replace(taken, host="g"))) == []


def test_each_sink_has_a_file_of_its_own() -> None:
    out, also_out = FileSink("out.txt", str), FileSink("./out.txt", str)
    assert mistakes(draft(10, sinks=[out]), draft(20, sinks=[FileSink("b", str)])) == []
    assert mistakes(draft(10, sinks=[out]), draft(20, sinks=[also_out])) == [
        "app.py:20: the pipeline 'p20' writes to ./out.txt, as does 'p10' at app.py:10; "
        "give each sink a file of its own"
    ]
    assert len(mistakes(draft(10, sinks=[out, also_out]))) == 1


def test_a_sink_does_not_write_what_a_source_reads() -> None:
    source = FileSource("data/in.txt", "newline", 0, "", bytes)
    sinks = [FileSink("data/../data/in.txt", str)]
    assert mistakes(draft(10, sinks=sinks), draft(20, source=source)) == [
        "app.py:10: the pipeline 'p10' writes to data/../data/in.txt, which 'p20' at app.py:20 "
        "reads; write to another file"
    ]


def test_several_sources_may_read_one_file() -> None:
    source = FileSource("in.txt", "newline", 0, "", bytes)
    assert mistakes(draft(10, source=source), draft(20, source=source)) == []


def test_each_sink_has_a_name_of_its_own() -> None:
    sinks = [FileSink("a", str, "totals"), FileSink("b", str), FileSink("c", str, "sink 1")]
    (mistake,) = mistakes(draft(10, sinks=sinks, closed_by="to_sinks"))
    assert "two sinks are named 'sink 1'" in mistake
