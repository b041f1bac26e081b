"""Timers, alarms and touches of keys are state: checkpoints hold them, and keys take them along."""
# mypy: allow-untyped-decorators

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.timed import fire_all
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.saved_state import Moved, Progress, StateChunk
from wallaroo.routing.keys import key_bytes
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.worker.state_queries import get_key

ME = WorkerName("w1")
SECOND = wallaroo.seconds(1)


class Machine:
    def __init__(self) -> None:
        self.readings = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line


def forgotten(key: str, machine: Machine) -> str:
    return f"{key} forgotten"


@wallaroo.state_computation(
    "watch", Machine, ttl=40 * SECOND, ttl_clock="wall", on_expire=forgotten
)
def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
    ctx.set_timer("silent", int(reading[1:]) * SECOND)
    ctx.set_alarm("poll", after=5 * SECOND)


@watch.on_timer("silent")
def silent(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} silent at {ctx.time // SECOND}"


@watch.on_alarm("poll")
def poll(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} polled at {ctx.time // SECOND}"


PLAN = wallaroo.build_application(
    "machines",
    wallaroo.source("readings", wallaroo.TCPSourceConfig("localhost", "7010", decode))
    .key_by(lambda reading: reading[0])
    .to(watch)
    .to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode)),
)


class Writer:
    """Keeps what a checkpoint writes of a state."""

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def write(self, keys: list[Any], states: list[Any]) -> None:
        self.kept |= dict(zip(keys, states, strict=True))

    def write_copies(self, keys: list[Any], copies: list[Any]) -> None:
        self.kept |= dict(zip(keys, copies, strict=True))

    def copy(self, key: Any, state: Any) -> Any:
        return state

    def write_pane(self, chunk: Any, until: int) -> None:
        raise AssertionError("no panes are here")


