"""One agent, seen from the initializer: its connection, and the worker process that it runs."""

import asyncio
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
    StartProcess,
    Withdraw,
)
from wallaroo.wire.control import ControlFrame, encode_control_frame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.initializer.placement.local import ProcessEvents
from wallaroo_workers.network.frames import FrameConnection


class Owner(Protocol):
    """Handles what agents report."""

    def heartbeat(self, agent: "Agent") -> None:
        """Note that an agent is alive."""
        ...

    def prepared(self, agent: "Agent", frame: Prepared) -> None:
        """Note that a worker can be started on the agent's host."""
        ...

    def withdrawn(self, agent: "Agent") -> None:
        """Handle an agent's request to release its host."""
        ...

    def lost(self, agent: "Agent", reason: str) -> None:
        """Handle the end of an agent's connection."""
        ...


class AgentProcess:
    """A worker process that an agent was ordered to start."""

    def __init__(self, worker: WorkerName, incarnation: Epoch, events: ProcessEvents) -> None:
        self.worker = worker
        self.incarnation = incarnation
        self.events = events
        self.pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The process id; 0 if the process never ran."""
        self.ended = asyncio.Event()


class Agent:
    """One agent and its connection."""

    def __init__(self, owner: Owner, connection: FrameConnection, offer: Offer) -> None:
        self._owner = owner
        self._connection = connection
        self.instance = offer.instance
        self.label = offer.name or offer.host
        """The only name that it accepts, or its host; for the log."""
        self.host = offer.host
        self.peer = connection.peer
        self.process: AgentProcess | None = None
        self.disconnected = asyncio.Event()
        """Set once the connection has ended."""

    def send(self, frame: ControlFrame) -> None:
        """Send a frame; do nothing if the connection has ended."""
        self._connection.write(encode_control_frame(frame))

    def received(self, frame: ControlFrame) -> None:
        """Handle a frame of the agent."""
        match frame:
            case Beat():
                pass
            case Prepared():
                self._owner.prepared(self, frame)
            case ProcessStarted(epoch, pid):
                if self.process is not None and self.process.incarnation == epoch:
                    self.process.pid.set_result(pid)
            case ProcessEnded(epoch, reason, has_hung):
                self.process_ended(epoch, reason, has_hung=has_hung)
            case Withdraw():
                self._owner.withdrawn(self)
            case _:
                raise ProtocolError(f"{type(frame).__name__} is not for an agent to say")
        self._owner.heartbeat(self)

    def start_process(
        self, worker: WorkerName, incarnation: Epoch, events: ProcessEvents
    ) -> AgentProcess:
        """Order the agent to start this worker."""
        self.process = AgentProcess(worker, incarnation, events)
        self.send(StartProcess(incarnation, worker))
        return self.process

    def process_ended(self, incarnation: Epoch, reason: str, *, has_hung: bool = False) -> None:
        """Report the end of the worker's process, once."""
        process = self.process
        if process is None or process.incarnation != incarnation or process.ended.is_set():
            return
        if not process.pid.done():
            process.pid.set_result(0)
        process.ended.set()
        process.events.worker_lost(process.worker, incarnation, reason, has_hung=has_hung)

    def lost(self, reason: str) -> None:
        """Report the end of the connection; the agent ends its worker as well then."""
        self.disconnected.set()
        self._owner.lost(self, reason)

    def abort(self, reason: str) -> None:
        """Break the connection."""
        self._connection.abort(reason)

    def dismiss(
        self, within_s: float, what: str = "", hint: str = "", *, again: bool = False
    ) -> None:
        """Dismiss the agent: it is not needed; ``what`` is the reason if it is not a normal end.

        With ``again``, it may connect again when the run is started again.

        The agent closes the connection. If this side closed it while a heartbeat of the agent is
        on its way, the answer to the heartbeat would be a reset, and the reset can reach the agent
        before it has read that it was dismissed. If the agent does not close the connection in
        time, this side does.
        """
        self.send(Dismissed(NO_EPOCH, what, hint, again))
        loop = asyncio.get_running_loop()
        loop.call_later(within_s, self.abort, "it does not close the connection")
