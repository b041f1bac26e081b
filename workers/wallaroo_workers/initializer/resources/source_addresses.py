"""Reserves the addresses of sources before any worker is started.

Workers share an address by SO_REUSEPORT. Without care, a second run could share it too and get half
of the records. So a run first locks each address. Then it binds the address exclusively, which
fails if another process listens there. Only then it lets the workers share the socket.

If an initializer dies, its workers notice and end, which takes a moment. So an address that is in
use is tried again for a second before this is an error.
"""

import asyncio
import errno
import os
import socket
import sys
from typing import Any

from wallaroo.errors import ClusterError, ConfigError
from wallaroo.topology.plan import Application
from wallaroo_workers.forks import ours
from wallaroo_workers.network.frames import join_address, split_address

AWAITED_S = 1.0
TRIED_EVERY_S = 0.05


class AddressInUseError(ClusterError):
    """Another process has the address, perhaps only for a moment."""


async def source_addresses(
    plan: Application, reserved: list["ReservedAddress"], *, is_here: bool
) -> list[str]:
    """Return the address of each pipeline's source; empty if the source does not listen.

    If workers listen on this host (``is_here``), reserve the addresses and add them to
    ``reserved``.
    """
    addresses: list[str] = []
    for pipeline in plan.pipelines:
        address = pipeline.source.listening_address
        if address and is_here:
            reserved.append(await reserve(address))
            address = reserved[-1].address
        addresses.append(address)
    return addresses


async def reserve(address: str) -> "ReservedAddress":
    """Reserve a source address; if another process has it, wait for up to ``AWAITED_S``."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + AWAITED_S
    while True:
        try:
            return ReservedAddress(address)
        except AddressInUseError:
            if loop.time() >= deadline_s:
                raise
        await asyncio.sleep(TRIED_EVERY_S)


class ReservedAddress:
    """One source address of this run. It is held, without listening, until ``release``."""

    def __init__(self, address: str) -> None:
        host, port = split_address(address)
        try:
            where = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except socket.gaierror as error:
            raise ConfigError(
                f"the host of source address {address} is unknown: {error.strerror}",
                hint="give an address of this machine, such as 127.0.0.1:7010",
            ) from error
        self._lock = _lock(address, f"{where[4][0]}-{port}") if port else None
        self._socket = ours(socket.socket(*where[:3]))
        try:
            self._bind(where[4])
        except OSError as error:
            self.release()
            raise _bind_error(address, error) from error
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.address = join_address(host, self._socket.getsockname()[1])

    def _bind(self, where: Any) -> None:
        try:
            # An exclusive bind detects every socket that is bound to the port, listening or not,
            # even if one of the two is bound to all addresses of the host.
            self._socket.bind(where)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # It also fails for a minute because of an earlier run's connections in TIME_WAIT.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(where)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def release(self) -> None:
        """Release the address for other processes."""
        self._socket.close()
        if self._lock is not None:
            self._lock.close()


def _lock(address: str, resolved: str) -> socket.socket | None:
    """Lock an address against other runs on this host; the lock ends with the process."""
    if sys.platform != "linux":
        # Without the lock, two runs that start at the same moment may both succeed. A run that
        # already listens is still detected by the bind.
        return None
    lock = ours(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        lock.bind(f"\0wallaroo-source-{os.getuid()}-{resolved}")
    except OSError as error:
        lock.close()
        raise _in_use(address, "a run of wallaroo-run") from error
    return lock


def _bind_error(address: str, error: OSError) -> ClusterError:
    if error.errno == errno.EADDRINUSE:
        return _in_use(address, "another program")
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "give an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
    elif error.errno == errno.EACCES:
        hint = "ports below 1024 need privileges; choose a higher one"
    else:
        hint = "check the address given with --in"
    return ClusterError(f"a source cannot listen at {address}: {error.strerror}", hint=hint)


def _in_use(address: str, by_whom: str) -> AddressInUseError:
    return AddressInUseError(
        f"a source cannot listen at {address}: the port is in use by {by_whom}",
        hint="stop what listens there, or choose another port with --in",
    )
