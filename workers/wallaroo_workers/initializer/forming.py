"""The work of an initializer before the cluster exists: listen, and wait for workers and stores."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from wallaroo.errors import ClusterError, ConfigError, ProtocolError
from wallaroo_workers.initializer.control.server import ControlServer
from wallaroo_workers.network.frames import split_address


async def is_formed(
    work: Coroutine[Any, Any, None], ended: asyncio.Future[Any], stopped: asyncio.Event
) -> bool:
    """Do the ``work`` of forming a cluster; return ``False`` if it was ``stopped`` before the end.

    The work is also cancelled if the run has ``ended`` meanwhile
    for a reason of its own.
    """
    forming = asyncio.create_task(work)
    stopping = asyncio.create_task(stopped.wait())
    waiting: list[asyncio.Future[Any]] = [forming, ended, stopping]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        forming.cancel()
    await asyncio.wait([forming])
    if ended.done():
        return True
    if forming.cancelled():
        return False
    forming.result()
    return True


async def listen(control: ControlServer, address: str) -> None:
    """Listen for workers and clients. Raises ``ConfigError`` and ``ClusterError``."""
    try:
        host, port = split_address(address)
    except ProtocolError as error:
        raise ConfigError(
            f"--control: {error.what}", hint="leave it out, or give 127.0.0.1:0"
        ) from error
    try:
        await control.listen(host, port)
    except OSError as error:
        raise ClusterError(
            f"the control channel cannot listen at {address}: {error.strerror}",
            hint="choose another address with --control, or leave it out",
        ) from error
