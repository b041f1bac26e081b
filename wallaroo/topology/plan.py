"""The plan that an application compiles to: immutable, and the same in every process.

A pipeline is a source followed by **stages**. Within a stage the steps are fused: a record runs
through all of them on its worker. Before each stage except the first is an **exchange**, where
records change worker. The sinks follow the last stage.

    source -> stage 0 -> exchange -> stage 1 -> exchange -> stage 2 -> sinks

An **inner pipeline** has no source: it is fed by the ends, or by branches, of other pipelines. It
begins on the worker on which the feeding pipeline has ended, in the same loop.

    source -> stage 0 -> split -> branch 0 ----------------------> inner pipeline -> ...
                               -> branch 1 -> inner pipeline -> sinks

A window is the last step of its pipeline. What time causes there, and its late records, leave it by
**ports** of their own, each of which begins a chain.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.routing.payload_keys import PayloadKey
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.timing.spec import EventTime, SourceTime
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.ports import Port
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.waiting import Waiting

HASHED_PARTITIONS_DEFAULT = 1024
"""Number of partitions of a state for keys that are not declared."""

CONSTANT_KEY = "key"
"""The one key of a state that is not partitioned (``to_stateful``)."""


SOURCE_KEY = "source key"
"""The name of the key that a record has in its source, in plans and dead letters."""


class ExchangeKind(enum.Enum):
    """How an exchange chooses the worker for a record."""

    KEYED = "keyed"
    ROUND_ROBIN = "round robin"


@dataclass(frozen=True, slots=True)
class State:
    """State objects of one name, one for each key, created by ``create()`` on first use."""

    name: str
    create: Callable[[], Any]
    declared_keys: tuple[Any, ...] = ()
    """Keys that are partitions of their own, in canonical form."""
    hashed_partition_count: int = HASHED_PARTITIONS_DEFAULT
    """0 if every key is declared by construction (``to_stateful``)."""
    upgrade: Callable[[Any], Any] | None = None
    """Converts an object of a checkpoint, if the state had another form then."""
    shared_space: str = ""
    """The space whose partitions it has, if that is not its own."""
    timing: WindowSpec | KeyedTiming | None = None
    """What time does to its keys; ``None``: nothing."""

    @property
    def space(self) -> str:
        """The name of its partitions: states of one space have the same keys on each worker."""
        return self.shared_space or self.name


@dataclass(frozen=True, slots=True)
class Step:
    """One computation of the application at its position."""

    id: StepId
    name: str
    function: Callable[..., Any]
    """The user's own function: ``f(record)``, or ``f(record, state)`` if ``state`` is set."""
    is_multi: bool = False
    state: str | None = None
    is_filter: bool = False
    """Whether it is a predicate: the record itself goes on if it returns something true."""
    always_changes: bool = False
    """Whether it returns only its result, and each call counts as a change of its state."""
    waiting: Waiting | None = None
    """How records wait here; ``None`` if each is processed as it arrives."""
    resources: tuple[tuple[str, ResourceMaker], ...] = ()
    """What the function gets by keyword."""
    window: WindowSpec | None = None
    """The windows that it is; then it is the last step of its pipeline, and its results leave by
    the port *fired*."""
    timing: KeyedTiming | None = None
    """What a state computation does by time, if it has a context or its state expires."""

    def bound(self, resources: Mapping[ResourceMaker, Any]) -> Callable[..., Any]:
        """Return the user's function as it is called: with the resources that it asks for."""
        if not self.resources:
            return self.function
        given = {keyword: resources[maker] for keyword, maker in self.resources}
        return partial(self.function, **given)

    @property
    def writer(self) -> str:
        """The module that writes its lines into chains, see ``wallaroo.operators.writing.steps``.

        It is named, since the plan is made before there is anything to write.
        """
        if self.waiting is not None:
            return "wallaroo.operators.writing.waiting_step"
        if self.window is not None:
            return "wallaroo.operators.writing.window_step"
        if self.timing is not None:
            return "wallaroo.operators.writing.timed_step"
        kind = "filter" if self.is_filter else "plain" if self.state is None else "state"
        return f"wallaroo.operators.writing.{kind}_step"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The point before a stage at which records change worker."""

    edge: EdgeId
    kind: ExchangeKind
    state: str | None = None
    """The state of the step behind a keyed exchange, if it has one."""
    partition: Callable[[Any], Any] | None = None
    """Record to key; ``None`` sends every record to ``CONSTANT_KEY``.

    If records are distributed, they have a key behind it only if there is one.
    """
    partition_name: str = ""
    payload_may_travel: bool = False
    """Whether only the decoder is before it, so that the owner can decode the payload again."""
    payload_key: PayloadKey | None = None
    """The key in the payload, instead of ``partition``: only the owner decodes a record."""
    by_source_key: bool = False
    """Whether records are routed by the keys that their source gives; only the owner decodes."""
    shared_space: str = ""
    """The space that says who owns a key, if that is not the space of ``state``."""
    keeps_key: bool = False
    """Whether records keep the key that they have, instead of getting one from ``partition``."""
    decodes_first: bool = False
    """Whether a record is decoded before it is routed by its payload key or source key, since it
    needs a time that only the decoded record has."""

    @property
    def space(self) -> str:
        """The space that says who owns a key; empty if records are distributed."""
        return self.shared_space or self.state or ""

    @property
    def is_before_decoder(self) -> bool:
        """Whether a record is routed before it is decoded, so that its payload always travels."""
        if self.decodes_first:
            return False
        return self.payload_key is not None or (self.by_source_key and self.payload_may_travel)


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that run one after the other on the same worker."""

    exchange: Exchange | None
    """``None`` for the first stage, which follows the source."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Predicate:
    """The condition of a branch."""

    name: str
    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class EndKey:
    """The key that records get behind the last step of a pipeline."""

    name: str
    partition: Callable[[Any], Any] | None
    """Record to key; ``None`` gives every record ``CONSTANT_KEY``."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The point at which the records of a pipeline go on into an inner one."""

    pipeline: int
    """The index in ``Application.flows``."""
    branch: int | None = None
    """``None``: its end; otherwise one of its branches, of which the last has no predicate."""
    port: Port = Port.END


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One source, its stages, and where its records go."""

    name: str
    source: Source
    stages: tuple[Stage, ...]
    sinks: tuple[SinkId, ...]
    """Empty if the pipeline ends with ``done()``, or feeds others."""
    branches: tuple[Predicate, ...] = ()
    """A record goes on into the first branch whose predicate is true, or into the last branch."""
    key: EndKey | None = None
    """The key of the records that it feeds to others, if they get one behind the last step."""
    time: SourceTime | None = None
    """Where the times of its records come from; ``None``: when they were read."""
    time_after: int = 0
    """How many steps of its first stage come before the record that has the time."""

    @property
    def reads_time_in_records(self) -> bool:
        """Whether a function of the user finds the time in a decoded record."""
        return isinstance(self.time, EventTime) and self.time.timestamp is not None

    @property
    def gives_times(self) -> bool:
        """Whether its source gives a time with each record."""
        return isinstance(self.time, EventTime) and self.time.timestamp is None

    @property
    def decoder(self) -> Callable[[Any], Any] | None:
        """Decodes its payloads, here or at the owner of the record."""
        return self.source.decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerPipeline:
    """Stages that follow other pipelines, and where their records go."""

    name: str
    feeds: tuple[Feed, ...]
    stages: tuple[Stage, ...]
    sinks: tuple[SinkId, ...]
    branches: tuple[Predicate, ...] = ()
    key: EndKey | None = None
    decoder: Callable[[Any], Any] | None = None
    """Decodes a payload again, if nothing but this decoder is before the pipeline."""
    has_key: bool = False
    """Whether its records have a key from the start."""


Flow = Pipeline | InnerPipeline
"""Any pipeline: stages, and where their records go."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application, ready to run: what ``build()`` returns. Machines call it their plan.

    What has to do with sources knows ``pipelines`` only; positions in checkpoints refer to them.
    """

    name: str
    pipelines: tuple[Pipeline, ...]
    """Those with a source."""
    states: dict[str, State]
    sinks: tuple[Sink, ...]
    """Indexed by ``SinkId``; two may have the same address."""
    serialize: Callable[[Any], bytes] | None = None
    """The application's own serialisation of records that travel as objects; ``None``: pickle."""
    deserialize: Callable[[bytes], Any] | None = None
    inner: tuple[InnerPipeline, ...] = ()
    """Those that are fed by pipelines; each comes behind all that feed it."""
    hashed_partition_count: int = HASHED_PARTITIONS_DEFAULT
    """Number of partitions of each space for keys that are not declared."""

    def with_partitions(self, count: int) -> "Application":
        """Return the application with so many partitions of each space for hashed keys."""
        states = {
            name: replace(state, hashed_partition_count=count)
            if state.hashed_partition_count
            else state
            for name, state in self.states.items()
        }
        return replace(self, states=states, hashed_partition_count=count)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """All pipelines: first those with a source, then the inner ones."""
        return (*self.pipelines, *self.inner)

    def fed_by(self, flow: int) -> list[tuple[int, Feed]]:
        """Return what a pipeline feeds, by index in ``flows``, and where; in the order of the plan.

        A pipeline that feeds another one by several branches is there for each of them.
        """
        first = len(self.pipelines)
        return [
            (first + index, feed)
            for index, inner in enumerate(self.inner)
            for feed in inner.feeds
            if feed.pipeline == flow
        ]

    def fed_by_port(self, flow: int, port: Port) -> list[tuple[int, Feed]]:
        """Return what one port of a pipeline feeds, as ``fed_by`` does."""
        return [(inner, feed) for inner, feed in self.fed_by(flow) if feed.port is port]

    def reached_from(self, flow: int) -> tuple[int, ...]:
        """Return the pipelines that records of a pipeline reach, itself first."""
        reached = [flow]
        for index, inner in enumerate(self.inner, start=len(self.pipelines)):
            if any(feed.pipeline in reached for feed in inner.feeds):
                reached.append(index)
        return tuple(reached)

    def sinks_reached_from(self, flow: int) -> list[SinkId]:
        """Return the sinks that records of a pipeline reach, each once."""
        flows = self.flows
        sinks = (sink for index in self.reached_from(flow) for sink in flows[index].sinks)
        return [*dict.fromkeys(sinks)]

    def sink_name(self, sink: SinkId) -> str:
        """Return the name of a sink: that which the user gave it, or ``sink N``."""
        return self.sinks[sink].name or f"sink {sink}"

    def sink_label(self, sink: SinkId) -> str:
        """Return the name of a sink in metrics, where some kinds show their address instead."""
        value = self.sinks[sink]
        return value.name or value.label or f"sink {sink}"

    def sink_title(self, sink: SinkId) -> str:
        """Return the label of a sink so that a sentence can have it: ``sink totals``."""
        value = self.sinks[sink]
        is_address = value.name is None and value.label is not None
        return self.sink_label(sink) if is_address else titled_sink(self.sink_name(sink))

    @property
    def stdin_pipeline(self) -> str | None:
        """The name of the pipeline that reads the standard input of the command, if one does."""
        names = [each.name for each in self.pipelines if each.source.reads_stdin]
        return names[0] if names else None


