"""Barriers through a whole mesh of workers, whatever the order in which links deliver."""

import random
from collections import deque
from typing import Any

import pytest

import wallaroo
from tests.graphs import BY_SEVEN, compiled, fed, random_graph, source, state, tcp_sink, to
from wallaroo.names import CheckpointId, EdgeId, StepId, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.worker.barrier_alignment import (
    Aligned,
    Aligner,
    EdgePassed,
    Effect,
    PassStation,
    SendBarrier,
    SourcePassed,
    StationPassed,
)

FIRST, SECOND = CheckpointId(1), CheckpointId(2)
W1, W2, W3 = WorkerName("w1"), WorkerName("w2"), WorkerName("w3")


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> bytes:
    return payload


@wallaroo.encoder
def encode(record: bytes) -> bytes:
    return record


def plan_with(*exchange_counts: int) -> Application:
    """Return a plan with one pipeline for each number, which has so many exchanges."""
    builder = wallaroo.ApplicationBuilder("test")
    keep: Any = wallaroo.state_computation("keep")(lambda record, state: (record, True))
    sink = wallaroo.TCPSinkConfig("127.0.0.1", "7002", encode)
    for pipeline, count in enumerate(exchange_counts):
        port = str(7010 + pipeline)
        source = wallaroo.TCPSourceConfig("127.0.0.1", port, decode)
        builder.new_pipeline(f"p{pipeline}", source)
        for index in range(count):
            builder.to_stateful(keep, list, f"state {pipeline} {index}")
        builder.to_sink(sink)
    return builder.build()


