"""A listener whose connections are served by a task each, until it is closed."""

import abc
import asyncio

from wallaroo_workers.network.frames import join_address


class StreamServer(abc.ABC):
    """Any number of connections at once; what one does is for ``serve`` to say."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    @abc.abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which is closed afterwards."""

    async def listen(self, host: str, port: int) -> None:
        """Listen; ``address`` says where. Raises ``OSError``."""
        self._server = await asyncio.start_server(self._accepted, host, port)
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
