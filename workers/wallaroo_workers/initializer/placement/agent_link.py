"""One agent, seen from the initializer: its connection, and the worker process that it runs."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.agents import (
    Beat,
    Dismissed,
    Offer,
    Prepared,
    ProcessEnded,
    ProcessStarted,
    Withdraw,
)
from wallaroo.wire.control import ControlFrame, encode_control_frame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.network.frames import FrameConnection


class Owner(Protocol):
    """Who is told what an agent says."""

    on_exit: Callable[[WorkerName, Epoch, str], None]
    on_leave: Callable[[WorkerName], None]

    def heard(self, agent: "Agent") -> None:
        """It lives."""
        ...

    def prepared(self, agent: "Agent") -> None:
        """A worker may be started there."""
        ...

    def lost(self, agent: "Agent", reason: str) -> None:
        """Its connection is gone."""
        ...


class AgentProcess:
    """A worker process that an agent was asked to start."""

    def __init__(self, incarnation: Epoch) -> None:
        self.incarnation = incarnation
        self.pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """0 where it never ran."""
        self.ended = asyncio.Event()


class Agent:
    """One agent that was accepted, over the connection that it came with."""

    def __init__(self, owner: Owner, connection: FrameConnection, offer: Offer) -> None:
        self._owner = owner
        self._connection = connection
        self.name = offer.name
        self.host = offer.host
        self.instance = offer.instance
        self.together = offer.together
        self.newest_epoch: Epoch | None = None
        """That anything on its host was written in; ``None`` until it is prepared."""
        self.records_epoch = Epoch(0)
        """As ``newest_epoch``, of journals that have any record."""
        self.process: AgentProcess | None = None
        self.is_silent = False
        self.gone = asyncio.Event()
        """Set once the connection is gone."""

    def send(self, frame: ControlFrame) -> None:
        """Send it; nothing happens where the connection is gone."""
        self._connection.write(encode_control_frame(frame))

    def received(self, frame: ControlFrame) -> None:
        """It has said something."""
        match frame:
            case Beat():
                pass
            case Prepared(epoch, records_epoch):
                self.newest_epoch, self.records_epoch = epoch, records_epoch
                self._owner.prepared(self)
            case ProcessStarted(epoch, pid):
                if self.process is not None and self.process.incarnation == epoch:
                    self.process.pid.set_result(pid)
            case ProcessEnded(epoch, reason):
                self.process_ended(epoch, reason)
            case Withdraw():
                self._owner.on_leave(self.name)
            case _:
                raise ProtocolError(f"{type(frame).__name__} is not for an agent to say")
        self._owner.heard(self)

    def process_ended(self, incarnation: Epoch, reason: str) -> None:
        """Its worker's process is no more."""
        process = self.process
        if process is None or process.incarnation != incarnation or process.ended.is_set():
            return
        if not process.pid.done():
            process.pid.set_result(0)
        process.ended.set()
        self._owner.on_exit(self.name, incarnation, reason)

    def lost(self, reason: str) -> None:
        """The connection is gone, and with it the worker: an agent does not leave one alone."""
        self.gone.set()
        self._owner.lost(self, reason)

    def abort(self, reason: str) -> None:
        """Break the connection."""
        self._connection.abort(reason)

    def dismiss(self, within_s: float, what: str = "", hint: str = "") -> None:
        """It is not needed, or not any more; ``what`` says why, if that is no matter of course.

        The agent closes the connection. If this side closed it while a beat of the agent is on
        its way, the answer to that beat would be a reset, and the reset can reach the agent
        before it has read that it was dismissed. An agent that does not close is cut off.
        """
        self.send(Dismissed(NO_EPOCH, what, hint))
        loop = asyncio.get_running_loop()
        loop.call_later(within_s, self.abort, "it does not close the connection")
