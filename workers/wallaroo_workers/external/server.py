"""Listens at the address of ``--external`` and answers each client's messages in their order."""

import asyncio
from collections.abc import Awaitable, Callable

from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.wire.external import (
    LENGTH,
    REQUEST_BYTES_MAX,
    ExternalMessage,
    decode_external,
    encode_external,
)
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address
from wallaroo_workers.network.stream_server import StreamServer
from wallaroo_workers.rate_limited_log import RateLimitedLog

log = get_logger()

Answer = Callable[[ExternalMessage], Awaitable[ExternalMessage | None]]
"""What a message is answered with; ``None`` where it has no answer. May raise ``WallarooError``."""


class ExternalServer(StreamServer):
    """Many clients at once; one that breaks the rules loses its connection."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self._refusals = RateLimitedLog(log.warning, "external.rejected")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it disconnects or breaks the protocol."""
        address = writer.get_extra_info("peername") or ("an unknown peer", 0)
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # a client may disconnect at any time
        except WallarooError as error:
            self._refusals.add(peer=join_address(*address[:2]), reason=error.what)

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
