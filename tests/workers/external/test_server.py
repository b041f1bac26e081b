"""The external channel's listener: clients by the rules and against them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from wallaroo.errors import ClusterError
from wallaroo.wire.external import (
    ExternalId,
    ExternalMessage,
    decode_external,
    encode_external,
)
from wallaroo_workers.external.server import ExternalServer
from wallaroo_workers.network import stream_server
from wallaroo_workers.network.frames import split_address

WAIT_S = 10.0


class Echo:
    """Answers a partition query with itself; keeps everything else."""

    def __init__(self) -> None:
        self.heard: list[ExternalMessage] = []
        self.received: asyncio.Queue[ExternalMessage] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, message: ExternalMessage) -> ExternalMessage | None:
        self.heard.append(message)
        self.received.put_nowait(message)
        if message.id is ExternalId.SHRINK_REQUEST:
            raise ClusterError("not now")
        if message.id is not ExternalId.PARTITION_QUERY:
            return None
        await self.may_answer.wait()
        return ExternalMessage(ExternalId.PARTITION_QUERY_RESPONSE, message.text)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, kind: ExternalId, text: str = "") -> None:
        self.writer.write(encode_external(ExternalMessage(kind, text)))

    async def hear(self) -> ExternalMessage:
        async with asyncio.timeout(WAIT_S):
            length = int.from_bytes(await self.reader.readexactly(4), "big")
            return decode_external(await self.reader.readexactly(length))

    async def is_closed_by_server(self) -> bool:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read() == b""


@contextlib.asynccontextmanager
async def listening(echo: Echo) -> AsyncIterator[ExternalServer]:
    server = ExternalServer(echo.answer)
    await server.listen("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def client_of(server: ExternalServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*split_address(server.address))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def test_messages_are_answered_in_order() -> None:
    echo = Echo()
    async with listening(echo) as server, client_of(server) as client:
        client.say(ExternalId.PRINT, "hello")
        client.say(ExternalId.PARTITION_QUERY, "one")
        client.say(ExternalId.PARTITION_QUERY, "two")
        assert (await client.hear()).text == "one"
        assert (await client.hear()).text == "two"
    assert [message.text for message in echo.heard] == ["hello", "one", "two"]


async def test_a_length_of_zero_is_passed_over() -> None:
    async with listening(Echo()) as server, client_of(server) as client:
        client.writer.write(bytes(8))
        client.say(ExternalId.PARTITION_QUERY, "here")
        assert (await client.hear()).text == "here"


async def test_a_client_that_waits_holds_up_nobody() -> None:
    echo = Echo()
    echo.may_answer.clear()
    async with listening(echo) as server, client_of(server) as slow, client_of(server) as quick:
        slow.say(ExternalId.PARTITION_QUERY, "slow")
        await asyncio.wait_for(echo.received.get(), WAIT_S)
        quick.say(ExternalId.PRINT, "quick")
        await asyncio.wait_for(echo.received.get(), WAIT_S)
        echo.may_answer.set()
        assert (await slow.hear()).text == "slow"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7f\xff\xff\xff", "2147483647 bytes is announced"),
        (b"\x00\x00\x00\x01\x00", "at least 2 bytes"),
        (b"\x00\x00\x00\x02\x00\x63", "no message with the id 99"),
        (b"\x00\x00\x00\x03\x00\x01\xff", "not UTF-8"),
    ],
)
async def test_a_client_that_breaks_the_rules_is_disconnected_and_named(
    data: bytes, reason: str
) -> None:
    with capture_logs() as lines:
        async with listening(Echo()) as server, client_of(server) as client:
            client.writer.write(data)
            assert await client.is_closed_by_server()
    (line,) = lines
    assert line["event"] == "external.rejected"
    assert reason in line["reason"]
    assert line["peer"].startswith("127.0.0.1:")


async def test_what_cannot_be_answered_ends_the_connection_with_the_reason() -> None:
    with capture_logs() as lines:
        async with listening(Echo()) as server, client_of(server) as client:
            client.say(ExternalId.SHRINK_REQUEST)
            assert await client.is_closed_by_server()
    assert [line["reason"] for line in lines] == ["not now"]


async def test_clients_may_close_in_the_middle_of_a_message() -> None:
    with capture_logs() as lines:
        async with listening(Echo()) as server:
            async with client_of(server) as client:
                client.writer.write(b"\x00\x00\x00\x09\x00")
            async with client_of(server) as client:
                client.say(ExternalId.PARTITION_QUERY, "on")
                assert (await client.hear()).text == "on"
    assert lines == []


async def test_the_end_of_the_server_closes_all_connections() -> None:
    server = ExternalServer(Echo().answer)
    await server.listen("127.0.0.1", 0)
    async with client_of(server) as client:
        client.say(ExternalId.PARTITION_QUERY)
        await client.hear()
        await server.close()
        assert await client.is_closed_by_server()


async def test_a_crowd_that_says_nothing_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_server, "CONNECTIONS_MAX", 3)
    async with listening(Echo()) as server, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(client_of(server)) for _ in range(5)]
        crowd[-1].say(ExternalId.PARTITION_QUERY, "still")
        assert (await crowd[-1].hear()).text == "still"
        assert await crowd[0].is_closed_by_server()
        assert await crowd[1].is_closed_by_server()
        crowd[2].say(ExternalId.PARTITION_QUERY, "too")
        assert (await crowd[2].hear()).text == "too"


async def test_those_who_break_the_rules_fill_no_log() -> None:
    async with listening(Echo()) as server:
        with capture_logs() as lines:
            for _ in range(20):
                async with client_of(server) as client:
                    client.writer.write(b"\x00\x00\x00\x02\xff\xff")
                    assert await client.is_closed_by_server()
        assert 0 < len(lines) < 20
        assert {line["event"] for line in lines} <= {"external.rejected", "external.rejected_more"}
