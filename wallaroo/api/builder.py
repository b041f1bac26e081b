"""Builds an application from pipelines of a source, computations and sinks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, overload

from wallaroo.api.arguments import checks_calls
from wallaroo.api.drafts import drafts_of
from wallaroo.api.event_times import Time
from wallaroo.api.flow import EndNode, Node, WrongNode, in_order
from wallaroo.api.inspection import Problem, caller_place, named
from wallaroo.api.payload_keys import PayloadKey
from wallaroo.api.pipeline import Pipeline, node_of, source_called_wrongly, source_of, wrong_call
from wallaroo.api.readers import read_name, read_upgrades
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
from wallaroo.api.time_validation import time_order_mistakes
from wallaroo.api.timer_validation import event_time_mistakes, expiry_mistakes
from wallaroo.api.validation import application_mistakes, order_mistakes
from wallaroo.api.windows import WindowStep
from wallaroo.connectors.base import SinkConfig, SourceConfig
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.graph import Graph, SourceLocation
from wallaroo.topology.plan import Application
from wallaroo.type_variables import Q, R_co, S


def _wrong_call(builder: "ApplicationBuilder[Any]", method: str, problem: Problem) -> Any:
    if method == "new_pipeline":
        builder._names.append("?")
        return builder._started(source_called_wrongly(method, problem))
    return builder._go_on(method, lambda pipeline: wrong_call(pipeline, method, problem))


@checks_calls(_wrong_call, without=("add", "build"))
class ApplicationBuilder(Generic[R_co]):
    """Declares an application, pipeline by pipeline; its methods can be chained.

    Its methods for steps and sinks are those of ``Pipeline``, and are for the pipeline that
    ``new_pipeline`` has started last. Only ``build()`` raises: mistakes are collected and reported
    together, each with the line of the call in the user's file.

    A type checker follows the records: an ``ApplicationBuilder[Votes]`` has an open pipeline whose
    next step or sink gets ``Votes``. Before and after a pipeline the records are ``Any``.
    """

    def __init__(self, name: str) -> None:
        self._place = caller_place()
        self._mistakes: list[str] = []
        self._names: list[str] = []
        """Of the pipelines that ``new_pipeline`` has started."""
        self._own: list[Pipeline[Any]] = []
        """These pipelines, as far as they go."""
        self._ends: list[Node] = []
        """The nodes of pipelines, in the order in which they were started or added."""
        self._name = self._read_name(name)

    def new_pipeline(self, name: str, source_config: SourceConfig[Q]) -> "ApplicationBuilder[Q]":
        """Start a pipeline with one source."""
        self._names.append(name)
        return self._started(source_of("new_pipeline", name, source_config))

    def add(self, *pipelines: Pipeline[Any]) -> "ApplicationBuilder[Any]":
        """Add pipelines that start with ``wallaroo.source`` and end with a sink or ``done()``."""
        return self._added("add(", pipelines)

    def _added(self, call: str, pipelines: tuple[object, ...]) -> "ApplicationBuilder[Any]":
        """Add what the user has given to a call, which begins like this."""
        method = call.partition("(")[0]
        for given in pipelines:
            if isinstance(given, list | tuple) and any(isinstance(one, Pipeline) for one in given):
                what = f"{method}() has a {type(given).__name__} of pipelines"
                problem = Problem(what, f"give them one by one: {call}*pipelines)")
                self._mistakes.append(problem.at(caller_place()))
                self._added(call, tuple(given))
            elif isinstance(given, Pipeline):
                self._add_end(given)
            else:
                problem = Problem(f"{method}() has {named(given)}", "give pipelines")
                self._mistakes.append(problem.at(caller_place()))
        return self

    @overload
    def to(self, computation: StatelessMultiStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: OwnStateMultiStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: OwnStateContextMultiStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: OwnStateStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: OwnStateContextStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: StatelessStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: WindowStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to(self, computation: Callable[[R_co], Q | None]) -> "ApplicationBuilder[Q]": ...
    def to(self, computation: Any) -> "ApplicationBuilder[Any]":
        """Add a computation or windows; it runs on the worker of its records, in their order."""
        return self._go_on("to", lambda pipeline: pipeline.to(computation))

    def filter(self, function: Callable[[R_co], object]) -> "ApplicationBuilder[R_co]":
        """Keep the records for which ``function`` returns something true."""
        return self._go_on("filter", lambda pipeline: pipeline.filter(function))

    def map(self, function: Callable[[R_co], Q | None]) -> "ApplicationBuilder[Q]":
        """Go on with what ``function`` returns; ``None`` drops the record."""
        return self._go_on("map", lambda pipeline: pipeline.map(function))

    def flat_map(
        self, function: Callable[[R_co], list[Q] | list[Q | None] | None]
    ) -> "ApplicationBuilder[Q]":
        """Go on with each item of the list that ``function`` returns."""
        return self._go_on("flat_map", lambda pipeline: pipeline.flat_map(function))

    @overload
    def to_parallel(self, computation: StatelessMultiStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to_parallel(self, computation: StatelessStep[R_co, Q]) -> "ApplicationBuilder[Q]": ...
    @overload
    def to_parallel(self, computation: Callable[[R_co], Q | None]) -> "ApplicationBuilder[Q]": ...
    def to_parallel(self, computation: Any) -> "ApplicationBuilder[Any]":
        """Add a stateless computation that runs on all workers; records lose their order."""
        return self._go_on("to_parallel", lambda pipeline: pipeline.to_parallel(computation))

    def to_stateful(
        self,
        computation: StateStep[R_co, S, Q]
        | StateMultiStep[R_co, S, Q]
        | StateContextStep[R_co, S, Q]
        | StateContextMultiStep[R_co, S, Q],
        state_class: Callable[[], S],
        state_name: str,
    ) -> "ApplicationBuilder[Q]":
        """Add a state computation with one state object for the whole cluster.

        ``state_class()`` creates the object. Pipelines with the same ``state_name`` share it.
        """
        return self._go_on(
            "to_stateful",
            lambda pipeline: pipeline.to_stateful(computation, state_class, state_name),
        )

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
    ) -> "ApplicationBuilder[Q]":
        """Add a state computation with one state object for each key.

        ``partition_function`` returns a record's key, or ``wallaroo.payload_key(...)`` says where
        it is in the payload, or it is ``wallaroo.source_key``. Keys in ``partition_keys``, a list
        or tuple, are spread evenly over the workers; any other key gets its state with its first
        record.
        """
        return self._go_on(
            "to_state_partition",
            lambda pipeline: pipeline.to_state_partition(
                computation, state_class, state_name, partition_function, partition_keys
            ),
        )

    def named(self, name: str) -> "ApplicationBuilder[R_co]":
        """Give the last step, and the state of its own that it may have, this name."""
        return self._go_on("named", lambda pipeline: pipeline.named(name))

    def with_time(self, time: Time) -> "ApplicationBuilder[R_co]":
        """Say where the times of the records come from: ``event_time(...)``."""
        return self._go_on("with_time", lambda pipeline: pipeline.with_time(time))

    def key_by(
        self,
        key: PartitionFunction[R_co]
        | KeyExtractorFunction[R_co]
        | Callable[[R_co], RecordKey]
        | PayloadKey
        | SourceKey,
    ) -> "ApplicationBuilder[R_co]":
        """Give records a key: from the next step on, they are on the worker that owns it."""
        return self._go_on("key_by", lambda pipeline: pipeline.key_by(key))

    def collect(self) -> "ApplicationBuilder[R_co]":
        """Give all records the same key, so that one worker processes them."""
        return self._go_on("collect", lambda pipeline: pipeline.collect())

    def to_sink(self, sink_config: SinkConfig[R_co]) -> "ApplicationBuilder[Any]":
        """End the pipeline with one sink; each use of a sink is another one."""
        return self._go_on("to_sink", lambda pipeline: pipeline.to_sink(sink_config))

    def to_sinks(self, sink_configs: Sequence[SinkConfig[R_co]]) -> "ApplicationBuilder[Any]":
        """End the pipeline with a list or tuple of sinks; each result goes to all of them."""
        return self._go_on("to_sinks", lambda pipeline: pipeline.to_sinks(sink_configs))

    def done(self) -> "ApplicationBuilder[Any]":
        """End the pipeline without a sink: the results of its last computation are dropped."""
        return self._go_on("done", lambda pipeline: pipeline.done())

    def build(self) -> Application:
        """Return the application, for ``application_setup`` to return.

        Raises one ``WallarooParameterError``, whose ``mistakes`` lists all mistakes of the
        application.
        """
        drafts, merging = drafts_of(self._ends)
        mistakes = [
            *self._mistakes,
            *merging,
            *application_mistakes(drafts, self._place),
            *time_order_mistakes(drafts),
            *expiry_mistakes(drafts),
        ]
        if mistakes or self._name is None:
            # An object with a mistake may be used several times.
            raise WallarooParameterError([*dict.fromkeys(mistakes)])
        declared = tuple(draft.declaration() for draft in drafts)
        graph = Graph(self._name, declared)
        plan = compile_graph(graph)
        if mistakes := [*order_mistakes(graph, plan), *event_time_mistakes(graph, plan)]:
            raise WallarooParameterError(mistakes)
        return replace(plan, states=read_upgrades(plan.states))

    def _started(self, pipeline: Pipeline[Q]) -> "ApplicationBuilder[Q]":
        self._own.append(pipeline)
        self._ends.append(node_of(pipeline))
        self._mistakes += node_of(pipeline).mistakes
        return self._with_other_records()

    def _go_on(
        self, method: str, follow: Callable[[Pipeline[Any]], Pipeline[Any]]
    ) -> "ApplicationBuilder[Any]":
        """Let the open pipeline go on; a call without one is a mistake, as are its arguments."""
        place = caller_place()
        ended = self._ended(method, place)
        current = Pipeline[Any](WrongNode(place)) if ended else self._own[-1]
        node = node_of(follow(current))
        self._mistakes += node.mistakes
        if ended:
            self._mistakes.append(ended)
            return self._with_other_records()
        if isinstance(node, EndNode):
            node = replace(node, shares_sinks=False)
        self._ends[self._ends.index(node_of(current))] = node
        self._own[-1] = Pipeline(node)
        return self._with_other_records()

    def _ended(self, method: str, place: SourceLocation) -> str:
        """Return a sentence if there is no open pipeline that ``method`` can go on with."""
        if not self._own:
            what = f"{method}() comes before any pipeline"
            return Problem(what, "call new_pipeline() first").at(place)
        node = node_of(self._own[-1])
        if not isinstance(node, EndNode):
            return ""
        what = f"{method}() comes after {node.method}() has ended pipeline {self._names[-1]!r}"
        remedy = f"move it before {node.method}(), or begin another with new_pipeline()"
        return Problem(what, remedy).at(place)

    def _add_end(self, pipeline: Pipeline[Any]) -> None:
        node = node_of(pipeline)
        for each in in_order([node]):
            self._mistakes += each.mistakes
        if not isinstance(node, EndNode):
            names = " and ".join(map(repr, dict.fromkeys(pipeline._sources())))
            what = f"the pipeline of {names} is left open"
            remedy = "end it with to_sink(), to_sinks() or done()"
            self._mistakes.append(Problem(what, remedy).at(node.place))
            # As if it were ended: other checks would only say again that it is open.
            node = EndNode(node.place, (node,), (), "to_sink")
        self._ends.append(node)

    def _with_other_records(self) -> "ApplicationBuilder[Any]":
        """Return this builder; only for type checkers its records are of another type."""
        return self

    def _read_name(self, name: str) -> str | None:
        try:
            return read_name("the application name", name, self._place)
        except WallarooParameterError as error:
            self._mistakes += error.mistakes
            return None


def build_application(app_name: str, *pipelines: Pipeline[Any]) -> Application:
    """Return the application of these pipelines, which end with a sink or ``done()``.

    Raises one ``WallarooParameterError``, whose ``mistakes`` lists all mistakes of the application.
    """
    builder: ApplicationBuilder[Any] = ApplicationBuilder(app_name)
    return builder._added("build_application(name, ", pipelines).build()
