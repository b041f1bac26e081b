"""The nodes of pipelines that feed others, and how many records go from one to the next."""

import time

from tests.graphs import BY_SEVEN, PREDICATES, compiled, fed, source, state, tcp_sink, to
from wallaroo.metrics.gathering import Gathering
from wallaroo.metrics.nodes import Edge, Nodes
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.snapshot import snapshot
from wallaroo.metrics.tally import Counts
from wallaroo.topology.plan import Application

SINK = tcp_sink()


def graph() -> Application:
    """Return an application of two sources that merges one with a branch of the other."""
    return compiled(
        source("a", to("odd"), key=BY_SEVEN, sinks=(SINK,)),
        source("b", branches=(PREDICATES["small"],)),
        fed("small", [(1, 0)]),
        fed("both", [0, (1, 1)], state("seen", BY_SEVEN), sinks=(SINK,)),
    )


def test_each_pipeline_starts_with_a_node_and_a_shared_sink_is_one() -> None:
    ids = [node.id for node in Nodes(graph()).all]
    sink = f"a/{SINK.describe()}"
    assert ids == [
        *("a/source", "a/odd", "a/key_by", sink),
        *("b/source", "b/split"),
        "small/feed",
        *("both/feed", "both/remember"),
    ]


def test_kinds_say_what_a_step_is() -> None:
    kinds = {node.id: (node.kind, node.step_kind) for node in Nodes(graph()).all}
    assert kinds["a/odd"] == ("step", "filter")
    assert kinds["a/key_by"] == ("step", "key_by")
    assert kinds["b/split"] == ("step", "split")
    assert kinds["both/feed"] == ("feed", "feed")


def test_edges_lead_from_what_feeds_a_pipeline_to_its_start() -> None:
    sink = f"a/{SINK.describe()}"
    assert Nodes(graph()).edges == [
        Edge("a/source", "a/odd", False),
        Edge("a/odd", "a/key_by", False),
        Edge("a/odd", sink, False, "before"),
        Edge("a/key_by", "both/feed", False, "before"),
        Edge("b/source", "b/split", False),
        Edge("b/split", "small/feed", False),
        Edge("b/split", "both/feed", False, ""),
        Edge("both/feed", "both/remember", True),
        Edge("both/remember", sink, False, "before"),
    ]


def counted(plan: Application, counts: Counts) -> RunCounts:
    run = RunCounts(Nodes(plan).by_pipeline, is_durable=False)
    run.totals.set_members(["w1"], 1)
    run.totals.reported("w1", 1, 1, {"w1": counts})
    return run


COUNTS: Counts = {
    "a/source": [60, 60, 0, 0],
    "a/odd": [60, 40, 20, 0],
    "a/key_by": [40, 30, 0, 10],
    f"a/{SINK.describe()}": [75, 75, 0, 0],
    "b/source": [50, 50, 0, 0],
    "b/split": [50, 45, 0, 5],
    "small/feed": [40, 40, 0, 0],
    "both/feed": [35, 35, 0, 0],
    "both/remember": [35, 35, 0, 0],
}


def test_a_record_is_accepted_by_its_source_and_not_again_by_what_that_feeds() -> None:
    run = counted(graph(), COUNTS)
    assert run.record_count == 110
    assert run.sums_of_this_run() == (110, 15)
    accepted = {each.pipeline: each.accepted for each in run.in_this_run()}
    assert accepted == {"a": 60, "b": 50, "small": 40, "both": 35}


def test_each_edge_of_a_merge_shows_its_own_records() -> None:
    plan, now_s = graph(), time.time()
    run = counted(plan, {})
    gathering = Gathering(plan, run, time.time)
    gathering.tick(now_s - 1)
    run.totals.reported("w1", 1, 2, {"w1": COUNTS})
    gathering.tick(now_s)
    facts = {"checkpoint_interval_s": 1.0, "phase": "running", "started_unix_s": now_s}
    edges = snapshot(gathering, facts, now_s)["graph"]["edges"]
    rates = {(edge["from"], edge["to"]): edge["rate"] for edge in edges}
    assert rates["a/key_by", "both/feed"] == 30
    assert rates["b/split", "small/feed"] == 40
    assert rates["b/split", "both/feed"] is None
    assert rates["both/remember", f"a/{SINK.describe()}"] == 35
