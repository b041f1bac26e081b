"""Describes the plan for people, as indented text and as a graph for Graphviz."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from wallaroo.connectors.base import Sink
from wallaroo.function_names import qualified_name
from wallaroo.routing.keys import display_key, short_repr
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.timing.spec import IngestTime, SourceTime, WhenQuiet
from wallaroo.topology.plan import (
    SOURCE_KEY,
    Application,
    Exchange,
    ExchangeKind,
    Feed,
    Flow,
    InnerPipeline,
    Pipeline,
    Stage,
    State,
    Step,
    titled_sink,
    window_of,
)
from wallaroo.topology.ports import Port

_PORTS = {Port.FIRED: "results", Port.LATE: "late records"}
KEYS_SHOWN_MAX = 8
"""Declared keys that the text lists; the others are counted."""


def plan_text(plan: Application) -> str:
    """Return the plan as text: pipelines from source to sinks, then the states.

    Steps of one stage run on the same worker; records change worker only at an exchange. The text
    ends with a newline.
    """
    lines = [f"application {plan.name!r}"]
    for index, pipeline in enumerate(plan.flows):
        lines += ["", f"pipeline {pipeline.name!r}"]
        lines += (f"  {line}" for line in _pipeline_lines(plan, index, pipeline))
    if plan.states:
        lines += ["", "states"]
        lines += (f"  {_state_line(state)}" for state in plan.states.values())
    return "\n".join(lines) + "\n"


def plan_dot(plan: Application) -> str:
    """Return the plan as a DOT digraph: ``wallaroo-run --plan dot | dot -Tsvg``."""
    lines = ["digraph plan {", f"  label={_quoted(plan.name)};", "  rankdir=LR;"]
    lines.append("  node [shape=box];")
    lines += (
        f"  state_{index} [shape=cylinder, label={_quoted(state.name)}];"
        for index, state in enumerate(plan.states.values())
    )
    lines += (
        f"  sink_{index} [shape=cds, label={_quoted(_sink_label(sink))}];"
        for index, sink in enumerate(plan.sinks)
    )
    states = {name: f"state_{index}" for index, name in enumerate(plan.states)}
    for index, pipeline in enumerate(plan.flows):
        lines += (f"  {line}" for line in _cluster_lines(index, pipeline))
        lines += (f"  {line}" for line in _state_edges(pipeline, states))
    lines += (f"  {line}" for line in _feed_edges(plan))
    return "\n".join([*lines, "}"]) + "\n"


def _pipeline_lines(plan: Application, index: int, pipeline: Flow) -> Iterator[str]:
    if isinstance(pipeline, InnerPipeline):
        yield f"fed by {', '.join(_feed_text(plan, feed) for feed in pipeline.feeds)}"
    else:
        yield f"source: {pipeline.source.describe()}"
        if pipeline.time is not None:
            yield f"time: {time_text(pipeline.time)}{_time_place(pipeline)}"
    for stage in pipeline.stages:
        if stage.exchange is not None:
            yield f"exchange {stage.exchange.edge}: {_routing(stage.exchange)}"
        yield from (f"  {_step_line(step)}" for step in stage.steps)
    for sink in pipeline.sinks:
        yield f"{titled_sink(plan.sink_name(sink))}: {plan.sinks[sink].describe()}"
    fed = plan.fed_by(index)
    if pipeline.key is not None:
        yield f"key: {pipeline.key.name}"
    if pipeline.branches or fed:
        yield from _continuations(plan, pipeline, fed)
    elif not pipeline.sinks:
        yield "no sink: results of the last step are dropped"


def time_text(time: SourceTime) -> str:
    """Return where times come from, in words."""
    if isinstance(time, IngestTime):
        return f"when records are read, idle after {time.idle_after_ns / 1e9:g} s"
    origin = "given by the source" if time.timestamp is None else qualified_name(time.timestamp)
    unit = "" if time.timestamp is None else f" in {time.unit.value}"
    limits = {
        "out of order by up to": time.out_of_order_ns,
        "idle after": time.idle_after_ns,
        "settles for": time.settle_ns,
        "ahead by up to": time.ahead_max_ns,
        "aligned within": time.align_ns,
    }
    details = [f"{what} {limit / 1e9:g} s" for what, limit in limits.items() if limit]
    if time.when_quiet is WhenQuiet.ADVANCE:
        details.append("advances when quiet")
    return ", ".join([f"{origin}{unit}", *details])


def _time_place(pipeline: Pipeline) -> str:
    if not pipeline.time_after:
        return ""
    return f", after step {pipeline.stages[0].steps[pipeline.time_after - 1].id}"


def _feed_text(plan: Application, feed: Feed) -> str:
    name = f"{plan.flows[feed.pipeline].name!r}"
    if feed.port is not Port.END:
        return f"{_PORTS[feed.port]} of {name}"
    return name if feed.branch is None else f"branch {feed.branch} of {name}"


def _continuations(
    plan: Application, pipeline: Flow, fed: Sequence[tuple[int, Feed]]
) -> Iterator[str]:
    """Yield where records go on behind the last step: to all, or by branch."""
    for port, what in _PORTS.items():
        names = [f"{plan.flows[inner].name!r}" for inner, feed in fed if feed.port is port]
        if names:
            yield f"{what}: go on in {', '.join(names)}"
    if window_of(pipeline) is not None:
        return
    fed = [(inner, feed) for inner, feed in fed if feed.port is Port.END]
    conditions = [f"if {predicate.name}" for predicate in pipeline.branches]
    for branch in range(len(conditions) + 1) if conditions else [None]:
        names = [f"{plan.flows[inner].name!r}" for inner, feed in fed if feed.branch == branch]
        goes_on = f"goes on in {', '.join(names)}" if names else "records are dropped"
        if branch is None:
            yield goes_on
        else:
            yield f"branch {branch}, {[*conditions, 'otherwise'][branch]}: {goes_on}"


def _routing(exchange: Exchange) -> str:
    travels = "payloads may travel" if exchange.payload_may_travel else "records travel"
    if exchange.kind is ExchangeKind.ROUND_ROBIN:
        return f"round robin over all workers, {travels}"
    if exchange.state is None:
        owner = f"the owner in space {exchange.space!r}"
    else:
        space = f" (space {exchange.shared_space!r})" if exchange.shared_space else ""
        owner = f"the owner in state {exchange.state!r}{space}"
    if exchange.keeps_key:
        return f"by the key that records have to {owner}, {travels}"
    form = "payloads travel and are decoded there" if exchange.payload_may_travel else travels
    if exchange.decodes_first:
        form = f"records are decoded before that, for their times, and {travels}"
    if exchange.payload_key is not None:
        return f"by payload key ({exchange.payload_key.describe()}) to {owner}, {form}"
    if exchange.by_source_key:
        return f"by {SOURCE_KEY} to {owner}, {form}"
    if exchange.partition is None:
        place = (
            f"space {exchange.space!r}" if exchange.state is None else f"state {exchange.state!r}"
        )
        return f"to the one owner of {place}, {travels}"
    return f"by key {exchange.partition_name} to {owner}, {travels}"


def _sink_label(sink: Sink) -> str:
    return sink.describe() if sink.name is None else f"{sink.name}: {sink.describe()}"


def _step_line(step: Step) -> str:
    kind = ", multi" if step.is_multi else ", filter" if step.is_filter else ""
    state = f", state {step.state!r}" if step.state is not None else ""
    if step.waiting is not None:
        state = f", {step.waiting.describe()}"
    if step.window is not None:
        state += f", {step.window.describe()}"
    if step.timing is not None and (times := step.timing.describe()):
        state += f", {times}"
    return f"step {step.id}: {step.name} ({qualified_name(step.function)}{kind}{state})"


def _state_line(state: State) -> str:
    made = f"{state.name!r}: {qualified_name(state.create)}"
    if isinstance(state.timing, KeyedTiming) and state.timing.expiry is not None:
        made += f", {state.timing.expiry.describe()}"
    if state.shared_space:
        return f"{made}, partitions of space {state.shared_space!r}"
    if state.hashed_partition_count == 0:
        return f"{made}, one object in the cluster"
    hashed = f"{state.hashed_partition_count} partitions for hashed keys"
    if not state.declared_keys:
        return f"{made}, {hashed}"
    shown = ", ".join(short_repr(display_key(key)) for key in state.declared_keys[:KEYS_SHOWN_MAX])
    rest = len(state.declared_keys) - KEYS_SHOWN_MAX
    more = f" and {rest} more" if rest > 0 else ""
    return f"{made}, {hashed}, {len(state.declared_keys)} declared keys: {shown}{more}"


def _cluster_lines(index: int, pipeline: Flow) -> Iterator[str]:
    """Yield source and steps of a pipeline in one box, their edges, and the edges to sinks."""
    source = f"source_{index}"
    yield f"subgraph cluster_{index} {{"
    yield f"  label={_quoted(pipeline.name)};"
    if isinstance(pipeline, InnerPipeline):
        yield f"  {source} [shape=point];"
    else:
        yield f"  {source} [shape=cds, label={_quoted(pipeline.source.describe())}];"
    for step in _steps(pipeline.stages):
        yield f"  step_{step.id} [label={_quoted(step.name)}];"
    yield "}"
    nodes = [source]
    for stage in pipeline.stages:
        # A stage after an exchange is never empty: it has the step that required the exchange.
        if stage.exchange is not None:
            label = _edge_label(stage.exchange)
            yield f"{nodes[-1]} -> step_{stage.steps[0].id} [style=bold, label={label}];"
        stage_nodes = [f"step_{step.id}" for step in stage.steps]
        fused = stage_nodes if stage.exchange else [source, *stage_nodes]
        yield from (f"{before} -> {after};" for before, after in pairwise(fused))
        nodes += stage_nodes
    yield from (f"{nodes[-1]} -> sink_{sink};" for sink in pipeline.sinks)


def _feed_edges(plan: Application) -> Iterator[str]:
    """Yield an edge from the last step of each pipeline to each pipeline that it feeds."""
    for index, pipeline in enumerate(plan.flows):
        steps = [*_steps(pipeline.stages)]
        last = f"step_{steps[-1].id}" if steps else f"source_{index}"
        for inner, feed in plan.fed_by(index):
            label = ""
            if feed.port is Port.LATE:
                label = f" [label={_quoted(_PORTS[feed.port])}]"
            if feed.branch is not None:
                conditions = [*(predicate.name for predicate in pipeline.branches), "otherwise"]
                label = f" [label={_quoted(conditions[feed.branch])}]"
            yield f"{last} -> source_{inner}{label};"


def _state_edges(pipeline: Flow, states: dict[str, str]) -> Iterator[str]:
    for step in _steps(pipeline.stages):
        if step.state is not None:
            yield f"step_{step.id} -> {states[step.state]} [dir=both, style=dashed];"


def _edge_label(exchange: Exchange) -> str:
    if exchange.kind is ExchangeKind.ROUND_ROBIN:
        return _quoted("round robin")
    if exchange.keeps_key:
        return _quoted("the same key")
    is_keyed = exchange.partition is not None or exchange.payload_key or exchange.by_source_key
    return _quoted(f"key: {exchange.partition_name}" if is_keyed else "one key")


def _steps(stages: Iterable[Stage]) -> Iterator[Step]:
    for stage in stages:
        yield from stage.steps


def _quoted(text: str) -> str:
    """Return ``text`` as a DOT string that Graphviz shows unchanged."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + "\\n".join(escaped.splitlines()) + '"'
