"""Applications whose records need times, because a window collects them."""

import ast
from dataclasses import replace
from typing import Any

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, encode_line, tcp_sink
from wallaroo.api.windows import tumbling
from wallaroo.operators.dataflow import Dataflow
from wallaroo.timing.instants import END
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.plan import Application, Feed, Flow, InnerPipeline, Pipeline, Stage
from wallaroo.topology.ports import Port
from wallaroo.topology.timing import decoding_where_times_are_read


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[str, int]:
    """Decode ``b"name@7"``."""
    name, _, at = payload.partition(b"@")
    return name.decode(), int(at)


@wallaroo.timestamp("ms")
def at(record: tuple[str, int]) -> int:
    return record[1]


EVENT_TIME = wallaroo.event_time(at)


def tcp(time: Any = EVENT_TIME, port: int = 7010) -> wallaroo.TCPSourceConfig[tuple[str, int]]:
    return wallaroo.TCPSourceConfig("127.0.0.1", port, decode, time=time)


@wallaroo.partition
def name_of(record: tuple[str, int]) -> str:
    return record[0]


@wallaroo.state_computation("keep")
def keep(record: Any, seen: list[Any]) -> tuple[Any, bool]:
    """Stand where a window is put by ``timed``."""
    raise AssertionError("it is replaced by a window")


@wallaroo.aggregation("all", initial=list, output=lambda key, records: records)
def every(record: Any, so_far: list[Any]) -> list[Any]:
    return [*so_far, record]


SPEC: WindowSpec = tumbling(wallaroo.seconds(1)).over(every).spec()
"""Collects all records of a key and a second."""


def timed(plan: Application, state: str = "seen") -> Application:
    """Return the plan in which the last step, with this state, is a window."""
    states = {**plan.states, state: replace(plan.states[state], timing=SPEC)}
    flows = [_with_window(flow, state) for flow in plan.flows]
    (ending,) = [index for index, flow in enumerate(flows) if flow is not plan.flows[index]]
    results = InnerPipeline(
        name="results",
        feeds=(Feed(ending, None, Port.FIRED),),
        stages=(Stage(None, ()),),
        sinks=plan.flows[ending].sinks,
    )
    return decoding_where_times_are_read(
        replace(
            plan,
            pipelines=tuple(each for each in flows if isinstance(each, Pipeline)),
            inner=(*(each for each in flows if isinstance(each, InnerPipeline)), results),
            states=states,
        )
    )


def kept(pipeline: wallaroo.Pipeline[Any], key: Any = name_of) -> Application:
    """Return an application whose records reach a timed state by their names."""
    ended = pipeline.to_state_partition(keep, list, "seen", key).to_sink(tcp_sink(encode_line))
    return timed(wallaroo.build_application("test", ended))


def _with_window(flow: Flow, state: str) -> Flow:
    *stages, last = flow.stages
    if not last.steps or last.steps[-1].state != state:
        return flow
    *steps, step = last.steps
    stage = replace(last, steps=(*steps, replace(step, window=SPEC)))
    return replace(flow, stages=(*stages, stage), sinks=())


def fire_all(flow: Dataflow) -> None:
    """Run all that is due."""
    assert flow.timed is not None
    while flow.timed.fire_some(100):
        pass


def collected(mesh: Mesh, sink: int = 0) -> list[Any]:
    """Let all windows fire; return the records that they had."""
    for flow in mesh.flows.values():
        assert flow.timed is not None
        for name in flow.timed.names:
            flow.timed.advance(name, END)
        fire_all(flow)
    mesh.settle()
    return [record for line in mesh.lines(sink) for record in ast.literal_eval(line)]
