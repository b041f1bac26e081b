"""TCP source and sink, as the plan knows them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HEADER_BYTES_MAX = 8


@dataclass(frozen=True, slots=True)
class TCPSource:
    """Listens at ``host:port`` for frames of a length header and a payload."""

    host: str
    """As a socket takes it: an IPv6 address has no brackets here."""
    port: int
    header_length: int
    """Bytes of the header, 1 to ``HEADER_BYTES_MAX``."""
    payload_length: str | Callable[[bytes], int]
    """Header to payload length: a ``struct`` format of one integer, or a function; in bytes."""
    decode: Callable[[bytes], Any]
    """Payload to record; ``None`` drops the payload."""

    @property
    def address(self) -> str:
        """``host:port`` as the application gave it."""
        return _address(self.host, self.port)

    def describe(self) -> str:
        """One line for the plan."""
        return f"tcp source at {self.address}"


@dataclass(frozen=True, slots=True)
class TCPSink:
    """Connects to ``host:port`` and writes exactly what the encoder returned."""

    host: str
    """As a socket takes it: an IPv6 address has no brackets here."""
    port: int
    encode: Callable[[Any], bytes | str | None]
    """Record to bytes (``str`` becomes UTF-8); ``None`` writes nothing."""

    @property
    def address(self) -> str:
        """``host:port`` as the application gave it."""
        return _address(self.host, self.port)

    def describe(self) -> str:
        """One line for the plan."""
        return f"tcp sink to {self.address}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
