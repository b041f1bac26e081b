"""TCP source and TCP sink as values of the plan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.connectors.base import Assignment, Promise, Source, identity_of
from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.timing.spec import SourceTime

HEADER_BYTES_MAX = 8


@dataclass(frozen=True, slots=True)
class TCPSource(Source):
    """Listens at ``host:port`` for frames of a length header and a payload, or for lines."""

    host: str
    """In the form for a socket: an IPv6 address without brackets."""
    port: int
    header_length: int
    """Bytes of the header, 1 to ``HEADER_BYTES_MAX``; 0 if payloads are lines."""
    payload_length: str | Callable[[bytes], int]
    """Header to payload length in bytes: a ``struct`` format of one integer, or a function.

    Empty if payloads are lines.
    """
    decode: Callable[[bytes], Any]
    """Converts a payload to a record; ``None`` drops the payload."""
    listens: bool = True
    """Whether any worker listens there; if not, no record ever comes."""
    payload_bytes_max: int | None = None
    """A connection with a longer payload is closed; ``None``: the limit of the run."""
    time: SourceTime | None = None
    """Where the times of its records are from; ``None``: when they were read."""

    @property
    def address(self) -> str:
        """``host:port`` as in the application."""
        return _address(self.host, self.port)

    assignment = Assignment.EVERY_WORKER
    runner = "wallaroo_workers.sources.tcp:new_runner"

    @property
    def keeps_journal(self) -> bool:
        """Whether there is anything to write down."""
        return self.listens

    @property
    def listening_address(self) -> str:
        """The same address, if it listens."""
        return self.address if self.listens else ""

    @property
    def decoder(self) -> Callable[[bytes], Any]:
        """Converts a payload to a record."""
        return self.decode

    @property
    def frames(self) -> PayloadFrames:
        """How payloads lie in the stream of one connection."""
        return PayloadFrames(self.header_length, self.payload_length)

    def journalled(self, frames: bytes) -> list[bytes]:
        """Return the payloads of these frames."""
        return self.frames.cut(frames)

    def describe(self) -> str:
        """Return one line for the plan."""
        details = [", lines"] if self.frames.are_lines else []
        details += [] if self.listens else [", not listening"]
        return f"tcp source at {self.address}{''.join(details)}"

    def identity(self) -> str:
        """Return all settings but where and whether it listens: that may change with the run.

        The plan has the time.
        """
        leaving_out = frozenset({"host", "port", "listens", "payload_bytes_max", "time"})
        return identity_of(self, leaving_out=leaving_out)


@dataclass(frozen=True, slots=True)
class TCPSink:
    """Connects to ``host:port`` and writes exactly what the encoder returned."""

    kind: ClassVar[str] = "TCPSink"
    runner: ClassVar[str] = "wallaroo_workers.sinks.tcp:new_runner"
    promise: ClassVar[Promise] = Promise.AT_LEAST_ONCE
    takes_bytes: ClassVar[bool] = True
    path: ClassVar[None] = None

    host: str
    """In the form for a socket: an IPv6 address without brackets."""
    port: int
    encode: Callable[[Any], bytes | str | None]
    """Converts a record to bytes (``str`` becomes UTF-8); ``None`` writes nothing."""
    name: str | None = None

    @property
    def address(self) -> str:
        """``host:port`` as in the application."""
        return _address(self.host, self.port)

    @property
    def label(self) -> str:
        """Kind and address."""
        return self.describe()

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"tcp sink to {self.address}"

    def identity(self) -> str:
        """Return the encoder: a cluster may run on another host the next time."""
        return identity_of(self, leaving_out=frozenset({"host", "port", "name"}))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
