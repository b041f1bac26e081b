"""What probes are answered, and what a client of this port cannot do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_workers import health_port
from wallaroo_workers.health_port import CONNECTIONS_MAX, HealthPort


class Ready:
    """Whether the application is ready."""

    def __init__(self) -> None:
        self.value = False


@pytest.fixture
async def ready() -> Ready:
    return Ready()


@pytest.fixture
async def port(ready: Ready) -> AsyncIterator[HealthPort]:
    port = HealthPort("127.0.0.1:0", lambda: ready.value)
    await port.open()
    yield port
    port.close()


async def answer(port: HealthPort, request: bytes) -> bytes:
    """Return all that the port answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(request)
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


async def test_a_probe_gets_a_status_and_no_body(port: HealthPort, ready: Ready) -> None:
    asked = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"
    end = b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert await answer(port, asked) == b"HTTP/1.1 503 Service Unavailable" + end
    ready.value = True
    assert await answer(port, asked) == b"HTTP/1.1 200 OK" + end


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"404"),
        (b"POST / HTTP/1.1", b"400"),
        (b"GET /", b"400"),
        (b"\x16\x03\x01 not HTTP", b"400"),
    ],
)
async def test_anything_else_is_refused(
    port: HealthPort, request_line: bytes, status: bytes
) -> None:
    assert (await answer(port, request_line + b"\r\n\r\n")).split(b" ")[1] == status


async def test_a_request_that_is_too_long_is_not_answered(port: HealthPort) -> None:
    assert await answer(port, b"GET / HTTP/1.1\r\n" + b"x" * 20_000) == b""


async def test_a_request_that_does_not_end_is_not_waited_for(
    port: HealthPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_port, "REQUEST_S", 0.05)
    assert await answer(port, b"GET / HTTP/1.1\r\n") == b""


async def test_more_connections_than_the_limit_are_closed(port: HealthPort) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(CONNECTIONS_MAX)]
    assert await answer(port, b"GET / HTTP/1.1\r\n\r\n") == b""
    for _, writer in held:
        writer.close()


async def test_an_address_that_cannot_be_used_is_named(port: HealthPort) -> None:
    with pytest.raises(ConfigError, match="--health"):
        await HealthPort("nowhere", lambda: True).open()
    with pytest.raises(ClusterError, match="cannot listen at"):
        await HealthPort(f"127.0.0.1:{port.port}", lambda: True).open()
