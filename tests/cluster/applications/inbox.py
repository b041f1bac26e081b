"""Counts the messages that a broker pushes, and how often each of them arrived.

Arguments: the port of the broker, and whether the source runs ``everywhere`` or ``once``. The
broker sends lines and wants each of them back as its acknowledgement.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import wallaroo
from shared_codecs import encode_bytes


class Inbox(wallaroo.PushedSource[bytes]):
    def __init__(self, port: int, runs: str) -> None:
        self.port = port
        self.runs = runs  # type: ignore[misc]  # a test chooses
        self.reader: Any = None
        self.writer: Any = None

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def receive(self) -> AsyncIterator[wallaroo.Delivery[bytes]]:
        while line := await self.reader.readline():
            if line == b"end\n":
                return
            yield wallaroo.Delivery(line.rstrip(b"\n"), tag=line)
        raise ConnectionError("the broker is gone")

    async def ack(self, tags: Sequence[Any]) -> None:
        self.writer.write(b"".join(tags))
        await self.writer.drain()

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def identity(self) -> str:
        return "the inbox"


@wallaroo.partition
def by_content(message: bytes) -> bytes:
    return message


@wallaroo.state_computation("count")
def count(message: bytes, seen: list[bytes]) -> tuple[bytes, bool]:
    seen.append(message)
    return b"%s %d" % (message, len(seen)), True


def application_setup(args: list[str]) -> wallaroo.Application:
    port, runs = args[1:3]
    return (
        wallaroo.ApplicationBuilder("inbox")
        .new_pipeline("inbox", Inbox(int(port), runs))
        .to_state_partition(count, list, "seen", by_content)
        .to_sink(wallaroo.FileSinkConfig("out", encode_bytes))
        .build()
    )
