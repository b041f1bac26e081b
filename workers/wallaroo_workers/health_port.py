"""Answers probes of a supervisor (``--health``).

The initializer says whether the application accepts records, an agent whether the cluster has its
host.

Probes can present neither a secret nor a certificate, so this is the one port without them. Its
answer is a status without a body: 200 or 503. A request is bounded in size and time, and only few
are read at a time; others are closed.
"""

import asyncio
import contextlib
from collections.abc import Callable

from wallaroo.errors import ClusterError, ConfigError, ProtocolError
from wallaroo_workers.network.frames import split_address

REQUEST_BYTES_MAX = 4096
REQUEST_S = 2.0
CONNECTIONS_MAX = 16
ANSWER = "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class HealthPort:
    """The port that probes ask."""

    def __init__(self, address: str, is_ready: Callable[[], bool]) -> None:
        """Listen at no port if ``address`` is empty."""
        self._address = address
        self._is_ready = is_ready
        self._server: asyncio.Server | None = None
        self._count = 0

    async def open(self) -> None:
        """Listen. Raises ``ConfigError`` and ``ClusterError``."""
        if not self._address:
            return
        try:
            host, port = split_address(self._address)
        except ProtocolError as error:
            raise ConfigError(f"--health: {error.what}", hint="give it as 0.0.0.0:8080") from error
        try:
            self._server = await asyncio.start_server(
                self._answer, host, port, limit=REQUEST_BYTES_MAX
            )
        except OSError as error:
            raise ClusterError(
                f"--health: cannot listen at {self._address}: {error.strerror}",
                hint="choose another address",
            ) from error

    @property
    def port(self) -> int:
        """The port; the system may have chosen it."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        try:
            if self._count <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(ANSWER.format(self._status(request)).encode())
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # nothing that this port reads is worth a log line
        finally:
            self._count -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _status(self, request: bytes) -> str:
        match request.split(b"\r\n", 1)[0].split(b" "):
            case [b"GET" | b"HEAD", b"/", version] if version.startswith(b"HTTP/1."):
                return "200 OK" if self._is_ready() else "503 Service Unavailable"
            case [b"GET" | b"HEAD", _, version] if version.startswith(b"HTTP/1."):
                return "404 Not Found"
            case _:
                return "400 Bad Request"
