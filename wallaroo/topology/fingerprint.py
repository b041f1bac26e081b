"""Compares the plans of two processes or two runs, and finds where they differ.

The outline leaves out addresses: a port 0 becomes a real port at start, and a cluster may run on
another host the next time. Two plans with the same outline can use each other's checkpoints. The
lines of an outline are part of the format of checkpoints.
"""

import dataclasses
import enum
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from wallaroo.function_names import qualified_name, value_text
from wallaroo.routing.keys import display_key
from wallaroo.timing.spec import SourceTime
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.plan import (
    SOURCE_KEY,
    Application,
    Exchange,
    ExchangeKind,
    Flow,
    InnerPipeline,
    State,
    Step,
)
from wallaroo.topology.ports import Port

_PIPELINE = re.compile(r"(pipeline .+ with source \w+)\((identity=.+(?=, decode=))?", re.DOTALL)

_PARTITION_COUNT = re.compile(r" partitions [1-9][0-9]* keys ")

TIMING = " timing "
"""Before what the line of a state says of its time."""

_KEPT_SINKS = r"(?:FileSink\(path=|OnceSink\(identity=|TwoPhaseSink\(identity=)"
_KEPT_SINK = re.compile(rf"sink (\d+) ({_KEPT_SINKS}.+), encode=", re.DOTALL)
"""Checkpoints refer to these by their position in the plan."""


def outline(plan: Application) -> tuple[str, ...]:
    """Return one line for each source, exchange, step, sink and state, in the order of the plan.

    Lines hold names, functions as ``module.qualname``, keys and numbers of partitions; the same
    application has the same lines in every process.
    """
    return tuple(_lines(plan))


def difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """Return a sentence that names the first line in which two outlines differ; "" if none does."""
    for our_line, their_line in itertools.zip_longest(ours, theirs):
        if their_line is None:
            return f"the plans differ: here is [{our_line}], and there the plan has ended"
        if our_line is None:
            return f"the plans differ: there is [{their_line}], and here the plan has ended"
        if our_line != their_line:
            return f"the plans differ: here is [{our_line}], and there is [{their_line}]"
    return ""


def displaced(saved: Sequence[str], current: Sequence[str]) -> str:
    """Return a sentence on the first pipeline or sink of `saved` that is elsewhere now.

    Positions of sources, journals, output files and batches in outboxes refer to that position in
    the plan, so they would be used for another one. A pipeline or such a sink whose position is
    empty now was removed, and does not count; neither do inner pipelines, which have no positions.
    Return "" if nothing is displaced.
    """
    saved_pipelines, current_pipelines = _pipelines(saved), _pipelines(current)
    for ours, theirs in zip(saved_pipelines, current_pipelines, strict=False):
        if ours != theirs:
            return f"in the place of [{ours}] is [{theirs}]"
    saved_sinks, current_sinks = _kept_sinks(saved), _kept_sinks(current)
    for index, file in saved_sinks.items():
        at = [other for other, theirs in current_sinks.items() if theirs == file]
        if index not in at and (at or index in current_sinks):
            moved = (
                f"is sink {at[0]}" if at else f"has given its place to [{current_sinks[index]})]"
            )
            return f"sink {index} [{file})] {moved} now"
    return ""


def timing_in(outline: Iterable[str], state: str) -> str:
    """Return what an outline says of the time of a state; empty if it has none."""
    start = f"state {state!r} "
    lines = (line.removeprefix(start) for line in outline if line.startswith(start))
    return next((line.rpartition(TIMING)[2] for line in lines if TIMING in line), "")


def without_partition_counts(outline: Iterable[str]) -> list[str]:
    """Return the outline without the numbers of partitions, which a restore may change.

    A state whose keys are all declared has none, and stays different from one with hashed keys.
    """
    return [
        _PARTITION_COUNT.sub(" partitions keys ", line, count=1)
        if line.startswith("state ")
        else line
        for line in outline
    ]


def without_classes(outline: Iterable[str], states: Collection[str]) -> list[str]:
    """Return the outline without the classes of these states."""
    lines = list(outline)
    for index, line in enumerate(lines):
        for state in states:
            start = f"state {state!r} "
            if line.startswith(start):
                _, separator, rest = line.removeprefix(start).partition(" partitions ")
                lines[index] = start + separator + rest
    return lines


