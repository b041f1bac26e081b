"""Pipelines that are fed by pipelines, on one worker and on several, against the definition."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from tests.graphs import (
    BY_SEVEN,
    BY_TEXT,
    COMPUTATIONS,
    ONE_KEY,
    PREDICATES,
    Expected,
    compiled,
    expected,
    fed,
    parallel,
    partitioned,
    random_graph,
    source,
    state,
    tcp_sink,
    to,
)
from tests.wallaroo.operators.mesh import Mesh
from wallaroo.connectors.base import Sink
from wallaroo.metrics.tally import FAILED, FILTERED, IN, OUT, Counts, add_counts
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.writing import chain
from wallaroo.topology.graph import PipelineDeclaration
from wallaroo.topology.plan import Application

NUMBERS = [*range(1, 120), *range(30, 60)]


class Run:
    """An application that was run over numbers, each source over its own."""

    def __init__(
        self,
        *pipelines: PipelineDeclaration,
        workers: int = 1,
        form: BatchFormat | None = BatchFormat.PAYLOADS,
    ) -> None:
        self.pipelines = pipelines
        self.plan: Application = compiled(*pipelines)
        self.mesh = Mesh(self.plan, workers, form=form, tracks_changes=True)
        self.input: dict[str, list[int]] = {}
        for index, pipeline in enumerate(self.plan.pipelines):
            records = [number + 7 * index for number in NUMBERS]
            self.input[pipeline.name] = records
            self.mesh.feed([b"%d" % record for record in records], pipeline=index)
        self.failures = Counter(
            (failure.pipeline, failure.step) for failure in self.mesh.failures()
        )

    def rows(self, sink: Sink) -> Counter[int]:
        (index,) = (number for number, each in enumerate(self.plan.sinks) if each is sink)
        return Counter(map(int, self.mesh.lines(index)))

    def counts(self) -> Counts:
        total: Counts = {}
        for flow in self.mesh.flows.values():
            add_counts(total, flow.tally.counts())
        return total

    def check(self) -> Expected:
        wanted = expected(self.pipelines, self.input)
        for sink in self.plan.sinks:
            assert self.rows(sink) == wanted.rows[id(sink)]
        for name in self.plan.states:
            found = {key: Counter(seen.records) for key, seen in self.mesh.states(name).items()}
            assert found == {key: Counter(all) for key, all in wanted.states[name].items()}
        assert self.failures == wanted.failures
        self._check_counts(wanted)
        return wanted

    def _check_counts(self, wanted: Expected) -> None:
        counts = self.counts()
        nodes = self.mesh.flows[self.mesh.workers[0]].tally.nodes
        for index, flow in enumerate(self.plan.flows):
            assert counts[nodes.all[nodes.of_source[index]].id][IN] == wanted.entered[flow.name]
        for sink, index in nodes.of_sink.items():
            rows = wanted.rows[id(self.plan.sinks[sink])]
            assert counts[nodes.all[index].id][:2] == [rows.total(), rows.total()]
        for node in nodes.all:
            four = counts[node.id]
            assert min(four) >= 0
            if not node.is_multi:
                assert four[IN] == four[OUT] + four[FILTERED] + four[FAILED]
        assert sum(four[FAILED] for four in counts.values()) == wanted.failures.total()


WORKERS = pytest.mark.parametrize("workers", [1, 3])


@WORKERS
def test_merged_sources_run_one_tail(workers: int) -> None:
    sink = tcp_sink()
    run = Run(
        source("a", to("plus one")),
        source("b"),
        fed("both", [0, 1], to("triple"), sinks=(sink,)),
        workers=workers,
    )
    wanted = run.check()
    assert wanted.entered["both"] == 2 * len(NUMBERS)


@WORKERS
def test_a_record_goes_to_the_first_branch_whose_predicate_is_true(workers: int) -> None:
    odd, small, rest = tcp_sink(), tcp_sink(), tcp_sink()
    run = Run(
        source("a", branches=(PREDICATES["odd"], PREDICATES["small"])),
        fed("odd", [(0, 0)], sinks=(odd,)),
        fed("small", [(0, 1)], sinks=(small,)),
        fed("rest", [(0, 2)], sinks=(rest,)),
        workers=workers,
    )
    run.check()
    assert all(number % 2 for number in run.rows(odd))
    assert not any(number % 2 for number in run.rows(small))
    assert run.failures["a", "is_small"]


@WORKERS
def test_a_prefix_that_is_used_twice_runs_once_and_feeds_both(workers: int) -> None:
    one, two = tcp_sink(), tcp_sink()
    run = Run(
        source("a", state("all", BY_SEVEN)),
        fed("one", [0], to("picky"), to("triple"), sinks=(one,)),
        fed("two", [0], to("plus one"), sinks=(two,)),
        workers=workers,
    )
    run.check()
    seen = run.mesh.states("all").values()
    assert sum(len(each.records) for each in seen) == len(NUMBERS)
    assert run.rows(two) == Counter(number + 1 for number in NUMBERS)


@WORKERS
def test_three_views_of_one_stream_by_different_keys(workers: int) -> None:
    sink = tcp_sink()
    run = Run(
        source("a"),
        fed("sevens", [0], state("by seven", BY_SEVEN), sinks=(sink,)),
        fed("texts", [0], state("by text", BY_TEXT), sinks=(sink,)),
        fed("all", [0], state("all", ONE_KEY), sinks=(sink,)),
        workers=workers,
    )
    run.check()
    assert [*run.mesh.states("all")] == ["key"]
    # Only the decoder is before the exchanges, so payloads travel.
    assert {batch.form for batch in run.mesh.carried} <= {BatchFormat.PAYLOADS}


@WORKERS
def test_states_behind_one_key_have_a_key_on_the_same_worker(workers: int) -> None:
    run = Run(
        source("a", to("plus one", BY_SEVEN), state("one"), to("triple"), state("two")),
        workers=workers,
    )
    run.check()
    # The record has changed, but its key is that of the record that ``key_by`` saw.
    for flow in run.mesh.flows.values():
        assert {*flow.states["two"].objects} <= {*flow.states["one"].objects}
    assert set(run.mesh.states("one")) == set(run.mesh.states("two")) == set(range(7))


@WORKERS
def test_pipelines_keyed_apart_are_merged_before_one_state(workers: int) -> None:
    run = Run(
        source("a", key=BY_SEVEN),
        source("b", key=BY_TEXT),
        fed("both", [0, 1], state("all"), sinks=(tcp_sink(),)),
        workers=workers,
    )
    run.check()
    assert {type(key) for key in run.mesh.states("all")} == {int, str}
    assert run.failures["b", "by_text"]


@WORKERS
def test_a_key_survives_a_distribution(workers: int) -> None:
    run = Run(
        source("a", state("one", BY_SEVEN), parallel("plus one"), state("two")), workers=workers
    )
    run.check()


@WORKERS
def test_a_state_behind_a_partitioned_one_takes_its_declared_keys(workers: int) -> None:
    run = Run(source("a", partitioned("one", BY_SEVEN, 1, 2, 3), state("two")), workers=workers)
    run.check()


@WORKERS
def test_a_failure_on_one_way_of_a_record_leaves_the_others_alone(workers: int) -> None:
    sinks = [tcp_sink(), tcp_sink(), tcp_sink()]
    run = Run(
        source("a", sinks=(sinks[0],)),
        fed("picky", [0], to("picky"), sinks=(sinks[1],)),
        fed("last", [0], to("twice"), to("picky"), sinks=(sinks[2],)),
        workers=workers,
    )
    run.check()
    assert run.rows(sinks[0]) == Counter(NUMBERS)
    assert run.failures["picky", "picky"] and run.failures["last", "picky"]


def test_records_of_an_inner_multi_computation_do_not_leak_into_the_next_way() -> None:
    sink = tcp_sink()
    run = Run(
        source("a", to("twice", BY_SEVEN)),
        fed("one", [0], to("twice"), state("one", BY_TEXT)),
        fed("two", [0], state("two"), sinks=(sink,)),
    )
    run.check()


@WORKERS
def test_deep_chains_are_called_instead_of_nested(workers: int) -> None:
    ways = [
        fed(f"way {depth} {side}", [2 * depth - 1, 2 * depth] if depth else [0], to(name))
        for depth in range(5)
        for side, name in enumerate(("twice", "plus one"))
    ]
    sink = tcp_sink()
    last = fed("last", [9, 10], state("all", BY_SEVEN), sinks=(sink,))
    run = Run(source("a", to("small")), *ways, last, workers=workers)
    run.check()


def test_the_text_does_not_double_with_each_split_that_is_merged_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depth = 40
    pipelines = [source("a", branches=(PREDICATES["odd"],))]
    for level in range(depth):
        more = {"branches": (PREDICATES["odd"],)} if level < depth - 1 else {"sinks": (tcp_sink(),)}
        before = 3 * level
        pipelines += [
            fed(f"left {level}", [(before, 0)], to("plus one")),
            fed(f"right {level}", [(before, 1)], to("plus one")),
            fed(f"both {level}", [before + 1, before + 2], **more),
        ]
    written: list[str] = []
    write = chain._ChainWriter.write

    def counted(self: Any, *args: Any) -> Any:
        written.append("chain")
        return write(self, *args)

    monkeypatch.setattr(chain._ChainWriter, "write", counted)
    Run(*pipelines).check()
    assert len(written) < 4 * depth


@pytest.mark.parametrize("seed", range(120))
def test_random_graphs_give_what_they_must(seed: int) -> None:
    random = Random(seed)
    pipelines = random_graph(random, [tcp_sink() for _ in range(3)])
    form = random.choice((BatchFormat.PAYLOADS, BatchFormat.OBJECTS))
    Run(*pipelines, workers=random.choice((1, 2, 3)), form=form).check()


def test_random_graphs_use_everything() -> None:
    graphs = [random_graph(Random(seed), [tcp_sink() for _ in range(3)]) for seed in range(120)]
    steps = [step for graph in graphs for pipeline in graph for step in pipeline.steps]
    assert {step.computation.name for step in steps} >= {*COMPUTATIONS}


@pytest.mark.parametrize("seed", range(20))
def test_watched_records_go_the_same_ways(seed: int) -> None:
    pipelines = random_graph(Random(seed), [tcp_sink() for _ in range(3)])
    plain = Run(*pipelines)
    watched = Mesh(plain.plan)
    (flow,) = watched.flows.values()
    for index, pipeline in enumerate(plain.plan.pipelines):
        payloads = [b"%d" % record for record in plain.input[pipeline.name]]
        flow.run_source(index, payloads, is_watched=True)
    watched.settle()
    assert flow.tally.counts() == plain.counts()
    for sink in range(len(plain.plan.sinks)):
        assert Counter(watched.lines(sink)) == Counter(plain.mesh.lines(sink))
