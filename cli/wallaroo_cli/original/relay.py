"""Passes connections to a worker's own control address on to the initializer.

One that joins may name any worker: it talks to the initializer all the same, and proves the secret
to it, not to the relay.
"""

import asyncio
import contextlib
from collections.abc import Callable

from wallaroo.errors import WallarooError
from wallaroo_workers.network.stream_server import StreamServer

PIECE_BYTES = 1 << 16


class Relay(StreamServer):
    """Listens at one address; every connection goes on to what ``target`` says then."""

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        super().__init__()
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until one side ends."""
        with contextlib.suppress(OSError, WallarooError):
            # The initializer is not there, or not known yet: the client tries again.
            await self._pass_both_ways(reader, writer)

    async def _pass_both_ways(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target())
        ways = [
            asyncio.create_task(_pass_on(reader, far_writer)),
            asyncio.create_task(_pass_on(far_reader, writer)),
        ]
        try:
            # Whichever side ends, the other has nobody to talk to.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
