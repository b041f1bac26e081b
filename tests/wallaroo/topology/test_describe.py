import shutil
import subprocess
from typing import Any

import pytest

from tests import graphs
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.describe import plan_dot, plan_text
from wallaroo.topology.graph import (
    ComputationDeclaration,
    Graph,
    PartitionDeclaration,
    PipelineDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import Application


def step(placement: StepKind, name: str, *, is_multi: bool = False, **more: Any) -> StepDeclaration:
    computation = ComputationDeclaration(name, len, is_multi)
    return StepDeclaration(placement, computation, SourceLocation("app.py", 1), **more)


def plan() -> Application:
    letters = StateDeclaration("letters", dict, tuple("abcdefghij"))
    total = StateDeclaration("total", list, None)
    by_letter = PartitionDeclaration("by_letter", min)
    source = TCPSource("127.0.0.1", 7010, 4, ">I", bytes)
    partitioned: dict[str, Any] = {"state": letters, "partition": by_letter}
    votes = (
        step(StepKind.FUSED, "read"),
        step(StepKind.PARALLEL, 'spl"it', is_multi=True),
        step(StepKind.PARTITIONED_STATE, "count", **partitioned),
        step(StepKind.SINGLE_STATE, "sum", state=total),
    )
    more = (step(StepKind.PARTITIONED_STATE, "again", **partitioned),)
    return compile_graph(
        Graph(
            "a\\b & <c>",
            (
                PipelineDeclaration("votes", source, votes, (TCPSink("h", 5555, str),)),
                PipelineDeclaration("more", source, more, ()),
            ),
        )
    )


TEXT = """\
application 'a\\\\b & <c>'

pipeline 'votes'
  source: tcp source at 127.0.0.1:7010
    step 0: read (builtins.len)
  exchange 0: round robin over all workers, records travel
    step 1: spl"it (builtins.len, multi)
  exchange 1: by key by_letter to the owner in state 'letters', records travel
    step 2: count (builtins.len, state 'letters')
  exchange 2: to the one owner of state 'total', records travel
    step 3: sum (builtins.len, state 'total')
  sink 0: tcp sink to h:5555

pipeline 'more'
  source: tcp source at 127.0.0.1:7010
  exchange 3: by key by_letter to the owner in state 'letters', payloads may travel
    step 4: again (builtins.len, state 'letters')
  no sink: results of the last step are dropped

states
  'letters': builtins.dict, 1024 partitions for hashed keys, 10 declared keys: \
'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more
  'total': builtins.list, one object in the cluster
"""


def test_the_text_tells_the_way_of_a_record() -> None:
    assert plan_text(plan()) == TEXT


def test_a_state_without_declared_keys_has_hashed_partitions_only() -> None:
    state = StateDeclaration("s", dict, ())
    keyed = step(
        StepKind.PARTITIONED_STATE, "c", state=state, partition=PartitionDeclaration("p", min)
    )
    source = TCPSource("h", 1, 4, ">I", bytes)
    small = compile_graph(Graph("app", (PipelineDeclaration("p", source, (keyed,), ()),)))
    assert plan_text(small).endswith(
        "states\n  's': builtins.dict, 1024 partitions for hashed keys\n"
    )


def test_the_graph_joins_source_steps_and_sinks() -> None:
    lines = [line.strip() for line in plan_dot(plan()).splitlines()]
    assert lines[0] == "digraph plan {"
    assert lines[-1] == "}"
    edges = [line for line in lines if "->" in line]
    assert edges == [
        "source_0 -> step_0;",
        'step_0 -> step_1 [style=bold, label="round robin"];',
        'step_1 -> step_2 [style=bold, label="key: by_letter"];',
        'step_2 -> step_3 [style=bold, label="one key"];',
        "step_3 -> sink_0;",
        "step_2 -> state_0 [dir=both, style=dashed];",
        "step_3 -> state_1 [dir=both, style=dashed];",
        'source_1 -> step_4 [style=bold, label="key: by_letter"];',
        "step_4 -> state_0 [dir=both, style=dashed];",
    ]


def test_labels_are_escaped() -> None:
    dot = plan_dot(plan())
    assert 'label="a\\\\b &amp; <c>";' in dot
    assert 'step_1 [label="spl\\"it"];' in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_accepts_the_graph() -> None:
    done = subprocess.run(["dot", "-Tsvg"], input=plan_dot(plan()).encode(), capture_output=True)
    assert done.returncode == 0, done.stderr


def graph() -> Application:
    sink = graphs.tcp_sink()
    return graphs.compiled(
        graphs.source("web", graphs.to("odd")),
        graphs.source("app", key=graphs.BY_SEVEN, branches=(graphs.PREDICATES["small"],)),
        graphs.fed("small", [(1, 0)], graphs.state("seen"), sinks=(sink,)),
        graphs.fed("both", [0, (1, 1)], graphs.to("twice", graphs.BY_TEXT), graphs.state("two"),
                   graphs.state("three"), sinks=(sink,)),
        graphs.fed("all", [3, 2]),
        graphs.source("left out", branches=(graphs.PREDICATES["odd"],)),
    )  # fmt: skip


GRAPH_TEXT = """\
application 'graph'

pipeline 'web'
  source: tcp source at localhost:0
    step 0: odd (tests.graphs.is_odd, filter)
  goes on in 'both'

pipeline 'app'
  source: tcp source at localhost:0
  key: by_seven
  branch 0, if is_small: goes on in 'small'
  branch 1, otherwise: goes on in 'both'

pipeline 'left out'
  source: tcp source at localhost:0
  branch 0, if is_odd: records are dropped
  branch 1, otherwise: records are dropped

pipeline 'small'
  fed by branch 0 of 'app'
  exchange 0: by the key that records have to the owner in state 'seen', payloads may travel
    step 1: remember (tests.graphs.remember, state 'seen')
  sink 0: tcp sink to h:9
  goes on in 'all'

pipeline 'both'
  fed by 'web', branch 1 of 'app'
  exchange 1: by key by_text to the owner in space 'two', records travel
    step 2: twice (tests.graphs.twice, multi)
    step 3: remember (tests.graphs.remember, state 'two')
    step 4: remember (tests.graphs.remember, state 'three')
  sink 0: tcp sink to h:9
  goes on in 'all'

pipeline 'all'
  fed by 'both', 'small'
  no sink: results of the last step are dropped

states
  'seen': tests.graphs.Seen, 1024 partitions for hashed keys
  'two': tests.graphs.Seen, 1024 partitions for hashed keys
  'three': tests.graphs.Seen, partitions of space 'two'
"""


def test_the_text_says_where_records_go_on() -> None:
    assert plan_text(graph()) == GRAPH_TEXT


def test_edges_of_the_graph_lead_into_inner_pipelines() -> None:
    lines = {line.strip() for line in plan_dot(graph()).splitlines()}
    assert {
        "source_3 [shape=point];",
        "step_0 -> source_4;",
        'source_1 -> source_3 [label="is_small"];',
        'source_1 -> source_4 [label="otherwise"];',
        'source_3 -> step_1 [style=bold, label="the same key"];',
        'source_4 -> step_2 [style=bold, label="key: by_text"];',
        "step_1 -> sink_0;",
        "step_4 -> sink_0;",
    } <= lines
