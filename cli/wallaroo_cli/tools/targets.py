"""The sender's connections: opened with retries, closed without a reset."""

import socket
import time

from wallaroo.errors import ClusterError
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.blocks import Block

FIRST_PAUSE_S = 0.02
PAUSE_S_MAX = 0.5
DRAIN_BYTES = 65536


class Target:
    """One connected receiver, and how much the kernel has accepted for it."""

    def __init__(self, address: Address, connection: socket.socket) -> None:
        self.address = address
        self.message_count = 0
        self.byte_count = 0
        self._socket = connection

    def send(self, block: Block) -> None:
        """Send all of ``block``; wait while the receiver does not read."""
        view = memoryview(block.wire())
        handed = 0
        try:
            while handed < len(view):
                handed += self._socket.send(view[handed:])
        except OSError as error:
            raise self._lost(error, block.count_within(handed)) from error
        finally:
            self.byte_count += handed
            self.message_count += len(block) if handed == len(view) else block.count_within(handed)

    def finish(self) -> None:
        """End the stream, and close the connection so that everything on its way still arrives."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._drain()
        except OSError as error:
            raise self._lost(error, 0) from error
        finally:
            self._socket.close()

    def close(self) -> None:
        """Close immediately."""
        self._socket.close()

    def _drain(self) -> None:
        # Closing a socket with unread input makes the kernel reset the connection, and a reset
        # discards what the receiver has not read yet.
        self._socket.setblocking(False)
        try:
            while self._socket.recv(DRAIN_BYTES):
                pass
        except BlockingIOError:
            pass

    def _lost(self, error: OSError, last_count: int) -> ClusterError:
        return ClusterError(
            f"{self.address} closed the connection ({error.strerror}) after "
            f"{self.message_count + last_count:,} messages were handed to its socket",
            hint="find out why the receiver stopped; the last of these messages may not have "
            "reached it",
        )


def connect(address: Address, timeout_s: float) -> Target:
    """Connect to ``address``, trying again for ``timeout_s`` while nobody listens there."""
    deadline_s = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while True:
        left_s = deadline_s - time.monotonic()
        try:
            return Target(address, _connected(address, max(left_s, FIRST_PAUSE_S)))
        except ConnectionError as error:
            if left_s <= 0:
                raise _unreachable(address, error, timeout_s) from error
        except OSError as error:
            raise _unreachable(address, error, timeout_s) from error
        time.sleep(min(pause_s, max(0.0, left_s)))
        pause_s = min(2 * pause_s, PAUSE_S_MAX)


def _connected(address: Address, timeout_s: float) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), timeout_s)
    # On loopback the kernel may choose the port of the receiver as ours, and TCP connects us to
    # ourselves. With many retries this does happen.
    if connection.getsockname() == connection.getpeername():
        connection.close()
        raise ConnectionRefusedError(0, "nobody listens there")
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _unreachable(address: Address, error: OSError, timeout_s: float) -> ClusterError:
    reason = error.strerror or str(error)
    tried = f" within {timeout_s:g} s" if isinstance(error, ConnectionError | TimeoutError) else ""
    return ClusterError(
        f"cannot connect to {address}{tried}: {reason}",
        hint="check --host and that the receiver listens there; --connect-timeout waits longer",
    )