class Mesh:
    """Aligners of all workers, and a first-in-first-out link for each ordered pair."""

    def __init__(self, plan: Application, worker_count: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.plan = plan
        self.workers = tuple(WorkerName(f"w{number}") for number in range(1, worker_count + 1))
        self.aligners = {name: Aligner(plan, name, self.workers) for name in self.workers}
        self.links: dict[tuple[WorkerName, WorkerName], deque[EdgePassed]] = {}
        self.sources: list[tuple[WorkerName, SourcePassed]] = []
        self.aligned: list[tuple[WorkerName, CheckpointId]] = []
        self.unpassed: dict[CheckpointId, set[tuple[WorkerName, int]]] = {}
        self.arrived: set[tuple[WorkerName, CheckpointId, EdgeId, WorkerName]] = set()
        """Receiver, barrier, edge and sender."""

    def order(self, checkpoint: CheckpointId) -> None:
        """Have the sources of all workers pass this barrier, each at a time of its own."""
        for worker in self.workers:
            for pipeline in range(len(self.plan.pipelines)):
                self.sources.append((worker, SourcePassed(checkpoint, pipeline)))
                self.unpassed.setdefault(checkpoint, set()).add((worker, pipeline))

    def run(self) -> None:
        while self.sources or any(self.links.values()):
            busy = [pair for pair, link in self.links.items() if link]
            if self.sources and (not busy or self.random.random() < 0.2):
                index = self.random.randrange(len(self.sources))
                worker, passed = self.sources.pop(index)
                self.unpassed[passed.checkpoint].remove((worker, passed.pipeline))
                self.carry_out(worker, self.aligners[worker].step(passed))
            else:
                sender, receiver = self.random.choice(busy)
                event = self.links[sender, receiver].popleft()
                self.arrived.add((receiver, event.checkpoint, event.edge, sender))
                self.carry_out(receiver, self.aligners[receiver].step(event))

    def carry_out(self, worker: WorkerName, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendBarrier(checkpoint, edge):
                    self.check_before(worker, checkpoint, edge)
                    for other in self.workers:
                        if other != worker:
                            link = self.links.setdefault((worker, other), deque())
                            link.append(EdgePassed(checkpoint, edge, worker))
                case Aligned(checkpoint):
                    self.check_inputs(worker, checkpoint)
                    self.aligned.append((worker, checkpoint))

    def check_before(self, worker: WorkerName, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Nothing may reach this edge on this worker that is still before the barrier."""
        self.aligners[worker].check()
        flows = self.plan.flows
        edges = [[each.exchange.edge for each in flow.stages if each.exchange] for flow in flows]
        (index,) = (index for index, there in enumerate(edges) if edge in there)
        before = edges[index][: edges[index].index(edge)]
        for other in range(len(flows)):
            if other != index and index in self.plan.reached_from(other):
                before += edges[other]
                assert (worker, other) not in self.unpassed[checkpoint]
        missing = [
            (each, sender)
            for each in before
            for sender in self.workers
            if sender != worker and (worker, checkpoint, each, sender) not in self.arrived
        ]
        assert not missing, f"{worker} sent the barrier of edge {edge} before {missing}"

    def check_inputs(self, worker: WorkerName, checkpoint: CheckpointId) -> None:
        """Nothing that feeds this worker may still be before the barrier."""
        for each, pipeline in self.unpassed[checkpoint]:
            has_exchange = len(self.plan.pipelines[pipeline].stages) > 1
            assert each != worker
            assert not has_exchange, f"{worker} is aligned before {each} passed its source"


@pytest.mark.parametrize("exchange_counts", [(0,), (1,), (3,), (0, 0), (2, 0, 1)])
@pytest.mark.parametrize("worker_count", [1, 2, 3, 4])
def test_every_worker_is_aligned_once_and_after_all_its_inputs(
    worker_count: int, exchange_counts: tuple[int, ...]
) -> None:
    plan = plan_with(*exchange_counts)
    for seed in range(40):
        mesh = Mesh(plan, worker_count, seed)
        for checkpoint in (FIRST, SECOND):
            mesh.order(checkpoint)
            mesh.run()
        assert sorted(mesh.aligned[:worker_count]) == [(each, FIRST) for each in mesh.workers]
        assert sorted(mesh.aligned[worker_count:]) == [(each, SECOND) for each in mesh.workers]


@pytest.mark.parametrize("seed", range(60))
def test_barriers_follow_records_through_inner_pipelines(seed: int) -> None:
    plan = compiled(*random_graph(random.Random(seed), [tcp_sink()]))
    mesh = Mesh(plan, 1 + seed % 4, seed)
    for checkpoint in (FIRST, SECOND):
        mesh.order(checkpoint)
        mesh.run()
    assert sorted(mesh.aligned) == sorted(
        (each, checkpoint) for each in mesh.workers for checkpoint in (FIRST, SECOND)
    )


def test_the_barrier_of_a_merge_waits_for_all_its_feeds() -> None:
    plan = compiled(
        source("a", to("plus one", BY_SEVEN)),
        source("b"),
        fed("both", [0, 1], state("s", BY_SEVEN)),
    )
    aligner = Aligner(plan, W1, (W1, W2))
    of_a, of_both = EdgeId(0), EdgeId(1)
    assert aligner.step(SourcePassed(FIRST, 1)) == []
    assert aligner.step(SourcePassed(FIRST, 0)) == [SendBarrier(FIRST, of_a)]
    assert aligner.step(EdgePassed(FIRST, of_both, W2)) == []
    assert aligner.step(EdgePassed(FIRST, of_a, W2)) == [
        SendBarrier(FIRST, of_both),
        Aligned(FIRST),
    ]


def test_a_worker_alone_is_aligned_as_soon_as_its_sources_have_passed() -> None:
    aligner = Aligner(plan_with(1, 0), W1, (W1,))
    assert aligner.step(SourcePassed(FIRST, 1)) == []
    assert aligner.step(SourcePassed(FIRST, 0)) == [
        SendBarrier(FIRST, EdgeId(0)),
        Aligned(FIRST),
    ]


def test_the_barrier_goes_on_when_it_has_come_from_all() -> None:
    aligner = Aligner(plan_with(2), W1, (W1, W2, W3))
    first, second = EdgeId(0), EdgeId(1)
    assert aligner.step(SourcePassed(FIRST, 0)) == [SendBarrier(FIRST, first)]
    assert aligner.step(EdgePassed(FIRST, first, W2)) == []
    assert aligner.step(EdgePassed(FIRST, first, W3)) == [SendBarrier(FIRST, second)]
    assert aligner.step(EdgePassed(FIRST, second, W2)) == []
    assert aligner.step(EdgePassed(FIRST, second, W3)) == [Aligned(FIRST)]


def test_barriers_that_come_before_the_own_order_are_counted() -> None:
    aligner = Aligner(plan_with(2), W1, (W1, W2))
    first, second = EdgeId(0), EdgeId(1)
    assert aligner.step(EdgePassed(FIRST, first, W2)) == []
    assert aligner.step(SourcePassed(FIRST, 0)) == [
        SendBarrier(FIRST, first),
        SendBarrier(FIRST, second),
    ]
    assert aligner.step(EdgePassed(FIRST, second, W2)) == [Aligned(FIRST)]


def test_signs_of_an_older_checkpoint_are_dropped() -> None:
    aligner = Aligner(plan_with(1), W1, (W1, W2))
    assert aligner.step(SourcePassed(SECOND, 0)) == [SendBarrier(SECOND, EdgeId(0))]
    assert aligner.step(SourcePassed(FIRST, 0)) == []
    assert aligner.step(EdgePassed(FIRST, EdgeId(0), W2)) == []
    assert aligner.step(EdgePassed(SECOND, EdgeId(0), W2)) == [Aligned(SECOND)]


def test_a_newer_checkpoint_begins_afresh() -> None:
    aligner = Aligner(plan_with(1), W1, (W1, W2))
    aligner.step(EdgePassed(FIRST, EdgeId(0), W2))
    assert aligner.step(SourcePassed(SECOND, 0)) == [SendBarrier(SECOND, EdgeId(0))]
    assert aligner.step(EdgePassed(SECOND, EdgeId(0), W2)) == [Aligned(SECOND)]


def test_a_barrier_that_comes_twice_is_a_fault_of_ours() -> None:
    aligner = Aligner(plan_with(1), W1, (W1, W2, W3))
    aligner.step(EdgePassed(FIRST, EdgeId(0), W2))
    with pytest.raises(AssertionError, match="barrier from w2 already"):
        aligner.step(EdgePassed(FIRST, EdgeId(0), W2))


# Stations


@wallaroo.computation_async("ask")
async def ask(record: bytes) -> bytes:
    return record


def plan_with_stations() -> Application:
    """Return a plan with two stations before an exchange, and one behind it."""
    keep: Any = wallaroo.state_computation("keep")(lambda record, state: (record, True))
    return (
        wallaroo.ApplicationBuilder("test")
        .new_pipeline("p", wallaroo.TCPSourceConfig("127.0.0.1", "7010", decode))
        .to(ask)
        .to(ask)
        .to_stateful(keep, list, "state")
        .to(ask)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", "7002", encode))
        .build()
    )


def test_a_barrier_passes_the_stations_of_a_stage_before_it_leaves_it() -> None:
    aligner = Aligner(plan_with_stations(), W1, (W1, W2))
    first, second, last = StepId(0), StepId(1), StepId(3)
    edge = EdgeId(0)
    assert aligner.step(SourcePassed(FIRST, 0)) == [PassStation(FIRST, first)]
    assert aligner.step(EdgePassed(FIRST, edge, W2)) == []
    assert aligner.step(StationPassed(FIRST, first)) == [PassStation(FIRST, second)]
    assert aligner.step(StationPassed(FIRST, second)) == [
        SendBarrier(FIRST, edge),
        PassStation(FIRST, last),
    ]
    assert aligner.step(StationPassed(FIRST, last)) == [Aligned(FIRST)]
    aligner.check()


def test_a_station_that_is_passed_too_late_counts_for_nothing() -> None:
    aligner = Aligner(plan_with_stations(), W1, (W1,))
    aligner.step(SourcePassed(FIRST, 0))
    assert aligner.step(SourcePassed(SECOND, 0)) == [PassStation(SECOND, StepId(0))]
    assert aligner.step(StationPassed(FIRST, StepId(0))) == []
