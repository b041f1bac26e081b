"""The child process of `check_sink`: it does with a sink what a worker does, one call at a time.

Before and after each call it says so and waits. So the parent can kill or stop it exactly there.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink
from wallaroo_workers.kit.awaiting import Caller
from wallaroo_workers.kit.child import AGAIN_AFTER_S, ATTEMPT_S, Said


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one batch; ``number`` counts the batches of a slot from 1."""

    number: int
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Play:
    """What a child is to do: bring these batches to a slot, as far as they are not there."""

    slot: str
    batches: list[Batch]
    tokens: list[bytes]
    """For sinks of two phases: what the manifest names."""
    tries_again: bool
    """Whether a failed call is tried again, as a worker of the running epoch does."""


class Player:
    """Plays one part after the other, each with a new sink."""

    def __init__(self, make: Callable[[], Any], pipe: Connection) -> None:
        self._make = make
        self._pipe = pipe
        self._caller = Caller()

    def play(self, part: Play) -> None:
        """Play one part; say how it ended."""
        give_up_s = time.monotonic() + ATTEMPT_S
        while True:
            sink = self._make()
            said = Said("end")
            try:
                self._play(sink, part)
            except Exception:  # noqa: BLE001  the sink is the user's
                said = Said("failed", result=traceback.format_exc())
            # Before the parent looks at the target.
            self._close(sink)
            if said.where == "end" or not part.tries_again or time.monotonic() > give_up_s:
                self._pipe.send(said)
                return
            time.sleep(AGAIN_AFTER_S)

    def _close(self, sink: Any) -> None:
        try:
            self._caller.call(sink.close)
        except Exception:  # noqa: BLE001  it is broken already
            return

    def _play(self, sink: Any, part: Play) -> None:
        if isinstance(sink, OnceSink):
            self._play_once(sink, part)
        elif isinstance(sink, TwoPhaseSink):
            self._play_two_phases(sink, part)
        else:
            assert isinstance(sink, Sink)
            self._call(sink, "open")
            for batch in part.batches:
                self._call(sink, f"write {batch.number}", batch.rows)

    def _play_once(self, sink: OnceSink[Any], part: Play) -> None:
        self._call(sink, "open", part.slot)
        last = self._call(sink, "last") or 0
        for batch in part.batches:
            if batch.number > last:
                self._call(sink, f"write {batch.number}", batch.rows, batch.number)

    def _play_two_phases(self, sink: TwoPhaseSink[Any], part: Play) -> None:
        self._call(sink, "open", part.slot)
        for token in part.tokens:
            # Twice: the first answer may have been lost.
            self._call(sink, "commit", token)
            self._call(sink, "commit", token)
        for token in self._call(sink, "prepared"):
            if token not in part.tokens:
                self._call(sink, "abort", token)
        for batch in part.batches:
            self._call(sink, f"write {batch.number}", batch.rows)
            token = self._call(sink, f"prepare {batch.number}")
            if token is not None:
                self._call(sink, f"commit {batch.number}", token)

    def _call(self, sink: Any, call: str, *given: Any) -> Any:
        self._say(Said("before", call))
        result = self._caller.call(getattr(sink, call.partition(" ")[0]), *given)
        self._say(Said("after", call, result))
        return result

    def _say(self, said: Said) -> None:
        self._pipe.send(said)
        self._pipe.recv()


def main(make: Callable[[], Any], pipe: Connection) -> None:
    """Play the parts that arrive, until the parent closes the pipe."""
    player = Player(make, pipe)
    while True:
        try:
            part = pipe.recv()
        except EOFError:
            return
        player.play(part)
