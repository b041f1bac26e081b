"""A listener that serves each connection in a task of its own, until it is closed."""

import abc
import asyncio

from wallaroo_workers.network.frames import join_address

CONNECTIONS_MAX = 256
"""At one port. Clients send one message and disconnect, so few are needed at a time."""


class StreamServer(abc.ABC):
    """Serves many connections at a time; subclasses implement ``serve``.

    Beyond the limit the oldest connection is closed. So idle clients can neither keep others out
    nor use up all file descriptors of this process.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.address = ""

    @abc.abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; the caller closes it afterwards."""

    async def listen(self, host: str, port: int) -> None:
        """Listen and set ``address``. Raises ``OSError``."""
        self._server = await asyncio.start_server(self._accepted, host, port)
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= CONNECTIONS_MAX:
            first = next(iter(self._tasks))
            del self._tasks[first]
            first.cancel()
        self._tasks[task] = None
        try:
            await self.serve(reader, writer)
            writer.close()
            # A client that does not read its answer still counts against the connection limit.
            await writer.wait_closed()
        except OSError:
            pass  # the client has disconnected
        finally:
            self._tasks.pop(task, None)
            writer.transport.abort()
