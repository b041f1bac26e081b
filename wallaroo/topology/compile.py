"""Compiles declarations to the plan: steps fuse into stages, with exchanges between stages.

to                   joins the previous stage, unless records have to travel to the owner of their
                     key first
to_parallel          starts a stage with a round-robin exchange, unless the previous stage started
                     with one too and every record that was distributed is still one record
to_stateful          starts a stage with a keyed exchange with one constant key
to_state_partition   starts a stage with a keyed exchange by the partition function

What ``to`` does depends on the key of the records. ``key_by`` gives them one, and the first step
behind it needs an exchange. From there on they are at the owner of their key, where all states that
use this key are: a **space** is one assignment of keys to owners, which such states share. Records
that leave the owner, through a round-robin exchange or a merge, keep their key; there is another
exchange only before the next state that uses it.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wallaroo.connectors.base import Sink
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.routing.keys import canonical_key
from wallaroo.timing.keyed_timing import ALARMS, TIMERS, TOUCHED, KeyedTiming
from wallaroo.timing.spec import EventTime
from wallaroo.topology.graph import Feed as DeclaredFeed
from wallaroo.topology.graph import (
    Graph,
    Inner,
    PartitionDeclaration,
    PipelineDeclaration,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import (
    CONSTANT_KEY,
    HASHED_PARTITIONS_DEFAULT,
    Application,
    EndKey,
    Exchange,
    ExchangeKind,
    Feed,
    Flow,
    InnerPipeline,
    Pipeline,
    Predicate,
    Stage,
    State,
    Step,
)
from wallaroo.topology.timing import decoding_where_times_are_read
from wallaroo.topology.waiting import HELD, Order, Waiting


def compile_graph(graph: Graph) -> Application:
    """Return the plan of ``graph``, whose declarations must be valid.

    Ids are dense over the whole plan, in the order of declaration. If several steps declare the
    same state, the first one decides the order of its declared keys.
    """
    compiler = _Compiler()
    for declared in graph.pipelines:
        compiler.add(declared)
    return compiler.application(graph.application)


@dataclass(slots=True)
class _Space:
    """An assignment of keys to owners. It gets its name from the first state that it has."""

    name: str = ""
    has_one_key: bool = False
    declared_keys: tuple[Any, ...] = ()

    def state(self, declared: StateDeclaration) -> State:
        """Return a state of this space."""
        shared = "" if self.name == declared.name else self.name
        if self.has_one_key:
            only_key = canonical_key(CONSTANT_KEY)
            return State(
                declared.name,
                declared.create,
                (only_key,),
                0,
                shared_space=shared,
                timing=declared.timing,
            )
        return State(
            declared.name,
            declared.create,
            self.declared_keys,
            HASHED_PARTITIONS_DEFAULT,
            shared_space=shared,
            timing=declared.timing,
        )


@dataclass(frozen=True, slots=True)
class _Reached:
    """What is known of the records at one point of a pipeline."""

    space: _Space | None = None
    """That of their key; ``None`` if they have no key."""
    are_at_owner: bool = False
    must_travel: bool = False
    """Whether they have got the key since the last exchange, so that the next step needs one."""
    survives_distribution: bool = False
    """Whether they keep the key through a round-robin exchange: if ``key_by`` gave it."""
    decoder: Callable[[Any], Any] | None = None
    """The decoder, if nothing else is between the source and this point."""


@dataclass(slots=True)
class _OpenStage:
    """A stage that steps may still join."""

    exchange: Exchange | None = None
    space: _Space | None = None
    """That of the exchange."""
    steps: list[Step] = field(default_factory=list)

    def distributes_single_records(self) -> bool:
        """Return whether another round-robin exchange after this stage would have no effect."""
        return (
            self.exchange is not None
            and self.exchange.kind is ExchangeKind.ROUND_ROBIN
            and not any(step.is_multi for step in self.steps)
        )

    def closed(self) -> Stage:
        """Return the stage; all spaces have their names by now."""
        exchange = self.exchange
        if exchange is not None and self.space is not None:
            self.space.name = self.space.name or f"exchange {exchange.edge}"
            if self.space.name != exchange.state:
                exchange = replace(exchange, shared_space=self.space.name)
        return Stage(exchange, tuple(self.steps))


@dataclass(slots=True)
class _OpenPipeline:
    """A pipeline, and what its records are at the end of what is compiled so far."""

    declared: PipelineDeclaration
    reached: _Reached
    begins: _Reached
    """What they are where the pipeline begins."""
    has_event_time: bool
    stages: list[_OpenStage] = field(default_factory=lambda: [_OpenStage()])
    sinks: tuple[SinkId, ...] = ()


class _Compiler:
    """Assigns the ids of one plan, and collects its pipelines, states and sinks."""

    def __init__(self) -> None:
        self._pipelines: list[_OpenPipeline] = []
        self._states: dict[str, State] = {}
        self._spaces: dict[str, _Space] = {}
        """By state."""
        self._sinks: list[Sink] = []
        self._step_count = 0
        self._edge_count = 0

    def add(self, declared: PipelineDeclaration) -> None:
        """Compile a pipeline; what feeds it is compiled already."""
        if isinstance(declared.source, Inner):
            fed_by = [self._pipelines[feed.pipeline].reached for feed in declared.source.feeds]
            reached = _merged(fed_by)
            feeding = [self._pipelines[feed.pipeline] for feed in declared.source.feeds]
            has_event_time = all(each.has_event_time for each in feeding)
        else:
            reached = _Reached(decoder=declared.source.decoder)
            has_event_time = isinstance(declared.time or declared.source.time, EventTime)
        pipeline = _OpenPipeline(declared, reached, reached, has_event_time)
        for step in declared.steps:
            self._add_step(pipeline, step)
        if declared.key is not None:
            space = _Space(has_one_key=_is_constant(declared.key))
            pipeline.reached = replace(
                pipeline.reached,
                space=space,
                are_at_owner=False,
                must_travel=True,
                survives_distribution=True,
            )
        pipeline.sinks = tuple(dict.fromkeys(map(self._sink, declared.sinks)))
        self._pipelines.append(pipeline)

    def application(self, name: str) -> Application:
        """Return the plan.

        Checkpoints know the positions of pipelines with a source, so these come first.
        """
        order = sorted(
            range(len(self._pipelines)),
            key=lambda index: isinstance(self._pipelines[index].declared.source, Inner),
        )
        position_of = {index: position for position, index in enumerate(order)}
        feeding = {feed.pipeline for each in self._pipelines for feed in _feeds(each.declared)}
        flows = [
            _closed(self._pipelines[index], position_of, feeds_others=index in feeding)
            for index in order
        ]
        plan = Application(
            name,
            tuple(flow for flow in flows if isinstance(flow, Pipeline)),
            self._states,
            tuple(self._sinks),
            inner=tuple(flow for flow in flows if isinstance(flow, InnerPipeline)),
        )
        return decoding_where_times_are_read(plan)

    def _sink(self, sink: Sink) -> SinkId:
        for index, known in enumerate(self._sinks):
            if known is sink:
                return SinkId(index)
        self._sinks.append(sink)
        return SinkId(len(self._sinks) - 1)

    def _add_step(self, pipeline: _OpenPipeline, step: StepDeclaration) -> None:
        match step.placement:
            case StepKind.FUSED if step.partition is not None:
                self._travel(pipeline, step, self._space_for(step))
            case StepKind.FUSED:
                self._travel_if_needed(pipeline, step)
            case StepKind.PARALLEL:
                self._distribute(pipeline, step.partition)
            case StepKind.SINGLE_STATE | StepKind.PARTITIONED_STATE:
                self._travel(pipeline, step, self._space_for(step))
        compiled = self._step(step, pipeline.reached, has_event_time=pipeline.has_event_time)
        pipeline.stages[-1].steps.append(compiled)
        pipeline.reached = replace(pipeline.reached, decoder=None)

    def _space_for(self, step: StepDeclaration) -> _Space:
        """Return the space of a step that says itself which key records have."""
        if step.state is not None and step.state.name in self._spaces:
            return self._spaces[step.state.name]
        space = _Space(has_one_key=step.partition is None or _is_constant(step.partition))
        if step.state is not None and step.placement is not StepKind.FUSED:
            space.declared_keys = step.state.keys or ()
        return space

    def _travel_if_needed(self, pipeline: _OpenPipeline, step: StepDeclaration) -> None:
        reached = pipeline.reached
        space = reached.space
        if step.state is not None:
            assert space is not None, f"the records of state {step.state.name!r} have no key"
            space = self._spaces.get(step.state.name, space)
            must_travel = not reached.are_at_owner or space is not reached.space
        else:
            must_travel = reached.must_travel
        if must_travel:
            assert space is not None
            self._travel(pipeline, step, space, keeps_key=True)

    def _travel(
        self,
        pipeline: _OpenPipeline,
        step: StepDeclaration,
        space: _Space,
        *,
        keeps_key: bool = False,
    ) -> None:
        """Start a stage to which records travel by their key."""
        by = step.partition
        exchange = Exchange(
            self._next_edge(),
            ExchangeKind.KEYED,
            state=step.state.name if step.state else None,
            partition=by.function if by else None,
            partition_name=by.name if by else "",
            payload_may_travel=pipeline.reached.decoder is not None,
            payload_key=by.payload_key if by else None,
            by_source_key=by.by_source_key if by else False,
            keeps_key=keeps_key,
        )
        pipeline.stages.append(_OpenStage(exchange, space))
        survives = (
            pipeline.reached.survives_distribution
            if keeps_key
            else (step.placement is StepKind.FUSED)
        )
        pipeline.reached = _Reached(space, are_at_owner=True, survives_distribution=survives)

    def _distribute(self, pipeline: _OpenPipeline, by: PartitionDeclaration | None) -> None:
        """Start a stage to which records travel by turns, unless they have just done so."""
        reached = pipeline.reached
        if by is None and pipeline.stages[-1].distributes_single_records():
            pipeline.reached = replace(reached, must_travel=False)
            return
        if by is None and reached.survives_distribution:
            space, keeps_key = reached.space, True
        else:
            space = None if by is None else _Space(has_one_key=_is_constant(by))
            keeps_key = False
        exchange = Exchange(
            self._next_edge(),
            ExchangeKind.ROUND_ROBIN,
            partition=None if by is None else by.function or _constant_key,
            partition_name=by.name if by else "",
            payload_may_travel=reached.decoder is not None,
            keeps_key=keeps_key,
        )
        pipeline.stages.append(_OpenStage(exchange))
        pipeline.reached = _Reached(space, survives_distribution=space is not None)

    def _next_edge(self) -> EdgeId:
        self._edge_count += 1
        return EdgeId(self._edge_count - 1)

    def _step(self, declared: StepDeclaration, reached: _Reached, *, has_event_time: bool) -> Step:
        state = declared.state
        if state is not None and state.name not in self._states:
            assert reached.space is not None
            self._add_state(state, reached.space)
        waiting = declared.computation.waiting
        if waiting is not None:
            waiting = self._waiting(declared.computation.name, waiting, reached)
        self._step_count += 1
        return Step(
            StepId(self._step_count - 1),
            declared.computation.name,
            declared.computation.function,
            is_multi=declared.computation.is_multi,
            state=state.name if state else None,
            is_filter=declared.computation.is_filter,
            always_changes=declared.computation.always_changes,
            waiting=waiting,
            resources=declared.computation.resources,
            window=declared.computation.window,
            timing=self._timing(declared, has_event_time=has_event_time),
        )

    def _add_state(self, state: StateDeclaration, space: _Space) -> None:
        space.name = space.name or state.name
        self._spaces[state.name] = space
        self._states[state.name] = space.state(state)

    def _unused_state(self, name: str, ending: str) -> str:
        """Return a name for a state that checkpoints keep beside those of the application."""
        names = (f"{name}{suffix}{ending}" for suffix in _suffixes())
        return next(name for name in names if name not in self._states)

    def _timing(self, declared: StepDeclaration, *, has_event_time: bool) -> KeyedTiming | None:
        """Return what a state computation does by time, with the states that checkpoints keep."""
        timing, state = declared.computation.timing, declared.state
        if timing is None or state is None:
            return None
        timing = timing.in_plan(has_event_time=has_event_time)
        space, used = self._spaces[state.name], self._states[state.name]
        if timing.expiry is not None and f"{state.name}{TOUCHED}" not in self._states:
            self._add_state(StateDeclaration(f"{state.name}{TOUCHED}", int, ()), space)
        of_state = timing.of_state()
        if isinstance(used.timing, KeyedTiming):
            of_state = of_state.joined(used.timing)
        self._states[state.name] = replace(used, timing=of_state)
        if timing.timers:
            timing = replace(timing, timers_state=self._times(declared, TIMERS, space))
        if timing.alarms:
            timing = replace(timing, alarms_state=self._times(declared, ALARMS, space))
        return timing

    def _times(self, declared: StepDeclaration, ending: str, space: _Space) -> str:
        """Add the state that has the timers of a step; return its name."""
        name = self._unused_state(declared.computation.name, ending)
        self._add_state(StateDeclaration(name, dict, ()), space)
        return name

    def _waiting(self, step: str, declared: Waiting, reached: _Reached) -> Waiting:
        """Return how records wait at a step, with the state that has them in checkpoints."""
        has_key = reached.space is not None
        order = declared.order or (Order.KEY if has_key else Order.ALL)
        if not declared.is_held:
            return replace(declared, order=order, has_key=has_key)
        name = self._unused_state(step, HELD)
        # Records that are at the owner of their key have to be there again after a restore.
        is_at_owner = reached.are_at_owner
        space = reached.space if is_at_owner else None
        self._add_state(StateDeclaration(name, list, ()), space or _Space())
        return replace(declared, order=order, has_key=has_key, state=name, is_at_owner=is_at_owner)


def _merged(feeds: Sequence[_Reached]) -> _Reached:
    """Return what is known of the records of a pipeline with these feeds."""
    first = feeds[0]
    is_decoded_alike = all(each.decoder is first.decoder for each in feeds)
    decoder = first.decoder if is_decoded_alike else None
    if any(each.space is None for each in feeds):
        return _Reached(decoder=decoder)
    spaces = [each.space for each in feeds]
    is_one = all(space is first.space for space in spaces)
    # A space with a constant key cannot hold the keys of the others.
    space = next((each for each in spaces if each and not each.has_one_key), first.space)
    return _Reached(
        space,
        are_at_owner=is_one and all(each.are_at_owner for each in feeds),
        must_travel=any(each.must_travel for each in feeds),
        survives_distribution=all(each.survives_distribution for each in feeds),
        decoder=decoder,
    )


def _feeds(declared: PipelineDeclaration) -> tuple[DeclaredFeed, ...]:
    return declared.source.feeds if isinstance(declared.source, Inner) else ()


def _closed(pipeline: _OpenPipeline, position_of: dict[int, int], *, feeds_others: bool) -> Flow:
    declared = pipeline.declared
    stages = tuple(stage.closed() for stage in pipeline.stages)
    branches = tuple(Predicate(each.name, each.function) for each in declared.branches)
    key = None
    if declared.key is not None and feeds_others:
        key = EndKey(declared.key.name, declared.key.function)
    if not isinstance(declared.source, Inner):
        return Pipeline(
            declared.name,
            declared.source,
            stages,
            pipeline.sinks,
            branches,
            key,
            declared.time or declared.source.time,
            declared.time_after,
        )
    return InnerPipeline(
        name=declared.name,
        feeds=tuple(
            Feed(position_of[feed.pipeline], feed.branch, feed.port) for feed in _feeds(declared)
        ),
        stages=stages,
        sinks=pipeline.sinks,
        branches=branches,
        key=key,
        decoder=pipeline.begins.decoder,
        has_key=pipeline.begins.space is not None,
    )


def _suffixes() -> Iterator[str]:
    yield ""
    for number in itertools.count(2):
        yield f" {number}"


def _is_constant(by: PartitionDeclaration) -> bool:
    return by.function is None and by.payload_key is None and not by.by_source_key


def _constant_key(record: Any) -> str:
    return CONSTANT_KEY
