"""Listens at the address of ``--external`` and answers each client's messages in their order."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.wire.external import (
    LENGTH,
    REQUEST_BYTES_MAX,
    ExternalMessage,
    decode_external,
    encode_external,
)
from wallaroo_workers.network.frames import join_address

log = structlog.get_logger()

Answer = Callable[[ExternalMessage], Awaitable[ExternalMessage | None]]
"""What a message is answered with; ``None`` where it has no answer. May raise ``WallarooError``."""


class ExternalServer:
    """Any number of clients at once; one that breaks the rules loses its connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.address = ""

    async def listen(self, host: str, port: int) -> None:
        """Listen; ``address`` says where. Raises ``OSError``."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.address = join_address(host, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        address = writer.get_extra_info("peername") or ("a stranger", 0)
        peer = join_address(*address[:2])
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # a client may hang up whenever it likes
        except WallarooError as error:
            log.warning("external.refused", peer=peer, reason=error.what)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            if length == 0:
                continue
            if length > REQUEST_BYTES_MAX:
                raise ProtocolError(
                    f"a message of {length} bytes is announced; {REQUEST_BYTES_MAX} are allowed"
                )
            message = decode_external(await reader.readexactly(length))
            answer = await self._answer(message)
            if answer is not None:
                writer.write(encode_external(answer))
                await writer.drain()
