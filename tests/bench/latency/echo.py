"""What the sockets alone cost: a bare uvloop process that passes bytes on: OUT_HOST OUT_PORT."""

import asyncio
import sys
from typing import Any

import uvloop


class Pass(asyncio.Protocol):
    """Writes to the one what it reads from the other; strips the length and the key."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % 16
        self._rest = data[whole:]
        self._out.write(b"".join([data[at + 4 : at + 12] for at in range(0, whole, 16)]))


async def serve() -> None:
    """Connect, listen, say where."""
    loop = asyncio.get_running_loop()
    out, _ = await loop.create_connection(asyncio.Protocol, sys.argv[1], int(sys.argv[2]))
    server = await loop.create_server(lambda: Pass(out), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
