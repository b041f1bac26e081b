"""The events of an engine whose worker is of no interest to a test, and its event loop."""

from collections.abc import Callable
from typing import Any

from wallaroo.names import SinkId
from wallaroo.operators.failures import Failure
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import Barrier, MovingFrame


class LoopIgnored:
    """An event loop that never has a turn."""

    def call_soon(self, turn: Callable[[], None]) -> None: ...

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None: ...


class EventsIgnored:
    """Nothing is under pressure, and nothing is done about what the engine reports."""

    def __init__(self) -> None:
        self.must_pause = False

    def flushing(self) -> None: ...

    def output_made(self, sink: SinkId, rows: list[Any]) -> int:
        return 0

    def barrier_received(self, link: Link, barrier: Barrier) -> None: ...

    def states_received(self, link: Link, frame: MovingFrame) -> None: ...

    def records_failed(self, failures: list[Failure]) -> None: ...

    def engine_stopped(self, failure: Failure) -> None: ...

    def turn_ended(self) -> None: ...