class Worker:
    """A dataflow with a wall clock that the test moves."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s
        options = DataflowOptions(tracks_changes=True, wall_ns=lambda: self.now_s * SECOND)
        self.flow = Dataflow(PLAN, ME, options)
        assert self.flow.timed is not None
        self.keyed = self.flow.timed.keyed

    def bind(self) -> "Worker":
        self.keyed.rebuild()
        self.keyed.advance_wall()
        maps = {
            name: PartitionMap.initial(state.space, state.hashed_partition_count, (), (ME,))
            for name, state in PLAN.states.items()
        }
        self.flow.bind((ME,), maps)
        return self

    def read(self, *readings: str) -> None:
        self.flow.run_source(0, [reading.encode() for reading in readings])

    def frozen(self) -> dict[str, Writer]:
        """Freeze what has changed, as at a barrier."""
        writers = {name: Writer() for name in PLAN.states}
        self.flow.freeze(writers)
        return writers

    def written(self, writers: dict[str, Writer]) -> dict[str, dict[Any, Any]]:
        """Write what was frozen; return it by state."""
        for state in self.flow.states.values():
            assert state.changes is not None
            while state.changes.is_writing:
                state.changes.write_slice(10)
            state.changes.committed()
        return {name: writer.kept for name, writer in writers.items()}

    def due(self, event_s: int = 0) -> list[str]:
        """Move the clocks; return what was due."""
        self.keyed.advance("watch", event_s * SECOND)
        self.keyed.advance_wall()
        fire_all(self.flow)
        return [row.decode() for _, rows in self.flow.take_output() for row in rows]

    def shown(self, key: str) -> dict[str, Any]:
        """Return what a query shows of a key."""
        params = {"state": "watch", "key": key_bytes(key).hex()}
        return get_key(self.flow.saved_states, self.flow.timed, params)


def restored(parts: list[dict[str, dict[Any, Any]]], now_s: int) -> Worker:
    worker = Worker(now_s)
    for part in parts:
        for name, kept in part.items():
            worker.flow.states[name].fill(StateChunk([*kept], [*kept.values()]), 0)
    return worker.bind()


def test_what_is_pending_at_a_barrier_is_pending_after_a_restore() -> None:
    worker = Worker(100).bind()
    worker.read("a7", "b8")
    part = worker.written(worker.frozen())
    other = restored([part], 103)
    assert other.due(event_s=7) == ["a silent at 7"]
    other.now_s = 105
    assert sorted(other.due(event_s=9)) == ["a polled at 105", "b polled at 105", "b silent at 8"]


def test_what_has_fired_before_a_barrier_does_not_fire_again() -> None:
    worker = Worker(100).bind()
    worker.read("a7", "b8")
    first = worker.written(worker.frozen())
    assert worker.due(event_s=7) == ["a silent at 7"]
    second = worker.written(worker.frozen())
    assert restored([first, second], 100).due(event_s=9) == ["b silent at 8"]


@pytest.mark.parametrize("change", ["a9", "fire"])
def test_a_checkpoint_holds_timers_as_they_were_at_its_barrier(change: str) -> None:
    worker = Worker(100).bind()
    worker.read("a7")
    writers = worker.frozen()
    if change == "fire":
        assert worker.due(event_s=7) == ["a silent at 7"]
    else:
        worker.read(change)
    part = worker.written(writers)
    assert restored([part], 100).due(event_s=7) == ["a silent at 7"]


def test_timers_and_touches_move_with_their_keys() -> None:
    giver, taker = Worker(100).bind(), Worker(120)
    giver.read("a7", "b8")
    taker.bind()
    taker.read("c9")
    for name, state in giver.flow.states.items():
        chunks = [*state.moving(["a"], lambda: 10)]
        taker.flow.states[name].take_in([Moved(Progress(), chunks)])
        state.drop(["a"])
    giver.bind()
    taker.bind()
    assert giver.due(event_s=9) == ["b silent at 8"]
    assert sorted(taker.due(event_s=9)) == ["a polled at 105", "a silent at 7", "c silent at 9"]
    taker.now_s = 151
    assert sorted(taker.due(event_s=9)) == ["a forgotten", "c polled at 125"]


def test_results_are_not_complete_where_timers_move_that_are_due() -> None:
    giver, taker = Worker(100).bind(), Worker(100).bind()
    giver.read("a7")
    taker.due(event_s=9)
    assert taker.keyed.fired("watch") == 9 * SECOND
    for state_name, state in giver.flow.states.items():
        chunks = [*state.moving(["a"], lambda: 10)]
        taker.flow.states[state_name].take_in([Moved(Progress(9 * SECOND, 5 * SECOND), chunks)])
    taker.bind()
    assert taker.keyed.fired("watch") == 7 * SECOND


def test_a_restored_key_is_forgotten_when_it_would_have_been() -> None:
    worker = Worker(100).bind()
    worker.read("a1")
    part = worker.written(worker.frozen())
    other = restored([part], 139)
    assert "a forgotten" not in other.due()
    other.now_s = 150
    assert other.due() == ["a forgotten"]
    assert {name: dict(state) for name, state in other.flow.states.items()} == {
        name: {} for name in PLAN.states
    }


def test_a_key_that_is_touched_is_saved_with_the_time_of_that() -> None:
    worker = Worker(100).bind()
    worker.read("a1")
    first = worker.written(worker.frozen())
    worker.now_s = 130
    worker.read("a1")
    second = worker.written(worker.frozen())
    other = restored([first, second], 169)
    assert "a forgotten" not in other.due()
    other.now_s = 180
    assert other.due() == ["a forgotten"]


def test_timers_of_a_step_that_has_more_or_fewer_names_than_before_are_kept() -> None:
    worker = Worker(100)
    worker.flow.states["watch~timers"].fill(StateChunk(["a"], [{"silent": 7 * SECOND, "x": 1}]), 0)
    worker.flow.states["watch~timers"].fill(StateChunk(["b"], [{"x": 1}]), 0)
    assert worker.bind().due(event_s=7) == ["a silent at 7"]


def test_a_key_whose_object_was_removed_shows_its_pending_timers() -> None:
    worker = Worker(100).bind()
    worker.read("b108")
    pending = worker.shown("b")["timers"]
    worker.flow.states["watch"].remove("b")
    shown = worker.shown("b")
    assert shown["is_there"]
    assert (shown["type"], shown["value"], shown["text"]) == (None, None, "")
    assert shown["timers"] == pending != []


def test_a_query_shows_what_is_pending_for_a_key() -> None:
    worker = Worker(100).bind()
    worker.read("a7", "b108")
    shown = worker.shown("b")
    assert shown["value"] == {"readings": 0} and shown["windows"] == []
    assert shown["timers"] == [
        {"name": "poll", "kind": "alarm", "at": 105 * SECOND},
        {"name": "silent", "kind": "timer", "at": 108 * SECOND},
    ]
    worker.now_s = 105
    worker.due(event_s=110)
    assert worker.shown("b")["timers"] == []
    assert worker.keyed.facts() == [
        {
            "state": "watch",
            "pending": {"timer": 0, "alarm": 0},
            "fired": {"timer": 2, "alarm": 2},
            "expired": 0,
        }
    ]
    worker.now_s = 151
    worker.due(event_s=110)
    assert worker.shown("b") == {"is_there": False}
    assert worker.keyed.facts()[0]["expired"] == 2