def titled_sink(name: str) -> str:
    """Return a sink's name for a sentence or a step: ``sink NAME``, or ``sink 0``."""
    return name if name.startswith("sink ") else f"sink {name}"


def resource_makers(plan: Application) -> dict[ResourceMaker, Step]:
    """Return the resources of a plan in order, each with a step that asks for it."""
    makers: dict[ResourceMaker, Step] = {}
    for flow in plan.flows:
        for stage in flow.stages:
            for step in stage.steps:
                for _, maker in step.resources:
                    makers.setdefault(maker, step)
    return makers


def window_of(flow: Flow) -> WindowSpec | None:
    """Return the windows that a pipeline ends in, if it does."""
    steps = flow.stages[-1].steps
    return steps[-1].window if steps else None


def held_states(plan: Application) -> frozenset[str]:
    """Return the states in which checkpoints keep the records that wait at steps."""
    return frozenset(
        step.waiting.state
        for step in waiting_steps(plan)
        if step.waiting is not None and step.waiting.state
    )


def waiting_steps(plan: Application) -> Iterator[Step]:
    """Yield the steps at which records wait; each comes behind all that its records come from."""
    for flow in plan.flows:
        for stage in flow.stages:
            yield from (step for step in stage.steps if step.waiting is not None)


def keyed_timing_steps(plan: Application) -> Iterator[tuple[int, int, int, Step]]:
    """Yield the state computations that do something by time, in the order of the plan: indexes of
    their flow, stage and place in it, and the step."""
    for flow_index, flow in enumerate(plan.flows):
        for stage_index, stage in enumerate(flow.stages):
            for step_index, step in enumerate(stage.steps):
                if step.timing is not None:
                    yield flow_index, stage_index, step_index, step
