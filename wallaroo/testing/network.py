"""Simulated connections between processes: bytes in order, with delays, until they break."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import ProtocolError
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.dial_pauses import DialPauses
from wallaroo.links.incoming import IncomingLink
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.runtime.waiting import Flag
from wallaroo.testing import waiting as virtual
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Loop, Process
from wallaroo.wire.control import ControlFrame, decode_control_frame, encode_control_frame
from wallaroo.wire.data_frames import FRAME_BYTES_MAX, LinkHello, encode_data_frame

DELAY_S = 0.002
SLOWEST = 1.5
"""Power of ten by which a connection may be slower than the usual delay."""
LATE_S = 1.0
LATE_PROBABILITY = 0.04
BREAK_PROBABILITY = 0.004
HEADER_BYTES = 4


class Handler(Protocol):
    """The owner of an endpoint."""

    def received(self, endpoint: "Endpoint", frame: bytes) -> None:
        """Handle a frame. Raises ``ProtocolError`` to end the connection."""
        ...

    def lost(self, endpoint: "Endpoint") -> None:
        """The connection has ended."""
        ...


class Endpoint:
    """One end of a connection; what is written to it arrives at its ``peer``, in order."""

    def __init__(self, process: Process, chaos: Chaos, handler: Handler) -> None:
        self._process = process
        self._chaos = chaos
        self._handler = handler
        self._random = process.loop.random
        self._framer = LengthFramer(HEADER_BYTES, ">I", FRAME_BYTES_MAX)
        self._delay_s = DELAY_S * 10 ** self._random.uniform(-0.5, SLOWEST)
        self._under_way: deque[bytes] = deque()
        """Data that the peer has written and that has not arrived yet."""
        self._last_arrival_s = 0.0
        self._is_open = True
        self.peer: Endpoint
        process.on_end.append(self._process_ended)

    def write(self, data: bytes) -> None:
        """Send encoded frames; does nothing if the connection has ended."""
        if not self._is_open:
            return
        if self._chaos.take("broken_links", BREAK_PROBABILITY):
            self._process.loop.tell(self._process.name, f"link to {self.peer._process.name} breaks")
            self.peer._under_way.append(data)
            self.peer.break_off()
            self.break_off()
            return
        self.peer._arrives(data)

    def abort(self, reason: str) -> None:
        """Break the connection."""
        if self._is_open:
            self._under_way.clear()
            self.break_off()
            self.peer.break_off()

    def _arrives(self, data: bytes) -> None:
        self._under_way.append(data)
        self._in_order(self._receive_next)

    def _in_order(self, run: Callable[[], None]) -> None:
        loop = self._process.loop
        is_late = self._chaos.happens("late_batches", LATE_PROBABILITY)
        arrival_s = loop.now_s + self._random.random() * (LATE_S if is_late else self._delay_s)
        self._last_arrival_s = max(self._last_arrival_s, arrival_s)
        self._process.call_later(self._last_arrival_s - loop.now_s, run)

    def _receive_next(self) -> None:
        if self._is_open and self._under_way:
            self._receive(self._under_way.popleft())

    def _receive(self, data: bytes) -> None:
        try:
            for frame in self._framer.receive_data(data):
                self._handler.received(self, frame)
        except ProtocolError as error:
            self.abort(error.what)

    def break_off(self) -> None:
        """End the connection after some of the data that is under way."""
        if not self._is_open:
            return
        data = b"".join(self._under_way)
        self._under_way.clear()
        arrived = data[: self._random.randint(0, len(data))]

        def lose() -> None:
            if arrived:
                self._receive(arrived)
            self._handler.lost(self)

        self._is_open = False
        self._in_order(lose)

    def _process_ended(self) -> None:
        if self._is_open:
            self._is_open = False
            self.peer.break_off()


class Network:
    """The workers that listen, by address."""

    def __init__(self, loop: Loop, chaos: Chaos) -> None:
        self.loop = loop
        self._chaos = chaos
        self._listening: dict[str, tuple[Process, Mesh]] = {}
        self._count = 0

    def listen(self, process: Process, mesh: Mesh) -> str:
        """Let a mesh accept connections; return its address."""
        self._count += 1
        address = f"{process.name}:{self._count}"
        self._listening[address] = (process, mesh)
        return address

    def connect(self, process: Process, address: str, handler: Handler) -> Endpoint:
        """Return the near end of a connection; raises ``OSError`` if nobody listens."""
        there, mesh = self._listening.get(address, (process, None))
        if mesh is None or not there.is_alive:
            raise OSError(f"nobody listens at {address}")
        near = Endpoint(process, self._chaos, handler)
        far = Endpoint(there, self._chaos, _IncomingHandler(mesh))
        near.peer, far.peer = far, near
        return near


class _IncomingHandler:
    """The far end of one connection; its first frame says which link it is of."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._link: IncomingLink | None = None

    def received(self, endpoint: Endpoint, frame: bytes) -> None:
        """Pass a frame to the links."""
        self._link = self._mesh.incoming.received(self._link, endpoint, frame)

    def lost(self, endpoint: Endpoint) -> None:
        """The connection has ended."""
        if self._link is not None:
            self._link.detach(endpoint)


class SimulatedLink(OutgoingLink):
    """A link over the simulated network."""

    def __init__(
        self,
        process: Process,
        network: Network,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
    ) -> None:
        new_flag: Callable[[], Flag] = virtual.Flag
        super().__init__(hello, address, pressure, new_flag, on_progress)
        self._process = process
        self._network = network

    async def run(self) -> None:
        """Keep the link connected until cancelled."""
        # Connecting takes a random time anyway.
        pauses = DialPauses(1, lambda: 1.0)
        await self.keep_connected(self._dial, self._process.pause, pauses)

    async def _dial(self) -> None:
        hello = self.hello
        await self._process.pause(self._process.loop.random.random() * DELAY_S)
        handler = _OutgoingHandler(self, hello)
        connection = self._network.connect(self._process, self.address, handler)
        connection.write(encode_data_frame(hello))


class _OutgoingHandler:
    """The near end of one connection of a link."""

    def __init__(self, link: SimulatedLink, hello: LinkHello) -> None:
        self._link = link
        self._hello = hello

    def received(self, endpoint: Endpoint, frame: bytes) -> None:
        """Pass a frame to the link."""
        self._link.received(endpoint, self._hello, frame)

    def lost(self, endpoint: Endpoint) -> None:
        """Report the end to the link, which dials again."""
        self._link.disconnected()


class ControlLink:
    """The two directions between the initializer and one worker process."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._last_arrivals_s: dict[Process, float] = {}

    def send(
        self, to: Process, frame: ControlFrame, receive: Callable[[ControlFrame], None]
    ) -> None:
        """Deliver a frame to a process, after everything that was sent there before."""
        data = encode_control_frame(frame)
        self.in_order(to, lambda: receive(decode_control_frame(data[HEADER_BYTES:])))

    def in_order(self, to: Process, run: Callable[[], None]) -> None:
        """Call ``run`` at a process, after everything that was sent there before."""
        loop = to.loop
        is_late = self._chaos.happens("late_messages", LATE_PROBABILITY)
        delay_s = loop.random.random() * (LATE_S if is_late else DELAY_S)
        arrival_s = max(self._last_arrivals_s.get(to, 0.0), loop.now_s + delay_s)
        self._last_arrivals_s[to] = arrival_s
        to.call_later(arrival_s - loop.now_s, run)
