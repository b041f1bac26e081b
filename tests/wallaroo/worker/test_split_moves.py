"""Splits that change their reader with a resize, as giver and taker live through it."""

from collections.abc import Sequence

import pytest

import wallaroo
from tests.wallaroo.ingest.orders import AT, NotedSource, Orders
from tests.wallaroo.operators.mesh import tcp_sink
from tests.wallaroo.worker.by_hand import (
    E1,
    E2,
    ME,
    STATE,
    A,
    WorkerByHand,
    assign,
    count,
    decode,
    members,
    partitions,
    whole,
)
from wallaroo.checkpoint.split_positions import INITIAL, SplitKind, to_share
from wallaroo.names import CheckpointId, EdgeId
from wallaroo.topology.plan import Application
from wallaroo.wire.control import CallOff, ControlFrame, Gather, Gathered, Held, Hold, Open
from wallaroo.wire.data_frames import Barrier, MovedAll
from wallaroo.wire.splits import Splits

RESIZE = 4
HOLD = CheckpointId(9)
HERE = {"source_addresses": ["127.0.0.1:7010", ""], "source_workers": ["", ""]}


def plan_with_orders() -> Application:
    return (
        wallaroo.ApplicationBuilder("counts")
        .new_pipeline("in", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(count, dict, STATE, whole)
        .to_sink(tcp_sink())
        .new_pipeline("orders", Orders())
        .to_sink(tcp_sink())
        .build()
    )


@pytest.fixture
def worker() -> WorkerByHand:
    """A worker beside ``a`` that reads the splits x and y."""
    mine = WorkerByHand(plan=plan_with_orders())
    mine.join()
    mine.order(assign(E1, ME, A, **HERE))
    mine.order(Splits(E1, 1, "initial", ["x", "y"], []))
    mine.link_up(A)
    mine.order(Open(E1))
    return mine


def source(worker: WorkerByHand) -> NotedSource:
    return worker.source_ports.splits


def hold(worker: WorkerByHand, moves: Sequence[object]) -> Held:
    """Bring a resize to where all that moves is sent; return what the worker says of it."""
    maps = [partitions(ME, A).to_wire()]
    worker.order(Gather(E1, RESIZE, members(ME, A), [ME, A], maps, [*moves]))
    said = worker.order(Hold(E1, RESIZE, HOLD))
    said += worker.comes_from(A, Barrier(0, E1, HOLD, EdgeId(0)))
    (held,) = (frame for frame in said if isinstance(frame, Held))
    return held


def commit(worker: WorkerByHand) -> list[ControlFrame]:
    worker.comes_from(A, MovedAll(0, RESIZE, 0))
    return worker.order(assign(E2, ME, A, resize=RESIZE, barrier=HOLD, **HERE))


def test_a_giver_reports_the_positions_of_what_it_gives(worker: WorkerByHand) -> None:
    source(worker).splits["x"] = AT
    held = hold(worker, [[1, ME, ["x"]], [1, A, ["z"]]])
    assert held.splits == {1: to_share({"x": AT})}


def test_a_giver_is_not_prepared_before_it_knows_where_its_splits_start(
    worker: WorkerByHand,
) -> None:
    source(worker).are_started.clear()
    maps = [partitions(ME, A).to_wire()]
    order = Gather(E1, RESIZE, members(ME, A), [ME, A], maps, [[1, ME, ["x"]]])
    assert worker.order(order) == []
    source(worker).are_started.set()
    assert worker.pass_time() == [Gathered(E1, RESIZE)]


def test_a_giver_reads_on_until_the_commit(worker: WorkerByHand) -> None:
    hold(worker, [[1, ME, ["x"]]])
    assert source(worker).splits.keys() == {"x", "y"}
    commit(worker)
    assert source(worker).splits.keys() == {"y"}


def test_a_giver_keeps_everything_if_the_resize_is_called_off(worker: WorkerByHand) -> None:
    hold(worker, [[1, ME, ["x"]]])
    worker.order(CallOff(E1, RESIZE, "a worker was lost"))
    assert source(worker).splits == {"x": INITIAL, "y": INITIAL}


def test_a_taker_reads_on_where_the_giver_was(worker: WorkerByHand) -> None:
    hold(worker, [[1, A, ["z"]]])
    assert source(worker).splits.keys() == {"x", "y"}
    commit(worker)
    worker.order(Splits(E2, 1, SplitKind.AT, ["z"], [[40, 2]]))
    assert source(worker).splits["z"] == AT


def test_what_it_gives_is_forgotten_with_the_resize(worker: WorkerByHand) -> None:
    hold(worker, [[1, ME, ["x"]]])
    worker.order(CallOff(E1, RESIZE, "a worker was lost"))
    maps = [partitions(ME, A).to_wire()]
    worker.order(Gather(E1, RESIZE + 1, members(ME, A), [ME, A], maps, []))
    said = worker.order(Hold(E1, RESIZE + 1, CheckpointId(10)))
    said += worker.comes_from(A, Barrier(0, E1, CheckpointId(10), EdgeId(0)))
    (held,) = (frame for frame in said if isinstance(frame, Held))
    assert held.splits == {}
