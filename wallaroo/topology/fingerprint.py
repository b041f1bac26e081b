"""Whether two processes, or two runs, have the same plan; and if not, where they part.

The outline leaves out addresses: a port 0 becomes a real port at start, and a cluster may come
back on another host. Two plans with one outline can take over each other's checkpoints.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.routing.keys import display_key
from wallaroo.topology.function_names import qualified_name
from wallaroo.topology.plan import Exchange, Pipeline, Plan, State, Step

_ADDRESS_FIELDS = frozenset({"host", "port"})

_PIPELINE = re.compile(r"(pipeline .+ with source \w+)\(", re.DOTALL)
_FILE_SINK = re.compile(r"sink (\d+) (FileSink\(path=.+), encode=", re.DOTALL)
"""What is kept of them goes by their place in the plan."""


def outline(plan: Plan) -> tuple[str, ...]:
    """Return one line for each source, exchange, step, sink and state, in the order of the plan.

    Lines hold names, functions as ``module.qualname``, keys and partition counts; the same
    application gives the same lines in every process.
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


def displaced(then: Sequence[str], now: Sequence[str]) -> str:
    """Return a sentence that names the first pipeline or file sink of `then` at another place now.

    Positions of sources, journals and output files go by that place, so they would be taken for
    those of another one. A pipeline that has nobody in its place, and a file sink without another
    file in its own, is gone and not displaced; "" if that holds for all.
    """
    pipelines_then, pipelines_now = _pipelines(then), _pipelines(now)
    for ours, theirs in zip(pipelines_then, pipelines_now, strict=False):
        if ours != theirs:
            return f"in the place of [{ours}] is [{theirs}]"
    files_then, files_now = _file_sinks(then), _file_sinks(now)
    for index, file in files_then.items():
        at = [other for other, theirs in files_now.items() if theirs == file]
        if index not in at and (at or index in files_now):
            moved = f"is sink {at[0]}" if at else f"has given its place to [{files_now[index]})]"
            return f"sink {index} [{file})] {moved} now"
    return ""


def without_classes(outline: Iterable[str], states: Collection[str]) -> list[str]:
    """Return the outline without what makes the objects of these states."""
    lines = list(outline)
    for index, line in enumerate(lines):
        for state in states:
            begin = f"state {state!r} "
            if line.startswith(begin):
                _, parted, rest = line.removeprefix(begin).partition(" partitions ")
                lines[index] = begin + parted + rest
    return lines


def _pipelines(outline: Iterable[str]) -> list[str]:
    return [match[1] for line in outline if (match := _PIPELINE.match(line))]


def _file_sinks(outline: Iterable[str]) -> dict[int, str]:
    matches = [match for line in outline if (match := _FILE_SINK.match(line))]
    return {int(match[1]): match[2] for match in matches}


def _lines(plan: Plan) -> Iterator[str]:
    yield f"application {plan.application!r}"
    for pipeline in plan.pipelines:
        yield from _pipeline_lines(pipeline)
    for index, sink in enumerate(plan.sinks):
        yield f"sink {index} {_connector(sink)}"
    for state in plan.states.values():
        yield _state_line(state)


def _pipeline_lines(pipeline: Pipeline) -> Iterator[str]:
    yield f"pipeline {pipeline.name!r} with source {_connector(pipeline.source)}"
    for stage in pipeline.stages:
        if stage.exchange is not None:
            yield _exchange_line(stage.exchange)
        yield from map(_step_line, stage.steps)
    yield f"end of pipeline {pipeline.name!r} with sinks {list(pipeline.sinks)}"


def _exchange_line(exchange: Exchange) -> str:
    line = f"exchange {exchange.edge} {exchange.kind.value}"
    if exchange.state is not None:
        key = exchange.payload_key
        by = _value(exchange.partition) if key is None else f"payload key: {key.describe()}"
        line += f" by {by} to state {exchange.state!r}"
    return line


def _step_line(step: Step) -> str:
    multi = "multi " if step.is_multi else ""
    state = f" with state {step.state!r}" if step.state is not None else ""
    return f"step {step.id} {step.name!r} {multi}{qualified_name(step.function)}{state}"


def _state_line(state: State) -> str:
    keys = [display_key(key) for key in state.declared_keys]
    return (
        f"state {state.name!r} {qualified_name(state.create)}"
        f" partitions {state.hashed_partition_count} keys {keys!r}"
    )


def _connector(connector: Source | Sink) -> str:
    """Kind and settings of any source or sink that is a dataclass; its class for another."""
    kind = type(connector).__name__
    names = getattr(connector, "__dataclass_fields__", {})
    settings = (
        f"{name}={_value(getattr(connector, name))}"
        for name in names
        if name not in _ADDRESS_FIELDS
    )
    return f"{kind}({', '.join(settings)})"


def _value(value: Any) -> str:
    if value is None or isinstance(value, str | bytes | int | float):
        return repr(value)
    return qualified_name(value if callable(value) else type(value))
