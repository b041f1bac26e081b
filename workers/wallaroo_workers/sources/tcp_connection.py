"""One sender's connection: split what arrives into payloads, journal it, pass it to the engine."""

import array
import asyncio
import contextlib
import fcntl
import os
import socket
import termios
import time
from collections.abc import Callable
from typing import Protocol, cast

from wallaroo.checkpoint.journaling import Journal
from wallaroo.codec.first_bytes import LOOKED_AT_BYTES, likely_cause
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.connection_reader import Reading
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address
from wallaroo_workers.rate_limited_log import RateLimitedLog
from wallaroo_workers.sources.frame_limits import IntakeLimits

log = get_logger()


class Listener(Protocol):
    """What a connection needs from the listener that accepted it."""

    source: TCPSource
    pipeline: int
    engine: Engine
    intake: ReadBudget
    journal: Journal | None
    """What is read is written here before it is processed; ``None`` without checkpoints."""
    limits: IntakeLimits
    refusals: RateLimitedLog
    cut_off: RateLimitedLog
    address: str
    received_bytes: int
    """Bytes from all connections, including closed ones."""
    drain_bytes: float
    """How much a connection may still deliver while the source drains."""

    def opened(self, connection: "SourceConnection") -> None:
        """Add an established connection."""
        ...

    def finished(self, connection: "SourceConnection") -> None:
        """Remove a closed connection whose payloads have all been taken."""
        ...


class SourceConnection(asyncio.Protocol):
    """Reads one piece from a sender, waits until the engine has taken it, then reads the next."""

    def __init__(self, listener: Listener, partial_frame: bytes | None = None) -> None:
        """``partial_frame`` is the part that another worker has read; ``None`` if it is new."""
        self._listener = listener
        self._intake = listener.intake
        self._framer = listener.source.frames.framer(listener.limits.frame_bytes_max)
        whole = self._framer.receive_data(partial_frame or b"")
        assert not whole, "complete frames are processed by the worker that read them"
        self._reading = Reading(
            self, listener.pipeline, self._framer, listener.engine, self._intake, listener.journal
        )
        self._transport: asyncio.Transport
        self._is_open = False
        self._is_given_up = False
        self._peer = ""
        self._first_bytes = b""
        """The first bytes of the stream, if it started at this worker."""
        self._is_new = partial_frame is None
        self.byte_count = 0
        self._byte_count_last = listener.drain_bytes
        """The byte count at which a drain ends at the latest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the listener and the read budget."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = join_address(*peer[:2]) if peer else "a sender that has disconnected"
        self._is_open = True
        self._listener.opened(self)
        self._intake.add(self)
        self._listener.limits.partial_frames.update(self, self._framer.buffered_bytes)
        log.debug("source.connected", address=self._listener.address, peer=self._peer)

    def data_received(self, data: bytes) -> None:
        """Split the data into payloads; nothing more is read until they are processed."""
        if self._is_new and not self.byte_count:
            self._first_bytes = data[:LOOKED_AT_BYTES]
        self.byte_count += len(data)
        self._listener.received_bytes += len(data)
        self._reading.arrived(time.time_ns())
        has_payloads = self._reading.receive_data(data)
        self._listener.limits.partial_frames.update(self, self._framer.buffered_bytes)
        if self._framer.error is not None:
            self.give_up(self._framer.error.what)
        if not has_payloads and self.byte_count >= self._byte_count_last:
            self.close()

    def eof_received(self) -> None:
        """Accept a last line that has no line end; the transport closes itself."""
        self._reading.arrived(time.time_ns())
        self._reading.receive_eof()
        if self._framer.error is not None:
            self.give_up(self._framer.error.what)

    def give_up(self, reason: str) -> None:
        """Close the connection and drop its incomplete frame."""
        self._is_given_up = True
        self._listener.refusals.add(
            address=self._listener.address,
            peer=self._peer,
            reason=reason,
            hint=self._likely_cause() or "check what this sender sends",
            next="the connection is closed; complete frames before it are processed",
        )
        self._transport.abort()

    def _likely_cause(self) -> str:
        if self._framer.rest_offset:
            return ""  # earlier frames were valid
        return likely_cause(self._first_bytes, expects_lines=self._listener.source.frames.are_lines)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister; the engine still takes payloads that wait."""
        self._is_open = False
        self._intake.remove(self)
        self._listener.limits.partial_frames.update(self, 0)
        cut_off = self._framer.buffered_bytes
        if cut_off and not self._is_given_up:
            self._listener.cut_off.add(
                address=self._listener.address,
                peer=self._peer,
                byte_count=cut_off,
                hint=self._likely_cause() or "the connection ended within a frame or a line",
            )
        if not self._reading.has_records:
            self._end()

    def rewind(self) -> None:
        """Drop payloads that are in the journal."""
        self._reading.rewind()

    # Called by the reading

    def batch_consumed(self) -> None:
        """Continue to read, or close."""
        if not self._is_open:
            self._end()
        elif self.byte_count >= self._byte_count_last:
            self.close()
        else:
            self.resume()

    def _end(self) -> None:
        self._reading.end()
        self._listener.finished(self)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call ``callback`` after ``delay_s``."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    def waits_for_journal(self, error: StoreError) -> None:
        """Log that what was read could not be written to the journal."""
        log.error(
            "journal.write_failed",
            address=self._listener.address,
            peer=self._peer,
            reason=error.what,
            hint=error.hint,
            next="the data stays in memory and the write is retried; senders wait",
        )

    # Called by the read budget

    def pause(self) -> None:
        """Pause reading."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Continue to read, unless payloads wait here or the read budget is exhausted."""
        if not (self._reading.has_records or self._intake.is_full or self._transport.is_closing()):
            self._transport.resume_reading()

    # Called during a drain

    def drain(self, byte_count_max: float) -> None:
        """Read what has arrived, and at most ``byte_count_max`` more."""
        if self._is_open:
            self._byte_count_last = self.byte_count + self._bytes_in_kernel() + byte_count_max

    def end_drain(self) -> None:
        """Read on for as long as the sender sends."""
        self._byte_count_last = float("inf")

    def is_empty(self) -> bool:
        """Return whether neither this process nor its kernel holds data of this sender."""
        return not self._reading.has_records and (not self._is_open or self._bytes_in_kernel() == 0)

    def _bytes_in_kernel(self) -> int:
        count = array.array("i", [0])
        # An error may have closed the socket before the transport has reported it.
        with contextlib.suppress(OSError, ValueError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
        return count[0]

    def close(self) -> None:
        """Close the connection."""
        if self._is_open:
            self._transport.close()

    # Called by a hand-over to another worker

    def copy(self) -> ConnectionCopy | None:
        """Return a copy of the connection; ``None`` if it has ended. Raises ``OSError``."""
        if not self._is_open or self._transport.is_closing():
            return None
        file = ours(os.dup(self._transport.get_extra_info("socket").fileno()))
        stream = socket.socket(fileno=file)
        return ConnectionCopy(self._listener.pipeline, self._framer.rest, stream)

    def detach(self) -> None:
        """Close our copy of a connection that another worker reads; no data is lost."""
        if self._is_open:
            self._is_given_up = True
            self._transport.abort()
