"""A listener whose connections are served by a task each, until it is closed."""

import abc
import asyncio

from wallaroo_workers.network.frames import join_address

CONNECTIONS_MAX = 256
"""At one port. Whoever connects says what it has to say and goes."""


class StreamServer(abc.ABC):
    """Many connections at once; what one does is for ``serve`` to say.

    Beyond the limit the one that was there first has to go: then a crowd that says nothing
    neither keeps others out nor takes all files that this process may open.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
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
        if len(self._tasks) >= CONNECTIONS_MAX:
            first = next(iter(self._tasks))
            del self._tasks[first]
            first.cancel()
        self._tasks[task] = None
        try:
            await self.serve(reader, writer)
            writer.close()
            # Who does not read what was written is still one of those that there are.
            await writer.wait_closed()
        except OSError:
            pass  # it is gone
        finally:
            self._tasks.pop(task, None)
            writer.transport.abort()
