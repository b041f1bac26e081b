"""Compiles declarations to the plan: steps fuse into stages, with exchanges between stages.

to                   joins the previous stage
to_parallel          starts a stage with a round-robin exchange, unless the previous stage started
                     with one too and every record that was distributed is still one record
to_stateful          starts a stage with a keyed exchange with one constant key
to_state_partition   starts a stage with a keyed exchange by the partition function
"""

from dataclasses import dataclass, field

from wallaroo.connectors.base import Sink
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.routing.keys import canonical_key
from wallaroo.topology.graph import (
    Graph,
    PipelineDeclaration,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import (
    CONSTANT_KEY,
    HASHED_PARTITIONS_DEFAULT,
    Application,
    Exchange,
    ExchangeKind,
    Pipeline,
    Stage,
    State,
    Step,
)


def compile_graph(graph: Graph) -> Application:
    """Return the plan of ``graph``, whose declarations must be valid.

    Ids are dense over the whole plan, in the order of declaration. If several steps declare the
    same state, the first one decides the order of its declared keys.
    """
    compiler = _Compiler()
    pipelines = tuple(compiler.pipeline(pipeline) for pipeline in graph.pipelines)
    return Application(graph.application, pipelines, compiler.states, tuple(compiler.sinks))


@dataclass(slots=True)
class _OpenStage:
    """A stage that steps may still join."""

    exchange: Exchange | None = None
    steps: list[Step] = field(default_factory=list)

    def distributes_single_records(self) -> bool:
        """Return whether another round-robin exchange after this stage would have no effect."""
        return (
            self.exchange is not None
            and self.exchange.kind is ExchangeKind.ROUND_ROBIN
            and not any(step.is_multi for step in self.steps)
        )


class _Compiler:
    """Assigns the ids of one plan, and collects its states and sinks."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.sinks: list[Sink] = []
        self._step_count = 0
        self._edge_count = 0

    def pipeline(self, declared: PipelineDeclaration) -> Pipeline:
        stages = [_OpenStage()]
        for step in declared.steps:
            if not self._joins(stages[-1], step):
                # The owner can decode a payload again only if no step has processed its record.
                is_untouched = len(stages) == 1 and not stages[0].steps
                may_travel = is_untouched and declared.source.decoder is not None
                stages.append(_OpenStage(self._exchange(step, payload_may_travel=may_travel)))
            stages[-1].steps.append(self._step(step))
        first_sink = len(self.sinks)
        self.sinks += declared.sinks
        return Pipeline(
            name=declared.name,
            source=declared.source,
            stages=tuple(Stage(stage.exchange, tuple(stage.steps)) for stage in stages),
            sinks=tuple(SinkId(index) for index in range(first_sink, len(self.sinks))),
        )

    def _joins(self, stage: _OpenStage, step: StepDeclaration) -> bool:
        match step.placement:
            case StepKind.FUSED:
                return True
            case StepKind.PARALLEL:
                return stage.distributes_single_records()
            case StepKind.SINGLE_STATE | StepKind.PARTITIONED_STATE:
                return False

    def _exchange(self, step: StepDeclaration, *, payload_may_travel: bool) -> Exchange:
        edge = EdgeId(self._edge_count)
        self._edge_count += 1
        if step.state is None:
            return Exchange(edge, ExchangeKind.ROUND_ROBIN, payload_may_travel=payload_may_travel)
        return Exchange(
            edge,
            ExchangeKind.KEYED,
            state=step.state.name,
            partition=step.partition.function if step.partition else None,
            partition_name=step.partition.name if step.partition else "",
            payload_may_travel=payload_may_travel,
            payload_key=step.partition.payload_key if step.partition else None,
            by_source_key=step.partition.by_source_key if step.partition else False,
        )

    def _step(self, declared: StepDeclaration) -> Step:
        if declared.state is not None:
            self.states.setdefault(declared.state.name, _state(declared.state))
        step = Step(
            StepId(self._step_count),
            declared.computation.name,
            declared.computation.function,
            is_multi=declared.computation.is_multi,
            state=declared.state.name if declared.state else None,
            always_changes=declared.computation.always_changes,
        )
        self._step_count += 1
        return step


def _state(declared: StateDeclaration) -> State:
    if declared.keys is None:
        only_key = canonical_key(CONSTANT_KEY)
        return State(declared.name, declared.create, (only_key,), hashed_partition_count=0)
    return State(declared.name, declared.create, declared.keys, HASHED_PARTITIONS_DEFAULT)
