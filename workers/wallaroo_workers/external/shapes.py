"""What the external channel's answers look like: a cluster told in the original's terms.

The original had partitions and steps with numbers of their own. Here they are made up, from names
alone, so that every worker gives the same ones at any time: ten for each state that is split by
key and worker, one for a state with a single object, one for each worker behind ``to_parallel``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wallaroo.routing.hashing import hash_text
from wallaroo.topology.plan import Application, ExchangeKind

STEPS_OF_STATE = 10
"""Of one worker, for a state that is split by key."""

IDS_OF_TCP_SOURCE = 10


def made_up_id(*names: object) -> str:
    """Return the number that stands for what is named so: decimal, never 0."""
    return str(hash_text("/".join(map(str, names))) or 1)


def single_states(plan: Application) -> list[str]:
    """Return the names of the states with one object in the whole cluster."""
    return [name for name, state in plan.states.items() if state.hashed_partition_count == 0]


def state_partitions(
    plan: Application, workers: Sequence[str], owners: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """Return ids by state and worker; ``owners`` has the worker of each single state."""
    singles = set(single_states(plan))
    found: dict[str, dict[str, list[str]]] = {}
    for state in plan.states:
        if state in singles:
            places = [(owners[state], 0)] if state in owners else []
        else:
            places = [(worker, step) for worker in workers for step in range(STEPS_OF_STATE)]
        by_worker = found[state] = {}
        for worker, step in places:
            by_worker.setdefault(worker, []).append(made_up_id("state", state, worker, step))
    return found


def stateless_partitions(
    plan: Application, workers: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """Return ids by parallel step and worker."""
    return {
        made_up_id("parallel", pipeline.name, index): {
            worker: [made_up_id("parallel", pipeline.name, index, worker)] for worker in workers
        }
        for pipeline in plan.flows
        for index, stage in enumerate(pipeline.stages)
        if stage.exchange is not None and stage.exchange.kind is ExchangeKind.ROUND_ROBIN
    }


def source_ids(plan: Application) -> list[str]:
    """Return the ids of all sources: several where one listens, as it may have many senders."""
    return [
        made_up_id("source", pipeline.name, number)
        for pipeline in plan.pipelines
        for number in range(IDS_OF_TCP_SOURCE if pipeline.source.listening_address else 1)
    ]


def counted(found: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, int]]:
    """Return the same with the length of each list instead of the list."""
    return {
        name: {worker: len(ids) for worker, ids in by_worker.items()}
        for name, by_worker in found.items()
    }


def as_text(values: Mapping[str, Any]) -> str:
    """Return the JSON of an answer."""
    return json.dumps(values)