def _pipelines(outline: Iterable[str]) -> list[str]:
    matches = [match for line in outline if (match := _PIPELINE.match(line))]
    return [f"{match[1]}, {match[2]}" if match[2] else match[1] for match in matches]


def _kept_sinks(outline: Iterable[str]) -> dict[int, str]:
    matches = [match for line in outline if (match := _KEPT_SINK.match(line))]
    return {int(match[1]): match[2] for match in matches}


def _lines(plan: Application) -> Iterator[str]:
    yield f"application {plan.name!r}"
    for pipeline in plan.flows:
        yield from _pipeline_lines(plan, pipeline)
    for index, sink in enumerate(plan.sinks):
        yield f"sink {index} {sink.identity()}"
    for state in plan.states.values():
        yield _state_line(state)


def _pipeline_lines(plan: Application, pipeline: Flow) -> Iterator[str]:
    if isinstance(pipeline, InnerPipeline):
        yield _inner_line(plan, pipeline)
    else:
        yield f"pipeline {pipeline.name!r} with source {pipeline.source.identity()}"
        if pipeline.time is not None:
            place = f" after {pipeline.time_after} steps" if pipeline.time_after else ""
            yield f"time of pipeline {pipeline.name!r}: {_time_text(pipeline.time)}{place}"
    for stage in pipeline.stages:
        if stage.exchange is not None:
            yield _exchange_line(stage.exchange)
        yield from map(_step_line, stage.steps)
    for branch, predicate in enumerate(pipeline.branches):
        yield f"branch {branch} {predicate.name!r} {qualified_name(predicate.function)}"
    if pipeline.key is not None:
        yield f"key by {value_text(pipeline.key.partition)}"
    yield f"end of pipeline {pipeline.name!r} with sinks {list(pipeline.sinks)}"


def _time_text(time: SourceTime) -> str:
    values = {each.name: getattr(time, each.name) for each in dataclasses.fields(time)}
    settings = (
        f"{name}={value_text(value.value if isinstance(value, enum.Enum) else value)}"
        for name, value in values.items()
    )
    return f"{type(time).__name__}({', '.join(settings)})"


def _inner_line(plan: Application, pipeline: InnerPipeline) -> str:
    feeds = [
        f"{plan.flows[feed.pipeline].name!r}"
        + ("" if feed.branch is None else f" branch {feed.branch}")
        + ("" if feed.port is Port.END else f" {feed.port.value}")
        for feed in pipeline.feeds
    ]
    return f"inner pipeline {pipeline.name!r} fed by {', '.join(feeds)}"


def _exchange_line(exchange: Exchange) -> str:
    line = f"exchange {exchange.edge} {exchange.kind.value}"
    if exchange.kind is ExchangeKind.KEYED:
        line += f" by {_by(exchange)}"
        line += f" to state {exchange.state!r}" if exchange.state is not None else ""
        line += f" in space {exchange.shared_space!r}" if exchange.shared_space else ""
    elif exchange.keeps_key or exchange.partition is not None:
        line += f" with key by {_by(exchange)}"
    return line


def _by(exchange: Exchange) -> str:
    if exchange.payload_key is not None:
        return f"payload key: {exchange.payload_key.describe()}"
    if exchange.by_source_key:
        return SOURCE_KEY
    return "the key that they have" if exchange.keeps_key else value_text(exchange.partition)


def _step_line(step: Step) -> str:
    kind = "filter " if step.is_filter else "multi " if step.is_multi else ""
    state = f" with state {step.state!r}" if step.state is not None else ""
    if step.waiting is not None and step.waiting.state:
        state = f" with records in {step.waiting.state!r}"
    times = f" with {described}" if step.timing and (described := step.timing.describe()) else ""
    return f"step {step.id} {step.name!r} {kind}{qualified_name(step.function)}{state}{times}"


def _state_line(state: State) -> str:
    keys = [display_key(key) for key in state.declared_keys]
    space = f" in space {state.shared_space!r}" if state.shared_space else ""
    if isinstance(state.timing, WindowSpec):
        space += f"{TIMING}{state.timing.identity()}"
    elif state.timing is not None:
        space += state.timing.outlined()
    return (
        f"state {state.name!r} {qualified_name(state.create)}"
        f" partitions {state.hashed_partition_count} keys {keys!r}{space}"
    )
