"""TCP source and TCP sink as values of the plan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.codec.framers import Framer, new_framer
from wallaroo.connectors.base import Promise, identity_of

HEADER_BYTES_MAX = 8


@dataclass(frozen=True, slots=True)
class TCPSource:
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

    @property
    def address(self) -> str:
        """``host:port`` as in the application."""
        return _address(self.host, self.port)

    @property
    def has_lines(self) -> bool:
        """Whether payloads are lines, without length headers."""
        return self.header_length == 0

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"tcp source at {self.address}" + (", lines" if self.has_lines else "")

    def framer(self, payload_bytes_max: int) -> Framer:
        """Return a framer for the stream of one connection."""
        return new_framer(self.header_length, self.payload_length, payload_bytes_max)


@dataclass(frozen=True, slots=True)
class TCPSink:
    """Connects to ``host:port`` and writes exactly what the encoder returned."""

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

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"tcp sink to {self.address}"

    def identity(self) -> str:
        """Return the encoder: a cluster may run on another host the next time."""
        return identity_of(self, leaving_out=frozenset({"host", "port", "name"}))


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
