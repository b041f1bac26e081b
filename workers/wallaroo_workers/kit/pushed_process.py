"""The child process of `check_pushed_source`: it does with a source what a worker does.

Its journal is the parent. A group of deliveries that the parent was told and has answered is in the
journal, and is acknowledged next.
"""

import asyncio
import enum
import inspect
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from wallaroo.connectors.source_classes import Delivery, PushedSource
from wallaroo.describing import a_type
from wallaroo_workers.kit.awaiting import Caller
from wallaroo_workers.kit.child import AGAIN_AFTER_S, ATTEMPT_S, Said

GROUP_MAX = 5
"""Deliveries that get into the journal together."""
QUIET_S = 0.05
"""A group ends when nothing more is there for so long."""
_END = object()


class Answer(enum.Enum):
    """What the parent answers."""

    GO_ON = "go on"
    OPEN_AGAIN = "open again"
    """What was received is given up: close the source, and open it again."""
    STOP = "stop"
    EXIT = "exit"
    """Another process has taken over: end at once."""


class _OpenAgainError(Exception):
    """The connection is given up."""


class _StopError(Exception):
    """Nothing more is to be received."""


class Player:
    """Plays one part after the other, each with a new source."""

    def __init__(self, make: Callable[[], Any], pipe: Connection) -> None:
        self._make = make
        self._pipe = pipe
        self._caller = Caller()

    def play(self) -> None:
        """Receive until the parent says stop; say how it ended."""
        source = self._make()
        give_up_s = time.monotonic() + ATTEMPT_S
        while True:
            said = self._attempt(source)
            if said is None:
                continue
            if said.where == "end" or time.monotonic() > give_up_s:
                self._pipe.send(said)
                return
            time.sleep(AGAIN_AFTER_S)

    def _attempt(self, source: PushedSource[Any]) -> Said | None:
        """Open and receive; return how it ended, or nothing if it is to be opened again at once."""
        receiving = _Receiving(source, self._caller)
        try:
            self._call("open", source.open)
            receiving.start()
            self._receive(source, receiving)
        except _StopError:
            return Said("end")
        except _OpenAgainError:
            return None
        except Exception:  # noqa: BLE001  the source is the user's
            return Said("failed", result=traceback.format_exc())
        finally:
            self._close(source, receiving)
        return Said("end", "receive")

    def _close(self, source: PushedSource[Any], receiving: "_Receiving") -> None:
        try:
            receiving.close()
            self._caller.call(source.close)
        except Exception:  # noqa: BLE001  it is broken already
            return

    def _receive(self, source: PushedSource[Any], receiving: "_Receiving") -> None:
        number = 1
        while not receiving.has_ended:
            self._say(Said("before", f"receive {number}"))
            group = receiving.take()
            if not group:
                time.sleep(AGAIN_AFTER_S)
                continue
            self._say(Said("after", f"receive {number}", [each.record for each in group]))
            tags = [each.tag for each in group]
            self._call(f"ack {number}", lambda: self._ack(source, tags))  # noqa: B023
            number += 1

    def _ack(self, source: PushedSource[Any], tags: list[Any]) -> None:
        give_up_s = time.monotonic() + ATTEMPT_S
        while True:
            try:
                self._caller.call(source.ack, tags)
            except Exception:
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(AGAIN_AFTER_S)
            else:
                return

    def _call(self, call: str, method: Callable[[], Any]) -> None:
        self._say(Said("before", call))
        self._caller.call(method)
        self._say(Said("after", call))

    def _say(self, said: Said) -> None:
        self._pipe.send(said)
        match self._pipe.recv():
            case Answer.OPEN_AGAIN:
                raise _OpenAgainError
            case Answer.STOP:
                raise _StopError
            case Answer.EXIT:
                os.kill(os.getpid(), signal.SIGKILL)  # as a worker ends that was replaced


class _Receiving:
    """What ``receive`` of a source gives over one connection."""

    def __init__(self, source: PushedSource[Any], caller: Caller) -> None:
        self._source = source
        self._caller = caller
        self._iterator: Any = None
        self._next: asyncio.Task[Any] | None = None
        self.has_ended = False

    def start(self) -> None:
        """Call ``receive``."""
        receive = self._source.receive
        received: Any = (
            receive() if inspect.isasyncgenfunction(receive) else self._caller.call(receive)
        )
        self._iterator = received if hasattr(received, "__aiter__") else iter(received)

    def take(self) -> list[Delivery[Any]]:
        """Return a group of deliveries; it is empty if nothing is there."""
        is_async = hasattr(self._iterator, "__aiter__")
        items = self._caller.call_on_loop(self._take_on_loop) if is_async else self._take()
        for item in items:
            assert isinstance(item, Delivery), (
                f"receive yielded {a_type(item)}; yield wallaroo.Delivery(record, tag=...), or None"
            )
        return items

    def _take(self) -> list[Any]:
        items: list[Any] = []
        while len(items) < GROUP_MAX:
            item = next(self._iterator, _END)
            if item is None or item is _END:
                self.has_ended = item is _END
                break
            items.append(item)
        return items

    async def _take_on_loop(self) -> list[Any]:
        items: list[Any] = []
        while len(items) < GROUP_MAX:
            self._next = self._next or asyncio.ensure_future(self._one())
            await asyncio.wait([self._next], timeout=QUIET_S)
            if not self._next.done():
                break
            asked, self._next = self._next, None
            item = asked.result()
            if item is None or item is _END:
                self.has_ended = item is _END
                break
            items.append(item)
        return items

    async def _one(self) -> Any:
        return await anext(self._iterator, _END)

    def close(self) -> None:
        """End the iterator."""
        if self._next is not None:
            self._caller.call_on_loop(self._cancel, self._next)
        if hasattr(self._iterator, "aclose"):
            self._caller.call_on_loop(self._iterator.aclose)
        elif hasattr(self._iterator, "close"):
            self._iterator.close()

    @staticmethod
    async def _cancel(task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait([task])


def main(make: Callable[[], Any], pipe: Connection) -> None:
    """Play the parts that arrive, until the parent closes the pipe."""
    player = Player(make, pipe)
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        if order is Answer.EXIT:
            return
        player.play()
