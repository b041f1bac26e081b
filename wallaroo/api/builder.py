"""Builds an application from pipelines of a source, computations and sinks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, ParamSpec, TypeVar

from wallaroo.api.inspection import Problem, caller_place, named
from wallaroo.api.payload_keys import PayloadKey
from wallaroo.api.readers import (
    read_computation,
    read_keys,
    read_name,
    read_partition,
    read_sink,
    read_source,
    read_state,
    read_upgrades,
)
from wallaroo.api.roles import (
    PartitionFunction,
    RecordKey,
    RecordKeyT,
    StatelessMultiStep,
    StatelessStep,
    StateMultiStep,
    StateStep,
)
from wallaroo.api.source_keys import SourceKey
from wallaroo.api.validation import PipelineDraft, application_mistakes
from wallaroo.connectors.base import Sink, SinkConfig, SourceConfig
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.graph import (
    Graph,
    PartitionDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import Application
from wallaroo.type_variables import Q, R_co, S

P = ParamSpec("P")
T = TypeVar("T")


class ApplicationBuilder(Generic[R_co]):
    """Declares an application, pipeline by pipeline; its methods can be chained.

    Only ``build()`` raises: mistakes are collected and reported together, each with the line of the
    call in the user's file.

    A type checker follows the records: an ``ApplicationBuilder[Votes]`` has an open pipeline whose
    next step or sink gets ``Votes``. Before and after a pipeline the records are ``Any``.
    """

    def __init__(self, name: str) -> None:
        self._place = caller_place()
        self._mistakes: list[str] = []
        self._drafts: list[PipelineDraft] = []
        self._name = self._read(read_name, "the application name", name, self._place)

    def new_pipeline(self, name: str, source_config: SourceConfig[Q]) -> "ApplicationBuilder[Q]":
        """Start a pipeline with one source."""
        place = caller_place()
        known_name = self._read(read_name, "the pipeline name", name, place)
        source = self._read(read_source, source_config, place)
        self._drafts.append(PipelineDraft(known_name, source, place))
        return self._with_other_records()

    def to(
        self, computation: StatelessStep[R_co, Q] | StatelessMultiStep[R_co, Q]
    ) -> "ApplicationBuilder[Q]":
        """Add a stateless computation; it runs on the worker of its records, in their order."""
        return self._add_step(StepKind.FUSED, caller_place(), computation)

    def to_parallel(
        self, computation: StatelessStep[R_co, Q] | StatelessMultiStep[R_co, Q]
    ) -> "ApplicationBuilder[Q]":
        """Add a stateless computation that runs on all workers; records lose their order."""
        return self._add_step(StepKind.PARALLEL, caller_place(), computation)

    def to_stateful(
        self,
        computation: StateStep[R_co, S, Q] | StateMultiStep[R_co, S, Q],
        state_class: Callable[[], S],
        state_name: str,
    ) -> "ApplicationBuilder[Q]":
        """Add a state computation with one state object for the whole cluster.

        ``state_class()`` creates the object. Pipelines with the same ``state_name`` share it.
        """
        place = caller_place()
        state = self._read(read_state, state_class, state_name, None, place)
        return self._add_step(StepKind.SINGLE_STATE, place, computation, state)

    def to_state_partition(
        self,
        computation: StateStep[R_co, S, Q] | StateMultiStep[R_co, S, Q],
        state_class: Callable[[], S],
        state_name: str,
        partition_function: PartitionFunction[R_co] | PayloadKey | SourceKey,
        partition_keys: list[RecordKeyT] | tuple[RecordKey, ...] | None = None,
    ) -> "ApplicationBuilder[Q]":
        """Add a state computation with one state object for each key.

        ``partition_function`` returns a record's key, or ``wallaroo.payload_key(...)`` says where
        it is in the payload, or it is ``wallaroo.source_key``. Keys in ``partition_keys``, a list
        or tuple, are spread evenly over the workers; any other key gets its state with its first
        record.
        """
        place = caller_place()
        keys = self._read(read_keys, partition_keys, place)
        state = self._read(read_state, state_class, state_name, keys or (), place)
        partition = self._read(read_partition, partition_function, place)
        has_all = keys is not None and partition is not None
        return self._add_step(
            StepKind.PARTITIONED_STATE, place, computation, state if has_all else None, partition
        )

    def to_sink(self, sink_config: SinkConfig[R_co]) -> "ApplicationBuilder[Any]":
        """End the pipeline with one sink."""
        place = caller_place()
        sink = self._read(read_sink, sink_config, "the sink_config of to_sink()", place)
        return self._close("to_sink", place, [sink])

    def to_sinks(self, sink_configs: Sequence[SinkConfig[R_co]]) -> "ApplicationBuilder[Any]":
        """End the pipeline with a list or tuple of sinks; each result goes to all of them."""
        place = caller_place()
        sinks: list[Sink | None] = []
        if not isinstance(sink_configs, list | tuple):
            what = f"to_sinks() has {named(sink_configs)}"
            self._add_mistake(what, "give a list or a tuple of sinks", place)
        elif not sink_configs:
            self._add_mistake(
                "to_sinks() has no sink",
                "give at least one, or end the pipeline with done()",
                place,
            )
        else:
            for index, config in enumerate(sink_configs):
                what = f"sink_configs[{index}] of to_sinks()"
                sinks.append(self._read(read_sink, config, what, place))
        return self._close("to_sinks", place, sinks)

    def done(self) -> "ApplicationBuilder[Any]":
        """End the pipeline without a sink: the results of its last computation are dropped."""
        return self._close("done", caller_place(), [])

    def build(self) -> Application:
        """Return the application, for ``application_setup`` to return.

        Raises one ``WallarooParameterError``, whose ``mistakes`` lists all mistakes of the
        application.
        """
        mistakes = [*self._mistakes, *application_mistakes(self._drafts, self._place)]
        if mistakes or self._name is None:
            # An object with a mistake may be used several times.
            raise WallarooParameterError([*dict.fromkeys(mistakes)])
        pipelines = tuple(draft.declaration() for draft in self._drafts)
        plan = compile_graph(Graph(self._name, pipelines))
        return replace(plan, states=read_upgrades(plan.states))

    def _with_other_records(self) -> "ApplicationBuilder[Any]":
        """Return this builder; only for type checkers its records are of another type."""
        return self

    def _add_step(
        self,
        placement: StepKind,
        place: SourceLocation,
        computation: Any,
        state: StateDeclaration | None = None,
        partition: PartitionDeclaration | None = None,
    ) -> "ApplicationBuilder[Any]":
        declared = self._read(read_computation, computation, placement, place)
        draft = self._open_draft(placement.value, place)
        if draft is not None and declared is not None:
            draft.steps.append(StepDeclaration(placement, declared, place, state, partition))
        return self._with_other_records()

    def _close(
        self, method: str, place: SourceLocation, sinks: list[Sink | None]
    ) -> "ApplicationBuilder[Any]":
        draft = self._open_draft(method, place)
        if draft is not None:
            draft.close([sink for sink in sinks if sink is not None], method)
        return self._with_other_records()

    def _open_draft(self, method: str, place: SourceLocation) -> PipelineDraft | None:
        """Return the pipeline that ``method`` belongs to, or note that there is none."""
        if not self._drafts:
            what = f"{method}() comes before any pipeline"
            self._add_mistake(what, "call new_pipeline() first", place)
            return None
        draft = self._drafts[-1]
        if draft.closed_by:
            what = f"{method}() comes after {draft.closed_by}() has ended pipeline {draft.name!r}"
            remedy = f"move it before {draft.closed_by}(), or begin another with new_pipeline()"
            self._add_mistake(what, remedy, place)
            return None
        return draft

    def _add_mistake(self, what: str, remedy: str, place: SourceLocation) -> None:
        self._mistakes.append(Problem(what, remedy).at(place))

    def _read(self, reader: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return reader(*args, **kwargs)
        except WallarooParameterError as error:
            self._mistakes += error.mistakes
            return None
