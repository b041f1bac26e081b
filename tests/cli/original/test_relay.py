"""The relay: connections to any worker's control address reach the initializer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from wallaroo_cli.original.relay import Relay
from wallaroo_workers.network.frames import split_address

WAIT_S = 10.0


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1000):
        writer.write(piece.upper())
    writer.close()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@contextlib.asynccontextmanager
async def relayed(port: int) -> AsyncIterator[int]:
    relay = Relay(lambda: ("127.0.0.1", port))
    await relay.listen("127.0.0.1", 0)
    try:
        yield split_address(relay.address)[1]
    finally:
        await relay.close()


async def test_bytes_go_both_ways_until_one_side_ends() -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with asyncio.timeout(WAIT_S), relayed(port_of(server)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        writer.write(b"again")
        assert await reader.readexactly(5) == b"AGAIN"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    server.close()


async def test_where_nobody_listens_the_connection_ends() -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    gone = port_of(server)
    server.close()
    await server.wait_closed()
    async with asyncio.timeout(WAIT_S), relayed(gone) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


async def test_the_end_of_the_relay_ends_what_goes_through() -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with asyncio.timeout(WAIT_S):
        async with relayed(port_of(server)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            await reader.readexactly(5)
        assert await reader.read() == b""
        writer.close()
    server.close()
