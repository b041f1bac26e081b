"""Passes connections to a worker's own control address on to the initializer.

One that joins may name any worker: it talks to the initializer all the same, and proves the secret
to it, not to the relay.
"""

import asyncio
import contextlib
from collections.abc import Callable

from wallaroo.errors import WallarooError
from wallaroo_workers.network.frames import join_address

PIECE_BYTES = 1 << 16


class Relay:
    """Listens at one address; every connection goes on to what ``target`` says then."""

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    async def listen(self, host: str, port: int) -> None:
        """Listen; ``address`` says where. Raises ``OSError``."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more and end what goes through."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_both_ways(reader, writer)
        except (OSError, WallarooError):
            pass  # the initializer is not there, or not known yet; whoever dialed tries again
        finally:
            self._tasks.discard(task)
            writer.close()

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
