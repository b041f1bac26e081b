"""What an engine has combined waits for the next watermark, and for nothing else."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.wallaroo.operators.mesh import Mesh
from tests.wallaroo.operators.test_combining import always, plan_of, tumbling
from tests.wallaroo.runtime.engine_events import EventsIgnored
from wallaroo import aggregate
from wallaroo.names import EdgeId, Epoch
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo.timing.clocks import FRAME_INTERVAL_NS

Patch = pytest.MonkeyPatch
BEGAN_NS = 10**18
TURN_NS = FRAME_INTERVAL_NS // 10


class Records:
    """A source with the records of one turn, all of which have their time."""

    pipeline = 0
    delivered_ns = 0
    has_records = False

    def __init__(self, time: int) -> None:
        self.origin = Origin("a connection", BEGAN_NS)
        self._time = time

    def take(self, count: int) -> list[bytes]:
        return [f"{key}:{self._time}:1".encode() for key in "abcdefgh" for _ in range(20)]

    def batch_consumed(self) -> None: ...


class Played:
    """One of two workers, whose turns and alarms a test takes one by one."""

    def __init__(self) -> None:
        mesh = Mesh(plan_of(tumbling().over(aggregate.count())), 2)
        me, other = mesh.workers
        self.now_ns = BEGAN_NS
        self.sent: list[str] = []
        self._turns: deque[Callable[[], None]] = deque()
        self._alarm: Callable[[], object] | None = None
        self.engine = Engine(
            lambda: self.now_ns / 1e9, self, EventsIgnored(), wall_ns=lambda: self.now_ns
        )
        self.engine.restart(mesh.flows[me])
        self.engine.connect({other: self})
        assert self.engine.timing is not None
        self.engine.timing.set_members(
            [(each, Epoch(1)) for each in mesh.workers], {}, is_resize=False
        )

    def call_soon(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None:
        self._alarm = run

    def send_batch(self, batch: OutgoingBatch) -> None:
        self.sent.append(batch.form.name)

    def send_clock(self, edge: EdgeId, time: int, status: int) -> None:
        self.sent.append("clock")

    def turn(self, time: int) -> list[str]:
        """Run some records with this time; return what was sent."""
        self.now_ns += TURN_NS
        self.engine.source_ready(cast(Any, Records(time)))
        self._turns.popleft()()
        return self.taken()

    def ring(self) -> list[str]:
        """Let the alarm ring; return what was sent."""
        assert self._alarm is not None
        self.now_ns += FRAME_INTERVAL_NS
        self._alarm()
        return self.taken()

    def taken(self) -> list[str]:
        sent, self.sent = self.sent, []
        return sent


def combining(monkeypatch: Patch) -> Played:
    """Return an engine that combines, and has just sent a watermark."""
    always(monkeypatch)
    played = Played()
    assert "PAYLOADS" in played.turn(1)
    for _ in range(20):
        played.turn(1)
    played.ring()
    return played


def test_accumulators_of_several_turns_are_sent_before_the_next_watermark(
    monkeypatch: Patch,
) -> None:
    played = combining(monkeypatch)
    sent = [played.turn(100 + number) for number in range(12)]
    (first, *others) = [each for each in sent if each]
    assert first == ["PARTIALS", "clock"]
    assert others == []


def test_they_do_not_wait_for_another_turn(monkeypatch: Patch) -> None:
    played = combining(monkeypatch)
    assert played.turn(100) == []
    assert played.ring() == ["PARTIALS", "clock"]


def test_nothing_waits_for_a_barrier(monkeypatch: Patch) -> None:
    played = combining(monkeypatch)
    assert played.turn(100) == []
    played.engine.flush()
    assert played.taken() == ["PARTIALS"]
