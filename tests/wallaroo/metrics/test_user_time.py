"""The time in user functions, estimated from a sample: records times the mean time of one."""

import pytest

from tests.wallaroo.operators.mesh import stateless_plan
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.user_time import SMOOTHING, UserTime

NODES = Nodes(stateless_plan())
SOURCE, SINK = (node.id for node in NODES.all)
NOTHING: list[int] = []


def counts(record_count: int) -> dict[str, list[int]]:
    return {SOURCE: [record_count, 0, 0, 0]}


def test_the_seconds_are_records_times_their_mean_time() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    assert time.add_sample([[1000, 3000], NOTHING], [0, 0]).keys() == {SOURCE}
    assert time.update(counts(500)) == pytest.approx({SOURCE: 500 * 2000e-9})


def test_only_new_records_are_added() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    time.add_sample([[1000], NOTHING], [0, 0])
    time.update(counts(10))
    assert time.update(counts(30)) == pytest.approx({SOURCE: 30 * 1000e-9})


def test_counts_of_another_epoch_take_nothing_away() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    time.add_sample([[1000], NOTHING], [0, 0])
    before = time.update(counts(30))
    assert time.update(counts(0)) == before
    assert time.update(counts(5))[SOURCE] == pytest.approx(35 * 1000e-9)


def test_the_cost_of_measuring_is_subtracted_but_no_time_is_negative() -> None:
    time = UserTime(NODES, overhead_ns=400.0)
    time.add_sample([[1000], [100]], [0, 0])
    seconds = time.update({**counts(10), SINK: [10, 0, 0, 0]})
    assert seconds == pytest.approx({SOURCE: 10 * 600e-9, SINK: 0.0})


def test_time_beside_the_samples_belongs_to_the_node() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    time.add_sample([[1000, 1000], NOTHING], [500, 0])
    assert time.update(counts(1)) == pytest.approx({SOURCE: 1250e-9})


def test_a_new_sample_moves_the_mean_by_its_weight() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    time.add_sample([[1000], NOTHING], [0, 0])
    time.add_sample([[2000], NOTHING], [0, 0])
    assert time.update(counts(1)) == pytest.approx({SOURCE: (1000 + SMOOTHING * 1000) * 1e-9})


def test_a_node_without_a_sample_has_no_time() -> None:
    time = UserTime(NODES, overhead_ns=0.0)
    assert time.add_sample([NOTHING, NOTHING], [0, 0]) == {}
    assert time.update(counts(100)) == {}
