"""Pipelines: each method returns another one, so that every pipeline can be gone on with twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from wallaroo.api.arguments import checks_call, checks_calls
from wallaroo.api.calls import Call
from wallaroo.api.event_times import Time, read_time
from wallaroo.api.flow import (
    BranchNode,
    EndNode,
    KeyNode,
    MergeNode,
    Node,
    PortNode,
    SourceNode,
    SplitNode,
    StepNode,
    TimeNode,
    in_order,
)
from wallaroo.api.inspection import Problem, named
from wallaroo.api.payload_keys import PayloadKey
from wallaroo.api.readers import (
    read_key,
    read_keys,
    read_name,
    read_partition,
    read_predicate,
    read_sink,
    read_source,
    read_state,
)
from wallaroo.api.roles import (
    KeyExtractorFunction,
    OwnStateContextMultiStep,
    OwnStateContextStep,
    OwnStateMultiStep,
    OwnStateStep,
    PartitionFunction,
    RecordKey,
    RecordKeyT,
    StateContextMultiStep,
    StateContextStep,
    StatelessMultiStep,
    StatelessStep,
    StateMultiStep,
    StateStep,
)
from wallaroo.api.source_keys import SourceKey
from wallaroo.api.windows import WindowsBuilder, WindowStep
from wallaroo.connectors.base import Sink, SinkConfig, SourceConfig
from wallaroo.timing.window_spec import LatePolicy
from wallaroo.topology.graph import PartitionDeclaration, StepKind
from wallaroo.topology.ports import Port
from wallaroo.type_variables import Q, Q_co, R_co, S

ENDS = ("to_sink", "to_sinks", "done")
"""The methods that end a pipeline."""


def wrong_call(pipeline: "Pipeline[Any]", method: str, problem: Problem) -> Any:
    """Return the pipeline behind a call that has this problem."""
    call = Call(pipeline._node, method)
    call.add_mistake(problem.what, problem.remedy)
    return Pipeline(call.end([]) if method in ENDS else call.wrong())


@checks_calls(wrong_call, without=("from_source",))
class Pipeline(Generic[R_co]):
    """A source, and steps for its records; ``wallaroo.source`` makes the first one.

    A pipeline never changes: each method returns another one. One that is gone on with twice runs
    once, and both get every record. No method raises. ``build_application`` reports all mistakes
    together, each with the line of the call in the user's file.

    A type checker follows the records: the next step of a ``Pipeline[Votes]`` gets ``Votes``.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    @classmethod
    def from_source(cls, name: str, source_config: SourceConfig[Q]) -> "Pipeline[Q]":
        """Return the pipeline of a source; ``wallaroo.source`` does the same."""
        return source(name, source_config)

    # Steps

    @overload
    def to(self, computation: StatelessMultiStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: OwnStateMultiStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: OwnStateContextMultiStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: OwnStateStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: OwnStateContextStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: StatelessStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to(self, computation: WindowStep[R_co, Q]) -> "WindowedPipeline[R_co, Q]": ...
    @overload
    def to(self, computation: Callable[[R_co], Q | None]) -> "Pipeline[Q]": ...
    def to(self, computation: Any) -> "Pipeline[Any]":
        """Add a computation or windows; it runs on the worker of its records, in their order.

        A computation with a state of its own has one state object for each key of ``key_by``, and
        one in all if records have no key; so have windows, which ``tumbling(...).over(...)`` makes.
        A plain function or lambda is a computation without state.
        """
        call = Call(self._node, "to")
        if isinstance(computation, WindowStep | WindowsBuilder):
            return WindowedPipeline(call.windows(computation))
        return Pipeline(call.step(StepKind.FUSED, computation))

    def filter(self, function: Callable[[R_co], object]) -> "Pipeline[R_co]":
        """Keep the records for which ``function`` returns something true."""
        return Pipeline(Call(self._node, "filter").mapping(function, is_filter=True))

    def map(self, function: Callable[[R_co], Q | None]) -> "Pipeline[Q]":
        """Go on with what ``function`` returns; ``None`` drops the record."""
        return Pipeline(Call(self._node, "map").mapping(function))

    def flat_map(
        self, function: Callable[[R_co], list[Q] | list[Q | None] | None]
    ) -> "Pipeline[Q]":
        """Go on with each item of the list that ``function`` returns."""
        return Pipeline(Call(self._node, "flat_map").mapping(function, is_multi=True))

    @overload
    def to_parallel(self, computation: StatelessMultiStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to_parallel(self, computation: StatelessStep[R_co, Q]) -> "Pipeline[Q]": ...
    @overload
    def to_parallel(self, computation: Callable[[R_co], Q | None]) -> "Pipeline[Q]": ...
    def to_parallel(self, computation: Any) -> "Pipeline[Any]":
        """Add a stateless computation that runs on all workers; records lose their order."""
        return Pipeline(Call(self._node, "to_parallel").step(StepKind.PARALLEL, computation))

    def to_stateful(
        self,
        computation: StateStep[R_co, S, Q]
        | StateMultiStep[R_co, S, Q]
        | StateContextStep[R_co, S, Q]
        | StateContextMultiStep[R_co, S, Q],
        state_class: Callable[[], S],
        state_name: str,
    ) -> "Pipeline[Q]":
        """Add a state computation with one state object for the whole cluster.

        ``state_class()`` creates the object. Steps with the same ``state_name`` share it.
        """
        call = Call(self._node, "to_stateful")
        state = call.read(read_state, state_class, state_name, None, call.place)
        return Pipeline(call.step(StepKind.SINGLE_STATE, computation, state))

    def to_state_partition(
        self,
        computation: StateStep[R_co, S, Q]
        | StateMultiStep[R_co, S, Q]
        | StateContextStep[R_co, S, Q]
        | StateContextMultiStep[R_co, S, Q],
        state_class: Callable[[], S],
        state_name: str,
        partition_function: PartitionFunction[R_co] | PayloadKey | SourceKey,
        partition_keys: list[RecordKeyT] | tuple[RecordKey, ...] | None = None,
    ) -> "Pipeline[Q]":
        """Add a state computation with one state object for each key.

        ``partition_function`` returns a record's key, or ``wallaroo.payload_key(...)`` says where
        it is in the payload, or it is ``wallaroo.source_key``. Keys in ``partition_keys``, a list
        or tuple, are spread evenly over the workers; any other key gets its state with its first
        record.
        """
        call = Call(self._node, "to_state_partition")
        keys = call.read(read_keys, partition_keys, call.place)
        state = call.read(read_state, state_class, state_name, keys or (), call.place)
        partition = call.read(read_partition, partition_function, call.place)
        has_all = keys is not None and partition is not None
        return Pipeline(
            call.step(
                StepKind.PARTITIONED_STATE, computation, state if has_all else None, partition
            )
        )

    def named(self, name: str) -> Self:
        """Give the last step, and the state of its own that it may have, this name."""
        call, node = Call(self._node, "named"), self._node
        known = call.read(read_name, "the name of named()", name, call.place)
        step = node.parents[0] if isinstance(node, PortNode) else node
        if not isinstance(step, StepNode) or (isinstance(node, PortNode) and _is_late(node)):
            call.add_mistake("named() does not come after a step", "call it behind the step")
        elif step.step is not None and known is not None:
            computation = replace(step.step.computation, name=known)
            renamed = replace(step, step=replace(step.step, computation=computation))
            is_port = isinstance(node, PortNode)
            return type(self)(replace(node, parents=(renamed,)) if is_port else renamed)
        return type(self)(call.wrong())

    def with_time(self, time: Time) -> "Pipeline[R_co]":
        """Say where the times of the records come from: ``event_time(...)``.

        Call it if steps turn what the source gives into the records that have the times. Otherwise
        ``time=`` of the source does the same.
        """
        call = Call(self._node, "with_time")
        read = call.read(read_time, time, call.place)
        return Pipeline(TimeNode(*call.origin(), read))

    def _late(self) -> "Pipeline[Any]":
        call, node = Call(self._node, "late"), self._node
        if not isinstance(node, PortNode) or _is_late(node):
            call.add_mistake("late is not behind windows", "take it directly behind them")
            return Pipeline(call.wrong())
        (step,) = node.parents
        assert isinstance(step, StepNode)
        window = None if step.step is None else step.step.computation.window
        if window is not None and window.firing.late is not LatePolicy.SIDE:
            what = f'late is behind windows with the late policy "{window.firing.late.value}"'
            call.add_mistake(what, 'add with_late_data_policy("side")')
        return Pipeline(PortNode(call.place, (step,), tuple(call.mistakes), (Port.LATE,)))

    if not TYPE_CHECKING:
        # For type checkers only a `WindowedPipeline` has it. When an application runs, `build`
        # reports the mistake with all others.
        late = property(_late)

    # Keys

    def key_by(
        self,
        key: PartitionFunction[R_co]
        | KeyExtractorFunction[R_co]
        | Callable[[R_co], RecordKey]
        | PayloadKey
        | SourceKey,
    ) -> "Pipeline[R_co]":
        """Give records a key: from the next step on, they are on the worker that owns it.

        Steps behind that one keep the key, even if the record changes, until another ``key_by``.
        ``key`` is a function of the record, or ``wallaroo.payload_key(...)`` or
        ``wallaroo.source_key`` directly behind a source.
        """
        call = Call(self._node, "key_by")
        declared = call.read(read_key, key, call.place)
        return Pipeline(KeyNode(*call.origin(), declared))

    def collect(self) -> "Pipeline[R_co]":
        """Give all records the same key, so that one worker processes them."""
        call = Call(self._node, "collect")
        return Pipeline(KeyNode(*call.origin(), PartitionDeclaration("")))

    # Several pipelines

    def merge(self, other: "Pipeline[Q]", *more: "Pipeline[Q]") -> "Pipeline[R_co | Q]":
        """Return a pipeline with the records of all of them; their order is not kept."""
        call = Call(self._node, "merge")
        parents = [self._node]
        given: tuple[object, ...] = (other, *more)
        for each in given:
            if isinstance(each, list | tuple):
                what = f"merge() has a {type(each).__name__}"
                call.add_mistake(what, "give the pipelines one by one: merge(*all)")
            elif not isinstance(each, Pipeline):
                call.add_mistake(f"merge() has {named(each)}", "give pipelines")
            elif isinstance(each._node, EndNode):
                what = f"merge() has a pipeline that {each._node.method}() has ended"
                call.add_mistake(what, f"merge it before {each._node.method}()")
            elif each._node in parents:
                what = "merge() has the same pipeline twice, so each record would count twice"
                call.add_mistake(what, "give each pipeline once")
            else:
                parents.append(each._node)
        return Pipeline(MergeNode(call.place, tuple(parents), tuple(call.mistakes)))

    def split(self, *predicates: Callable[[R_co], object]) -> "tuple[Pipeline[R_co], ...]":
        """Return one pipeline for each predicate, and one more.

        A record goes to the first one whose predicate returns something true, otherwise to the
        last.
        """
        call = Call(self._node, "split")
        if not predicates:
            call.add_mistake("split() has no predicate", "give a function for each branch but one")
        grouped = [each for each in predicates if isinstance(each, list | tuple)]
        if grouped:
            what = f"split() has a {type(grouped[0]).__name__}"
            call.add_mistake(what, "give the functions one by one: split(*all)")
            predicates = ()
        read = [call.read(read_predicate, each, call.place) for each in predicates]
        known = tuple(each for each in read if each is not None)
        node = SplitNode(*call.origin(), known)
        return tuple(
            Pipeline(BranchNode(call.place, (node,), (), index))
            for index in range(len(predicates) + 1)
        )

    # The end

    def to_sink(self, sink_config: SinkConfig[R_co]) -> "Pipeline[Any]":
        """End the pipeline with one sink. A sink that ends several pipelines is one sink."""
        call = Call(self._node, "to_sink")
        sink = call.read(read_sink, sink_config, "the sink_config of to_sink()", call.place)
        return Pipeline(call.end([(sink, sink_config)]))

    def to_sinks(self, sink_configs: Sequence[SinkConfig[R_co]]) -> "Pipeline[Any]":
        """End the pipeline with a list or tuple of sinks; each result goes to all of them."""
        call = Call(self._node, "to_sinks")
        sinks: list[tuple[Sink | None, SinkConfig[Any]]] = []
        if not isinstance(sink_configs, list | tuple):
            what = f"to_sinks() has {named(sink_configs)}"
            call.add_mistake(what, "give a list or a tuple of sinks")
        elif not sink_configs:
            remedy = "give at least one, or end the pipeline with done()"
            call.add_mistake("to_sinks() has no sink", remedy)
        else:
            for index, config in enumerate(sink_configs):
                what = f"sink_configs[{index}] of to_sinks()"
                sinks.append((call.read(read_sink, config, what, call.place), config))
        return Pipeline(call.end(sinks))

    def done(self) -> "Pipeline[Any]":
        """End the pipeline without a sink: the results of its last computation are dropped."""
        return Pipeline(Call(self._node, "done").end([]))

    def clone(self) -> Self:
        """Return this pipeline: it never changes."""
        return self

    # What applications of Wallaroo 0.6 look at

    def _sources(self) -> list[str]:
        nodes = in_order([self._node])
        return [str(node.name) for node in nodes if isinstance(node, SourceNode)]

    def _sinks(self) -> list[SinkConfig[Any]]:
        return [*self._node.configs] if isinstance(self._node, EndNode) else []

    def _is_closed(self) -> bool:
        return isinstance(self._node, EndNode)


class WindowedPipeline(Pipeline[Q_co], Generic[R_co, Q_co]):
    """What ``to`` returns for windows: a pipeline of their results.

    For type checkers, the late records of a ``WindowedPipeline[Click, Result[int]]`` are clicks.
    """

    @property
    def late(self) -> Pipeline[R_co]:
        """The late records of windows with the late policy ``"side"``, as they arrived."""
        return self._late()


def _is_late(node: PortNode) -> bool:
    return Port.LATE in node.ports


@checks_call(lambda problem: source_called_wrongly("source", problem))
def source(name: str, source_config: SourceConfig[Q]) -> Pipeline[Q]:
    """Return the pipeline of a source; no other source of the application has its name."""
    return source_of("source", name, source_config)


def source_called_wrongly(method: str, problem: Problem) -> Pipeline[Any]:
    """Return the pipeline of a source whose call has this problem."""
    call = Call(None, method)
    call.add_mistake(problem.what, problem.remedy)
    return Pipeline(SourceNode(*call.origin(), None, None))


def source_of(method: str, name: str, source_config: SourceConfig[Q]) -> Pipeline[Q]:
    """Return the pipeline of a source that was given to this method."""
    call = Call(None, method)
    known = call.read(read_name, "the pipeline name", name, call.place)
    what = f"the source_config of {method}()"
    read = call.read(read_source, source_config, call.place, what)
    return Pipeline(SourceNode(*call.origin(), known, read))


def node_of(pipeline: Pipeline[Any]) -> Node:
    """Return the node at which a pipeline ends so far."""
    return pipeline._node
