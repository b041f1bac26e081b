"""Accepts connections, reads all of them, and writes or counts what arrives.

One thread, one selector and one buffer that the kernel fills directly: the receiver runs beside
benchmarks and must not use the processor time of what is measured.
"""

import errno
import fcntl
import selectors
import signal
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_cli.tools.addresses import Address
from wallaroo_cli.tools.display import REFRESH_S, Display
from wallaroo_cli.tools.intake import FrameIntake, Intake, LineIntake, RawIntake
from wallaroo_cli.tools.output import NoOutput, Output, open_output
from wallaroo_cli.tools.totals import Totals, describe_bytes
from wallaroo_workers.open_files import raise_open_files_limit

BUFFER_BYTES = 256 * 1024
FRAME_BYTES_MAX = 16 * 1024 * 1024
BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Everything a run of the receiver needs to know; all mistakes are reported together."""

    address: Address
    is_framed: bool = False
    is_raw: bool = False
    is_written: bool = True
    output_path: str | None = None
    buffer_bytes: int = BUFFER_BYTES
    frame_bytes_max: int = FRAME_BYTES_MAX
    expected_count: int | None = None
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if problems := [*self._problems()]:
            raise ConfigError(
                "\n".join(problems), hint="wallaroo-receiver --help lists all options"
            )

    def _problems(self) -> Iterator[str]:
        if self.is_framed and self.is_raw:
            yield "--framed and --raw cannot be used together"
        if not self.is_written and self.output_path is not None:
            yield "--no-write and --output cannot be used together"
        if self.timeout_s is not None and self.expected_count is None:
            yield "--timeout goes with --expect"

    def intake(self) -> Intake:
        """Return what reads one connection."""
        if self.is_framed:
            return FrameIntake(self.frame_bytes_max)
        return LineIntake() if self.is_written and not self.is_raw else RawIntake()


@dataclass(eq=False, slots=True)
class Connection:
    """One sender."""

    socket: socket.socket
    peer: Address
    intake: Intake


class Receiver:
    """One run: listen, read until asked to stop or until all expected messages have arrived."""

    def __init__(self, config: ReceiverConfig, display: Display) -> None:
        self._config = config
        self._display = display
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(config.buffer_bytes)
        self._connections: set[Connection] = set()
        self._output: Output = NoOutput()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._is_stopped = False
        self._bad_count = self._message_count = self._byte_count = 0
        self._first_s = self._last_s = 0.0
        self.connection_count = 0
        self.is_reader_gone = False
        """Whether stdout is a pipe whose reader has closed it."""

    def stop(self) -> None:
        """Make :meth:`run` write what has arrived and return; safe in a signal handler."""
        self._is_stopped = True
        if self._waker.fileno() >= 0:
            self._waker.send(b"\0")

    def totals(self) -> Totals:
        """Return what was received so far, with the time from the first byte to the last."""
        return Totals(self._message_count, self._byte_count, self._last_s - self._first_s)

    def describe(self) -> str:
        """Return the totals for people."""
        plural = "" if self.connection_count == 1 else "s"
        return (
            f"received {self._message_count:,} messages, {describe_bytes(self._byte_count)} "
            f"over {self.connection_count:,} connection{plural}"
        )

    def check(self) -> None:
        """Raise if the run has failed."""
        expected = self._config.expected_count
        if expected is not None and self._message_count < expected:
            limit_s = self._config.timeout_s
            within = "" if limit_s is None or self._is_stopped else f" within {limit_s:g} s"
            raise ClusterError(
                f"{expected:,} messages were expected, {self._message_count:,} arrived{within}"
            )
        if self._bad_count:
            raise ClusterError(
                f"{self._bad_count} of {self.connection_count} connections sent bad frames",
                hint="does the sender frame its messages? without --framed any bytes are accepted",
            )

    def run(self) -> None:
        """Receive; wait while the output accepts nothing. Call this in the main thread."""
        config = self._config
        with ExitStack() as stack:
            for closable in (self._selector, self._waker, self._woken):
                stack.enter_context(closing(closable))
            # A signal that arrives just before select sleeps would otherwise be seen only when
            # the next bytes arrive, and there may be none.
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(self._waker.fileno()))
            listener = stack.enter_context(closing(_listen(config.address)))
            self._output = open_output(config.output_path, is_written=config.is_written)
            stack.enter_context(closing(self._output))
            self._selector.register(listener, selectors.EVENT_READ)
            self._selector.register(self._woken, selectors.EVENT_READ)
            host, port = listener.getsockname()[:2]
            self._display.line(f"Listening on {Address(host, port)}")
            try:
                self._receive_until_done(listener)
                self._receive_rest(listener)
            except BrokenPipeError:
                self.is_reader_gone = True
            finally:
                for connection in self._connections:
                    connection.socket.close()

    def _receive_until_done(self, listener: socket.socket) -> None:
        limit_s = self._config.timeout_s
        deadline_s = None if limit_s is None else time.monotonic() + limit_s
        while not self._is_done():
            wait_s = None if deadline_s is None else deadline_s - time.monotonic()
            if wait_s is not None and wait_s <= 0:
                return
            if self._display.is_live:
                wait_s = REFRESH_S if wait_s is None else min(REFRESH_S, wait_s)
            for key, _ in self._selector.select(wait_s):
                if key.data is not None:
                    self._read(key.data)
                elif key.fileobj is listener:
                    self._accept(listener)
            if self._display.is_due():
                self._display.show(self.totals())

    def _is_done(self) -> bool:
        expected = self._config.expected_count
        return self._is_stopped or (expected is not None and self._message_count >= expected)

    def _receive_rest(self, listener: socket.socket) -> None:
        """Write what has reached this machine so far, but do not wait for more."""
        while self._accept(listener):
            pass
        for connection in [*self._connections]:
            waiting = _waiting_byte_count(connection.socket)
            while waiting > 0 and (byte_count := self._read(connection)):
                waiting -= byte_count
            self._end(connection)

    def _accept(self, listener: socket.socket) -> bool:
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            raise ClusterError(
                f"cannot take more than {len(self._connections):,} connections: {error.strerror}",
                hint="raise the limit of open files with ulimit -n",
            ) from error
        accepted.setblocking(False)
        connection = Connection(accepted, Address(*address[:2]), self._config.intake())
        self.connection_count += 1
        self._connections.add(connection)
        self._selector.register(accepted, selectors.EVENT_READ, connection)
        return True

    def _read(self, connection: Connection) -> int:
        """Read once and return the number of bytes; 0 if the connection has nothing more."""
        try:
            byte_count = connection.socket.recv_into(self._buffer)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._display.line(f"error: connection from {connection.peer}: {error.strerror}")
            byte_count = 0
        if not byte_count:
            self._end(connection)
            return 0
        self._last_s = time.monotonic()
        self._first_s = self._first_s or self._last_s
        message_count, pieces = connection.intake.receive(self._buffer, byte_count)
        self._byte_count += byte_count
        self._message_count += message_count
        self._output.write(pieces)
        if problem := connection.intake.problem():
            self._bad_count += 1
            self._display.line(f"error: connection from {connection.peer} closed: {problem}")
            self._forget(connection)
            return 0
        return byte_count

    def _end(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._forget(connection)
        self._output.write(connection.intake.receive_eof())
        if loss := connection.intake.loss():
            self._display.line(f"warning: connection from {connection.peer} {loss}")

    def _forget(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _listen(address: Address) -> socket.socket:
    raise_open_files_limit()
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        in_use = "another program listens there: stop it, or choose another port with --listen"
        other = "choose an address of this machine with --listen, for example 127.0.0.1:7002"
        raise ClusterError(
            f"cannot listen on {address}: {error.strerror}",
            hint=in_use if error.errno == errno.EADDRINUSE else other,
        ) from error
    listener.setblocking(False)
    return listener


def _waiting_byte_count(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, "little")
