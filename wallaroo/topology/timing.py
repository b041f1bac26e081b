"""Which records need a time: those that reach a state whose results depend on time.

Nobody else pays for it. The chains of all other records, and what they send to other workers, are
the same as in an application without time.
"""

from dataclasses import replace

from wallaroo.names import EdgeId
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.plan import Application, Pipeline, Stage


def timed_flows(plan: Application) -> frozenset[int]:
    """Return the pipelines, by index in ``Application.flows``, whose records need a time."""
    flows = plan.flows
    timed = {
        index for index, flow in enumerate(flows) if any(_is_timed(plan, s) for s in flow.stages)
    }
    # What feeds a pipeline comes before it, so one pass from the end finds all.
    for index in reversed(range(len(flows))):
        if any(inner in timed for inner, _ in plan.fed_by(index)):
            timed.add(index)
    return frozenset(timed)


def needs_time(plan: Application, flow: int, stage: int) -> bool:
    """Return whether a timed state is in this stage of a pipeline, or behind it."""
    if any(_is_timed(plan, each) for each in plan.flows[flow].stages[stage:]):
        return True
    timed = timed_flows(plan)
    return any(inner in timed for inner, _ in plan.fed_by(flow))


def timed_edges(plan: Application) -> frozenset[EdgeId]:
    """Return the exchanges over which records travel with their times."""
    return frozenset(
        stage.exchange.edge
        for flow in timed_flows(plan)
        for index, stage in enumerate(plan.flows[flow].stages)
        if stage.exchange is not None and needs_time(plan, flow, index)
    )


def decoding_where_times_are_read(plan: Application) -> Application:
    """Return the plan in which records are decoded before they travel, if their times need that.

    A record that is routed by something in its payload, or by the key of its source, is otherwise
    decoded by its owner alone. Then the worker that reads would not know its time.
    """
    edges = timed_edges(plan)
    pipelines = tuple(_decoding_first(each, edges) for each in plan.pipelines)
    return plan if pipelines == plan.pipelines else replace(plan, pipelines=pipelines)


def _decoding_first(pipeline: Pipeline, edges: frozenset[EdgeId]) -> Pipeline:
    exchange = pipeline.stages[1].exchange if len(pipeline.stages) > 1 else None
    if exchange is None or exchange.edge not in edges or not exchange.is_before_decoder:
        return pipeline
    # The compiled code for keys in payloads knows no times, so it is not used with any time.
    if exchange.payload_key is None and not pipeline.reads_time_in_records:
        return pipeline
    stage = replace(pipeline.stages[1], exchange=replace(exchange, decodes_first=True))
    return replace(pipeline, stages=(pipeline.stages[0], stage, *pipeline.stages[2:]))


def _is_timed(plan: Application, stage: Stage) -> bool:
    timings = (plan.states[step.state].timing for step in stage.steps if step.state is not None)
    return any(timing is not None and timing.needs_time for timing in timings)


def horizon_ns(plan: Application, pipeline: int) -> int:
    """Return how long after its time a record may still matter to the states that it reaches."""
    return sum(timing.horizon_ns for timing in _timings(plan, pipeline))


def move_every_ns(plan: Application, pipeline: int) -> int:
    """Return how often a clock has to move that moves by itself, for results to be in time."""
    return min((timing.grain_ns for timing in _timings(plan, pipeline)), default=0)


def _timings(plan: Application, pipeline: int) -> list[WindowSpec | KeyedTiming]:
    """Return what time does to the states that records of a pipeline reach."""
    names = {
        step.state
        for flow in plan.reached_from(pipeline)
        for stage in plan.flows[flow].stages
        for step in stage.steps
        if step.state is not None
    }
    timings = (state.timing for state in plan.states.values() if state.name in names)
    return [timing for timing in timings if timing is not None and timing.needs_time]
