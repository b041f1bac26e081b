"""What is shown of the timers of a state counts timers and alarms, not keys."""
# mypy: allow-untyped-decorators

import wallaroo
from tests.wallaroo.operators.machines import SECOND, Machine, decode, encode, machine_of
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.routing.partition_map import PartitionMap

ME = WorkerName("w1")


@wallaroo.state_computation("watch", Machine)
def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
    ctx.set_timer("first", 10 * SECOND)
    ctx.set_timer("second", 20 * SECOND)
    ctx.set_alarm("poll", after=5 * SECOND)


@watch.on_timer("first")
def first(machine: Machine, ctx: wallaroo.Context) -> None: ...


@watch.on_timer("second")
def second(machine: Machine, ctx: wallaroo.Context) -> None: ...


@watch.on_alarm("poll")
def poll(machine: Machine, ctx: wallaroo.Context) -> None: ...


PLAN = wallaroo.build_application(
    "machines",
    wallaroo.source("readings", wallaroo.TCPSourceConfig("localhost", "7010", decode))
    .key_by(machine_of)
    .to(watch)
    .to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode)),
)


def test_each_pending_timer_and_alarm_of_a_key_counts() -> None:
    flow = Dataflow(PLAN, ME, DataflowOptions(wall_ns=lambda: 0))
    maps = {
        name: PartitionMap.initial(state.space, state.hashed_partition_count, (), (ME,))
        for name, state in PLAN.states.items()
    }
    flow.bind((ME,), maps)
    flow.run_source(0, [b"a 1", b"b 1"])
    assert flow.timed is not None
    assert flow.timed.keyed.figures("watch").open_count == 2 * 3
