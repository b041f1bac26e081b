"""Seeds for the simulation of pipelines that are fed by pipelines."""

import random
from collections import Counter
from typing import Any

from tests.graphs import compiled, encode, expected, random_graph, tcp_sink
from tests.simulation.seeds import FEW_CRASHES
from wallaroo import FileSinkConfig
from wallaroo.testing import ALL_FAULTS, SimulationError, SimulationResult, simulate
from wallaroo.testing.store import Objects
from wallaroo.topology.graph import PipelineDeclaration

SHAPES = (ALL_FAULTS, FEW_CRASHES)


def graph_of(seed: int) -> tuple[PipelineDeclaration, ...]:
    """Return an application whose pipelines share a stream and two files."""
    sinks = [tcp_sink(), *(FileSinkConfig(path, encode).sink() for path in ("a.txt", "b.txt"))]
    return random_graph(random.Random(f"graph {seed}"), sinks)


def in_order(state: Any) -> Any:
    """Return a state without the order of its records, which depends on the senders."""
    kind, values = state
    return kind, sorted(values["records"])


def run_graph(
    seed: int, objects: Objects | None = None, *, durable: bool = True
) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    pipelines = graph_of(seed)
    plan = compiled(*pipelines)
    chance = random.Random(f"graph case {seed}")
    numbers = iter(range(1, 10_000))
    input = {
        pipeline.name: [
            [b"%d" % next(numbers) for _ in range(chance.choice((5, 40, 80)))]
            for _ in range(chance.randint(1, 2))
        ]
        for pipeline in plan.pipelines
    }
    records = {name: [int(each) for sent in all for each in sent] for name, all in input.items()}
    wanted = expected(pipelines, records)
    result = simulate(
        plan,
        input,
        seed=seed,
        workers=chance.randint(1, 4),
        durable=durable,
        faults=SHAPES[seed % len(SHAPES)] if durable else FEW_CRASHES,
        view_state=in_order,
        expect_failures=wanted.failures.total(),
        replay_command=f"python -m tests.simulation --seed {seed} --graphs",
        objects=objects,
    )
    for name, states in result.states.items():
        found = {key: Counter(seen.records) for key, seen in states.items()}
        assert found == {key: Counter(all) for key, all in wanted.states[name].items()}
    return result


def outcome(seed: int) -> tuple[int, Counter[str], str]:
    """Return the seed, the faults it met, and its problem, if any."""
    try:
        return seed, run_graph(seed).injected, ""
    except SimulationError as error:
        return seed, Counter(), str(error)
