"""Whole dataflows on one to three workers against the oracle."""

import dataclasses
import random
from collections import Counter
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import (
    Mesh,
    application,
    encode_line,
    payloads,
    tcp_sink,
    tcp_source,
)
from tests.wallaroo.operators.oracle import SEQUENCES, Expected, Kind, build, interpret
from wallaroo.names import WorkerName
from wallaroo.operators.batches import Form
from wallaroo.topology.plan import Plan

PAYLOADS = [b"", *(b"%d" % number for number in random.Random(7).choices(range(60), k=30))]
SEQUENCE_GROUPS = [SEQUENCES[start : start + 60] for start in range(0, len(SEQUENCES), 60)]


def own_serialize(record: Any) -> bytes:
    return b"own:" + repr(record).encode()


def own_deserialize(data: bytes) -> Any:
    return int(data.removeprefix(b"own:"))


def with_own_serialization(plan: Plan) -> Plan:
    return dataclasses.replace(plan, serialize=own_serialize, deserialize=own_deserialize)


def assert_same(mesh: Mesh, expected: Expected) -> None:
    assert mesh.failures() == []
    assert Counter(mesh.lines()) == Counter(expected.lines)
    for name, states in expected.states.items():
        assert {key: state.values for key, state in mesh.states(name).items()} == {
            key: state.values for key, state in states.items()
        }


@pytest.mark.parametrize("group", SEQUENCE_GROUPS, ids=lambda group: f"{len(group[0])}-{id(group)}")
@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_every_sequence_of_steps_gives_what_one_process_gives(
    worker_count: int, group: list[tuple[Kind, ...]]
) -> None:
    for kinds in group:
        expected = interpret(kinds, PAYLOADS)
        plan = build(kinds)
        for each, options in (
            (plan, {}),
            (plan, {"objects_always": True}),
            (with_own_serialization(plan), {"objects_always": True}),
        ):
            mesh = Mesh(each, worker_count, **options)
            mesh.feed(PAYLOADS)
            assert_same(mesh, expected)
            if worker_count == 1:
                assert mesh.lines() == expected.lines
                assert mesh.carried == []
                break
