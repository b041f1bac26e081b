"""One sender's connection: cut what arrives into payloads, write it down, hand it to the engine."""

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
from wallaroo.ingest.connection_handover import Handed
from wallaroo.ingest.connection_reader import Reading
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import join_address
from wallaroo_workers.rate_limited_log import BoundedLog
from wallaroo_workers.sources.frame_limits import IntakeLimits

log = get_logger()


class Listener(Protocol):
    """What a connection has to know of where it was accepted."""

    source: TCPSource
    pipeline: int
    engine: Engine
    intake: ReadBudget
    journal: Journal | None
    """Where everything is written down before it is processed; ``None`` without checkpoints."""
    limits: IntakeLimits
    refusals: BoundedLog
    cut_off: BoundedLog
    address: str
    received_bytes: int
    """From all connections, those that are gone included."""
    drain_bytes: float
    """What a connection may still deliver once the source is being drained."""

    def opened(self, connection: "SourceConnection") -> None:
        """The connection stands."""
        ...

    def done_with(self, connection: "SourceConnection") -> None:
        """It is gone, and all it delivered is taken."""
        ...


class SourceConnection(asyncio.Protocol):
    """One sender. Reads one piece, waits until the engine has taken it, then reads on."""

    def __init__(self, listener: Listener, begin: bytes | None = None) -> None:
        """``begin`` is the start of a frame that another worker has read; ``None``: none has."""
        self._listener = listener
        self._intake = listener.intake
        self._framer = listener.source.framer(listener.limits.frame_bytes_max)
        whole = self._framer.receive_data(begin or b"")
        assert not whole, "what is whole is taken where it was read"
        self._reading = Reading(
            self, listener.pipeline, self._framer, listener.engine, self._intake, listener.journal
        )
        self._transport: asyncio.Transport
        self._is_open = False
        self._is_given_up = False
        self._peer = ""
        self._first_bytes = b""
        """How the stream starts, if it starts here."""
        self._is_new = begin is None
        self.byte_count = 0
        self.byte_count_last = listener.drain_bytes
        """Where a drain ends at the latest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = join_address(*peer[:2]) if peer else "a sender that is gone"
        self._is_open = True
        self._listener.opened(self)
        self._intake.add(self)
        self._listener.limits.unfinished.holds(self, self._framer.buffered_bytes)
        log.debug("source.connected", address=self._listener.address, peer=self._peer)

    def data_received(self, data: bytes) -> None:
        """Cut into payloads; no more is read until they are processed."""
        if self._is_new and not self.byte_count:
            self._first_bytes = data[:LOOKED_AT_BYTES]
        self.byte_count += len(data)
        self._listener.received_bytes += len(data)
        self._reading.delivered_ns = time.time_ns()
        has_payloads = self._reading.receive_data(data)
        self._listener.limits.unfinished.holds(self, self._framer.buffered_bytes)
        if self._framer.error is not None:
            self.give_up(self._framer.error.what)
        if not has_payloads and self.byte_count >= self.byte_count_last:
            self.close()

    def eof_received(self) -> None:
        """Take a last line without a line end; the transport closes itself."""
        self._reading.delivered_ns = time.time_ns()
        self._reading.receive_eof()
        if self._framer.error is not None:
            self.give_up(self._framer.error.what)

    def give_up(self, reason: str) -> None:
        """Close the connection; what is unfinished is dropped."""
        self._is_given_up = True
        self._listener.refusals.add(
            address=self._listener.address,
            peer=self._peer,
            reason=reason,
            hint=self._likely_cause() or "check what this sender sends",
            next="the connection is closed; what came before is processed",
        )
        self._transport.abort()

    def _likely_cause(self) -> str:
        if self._framer.rest_offset:
            return ""  # it was understood at first
        return likely_cause(self._first_bytes, expects_lines=self._listener.source.has_lines)

    def connection_lost(self, exc: Exception | None) -> None:
        """Payloads that wait are still the engine's to take."""
        self._is_open = False
        self._intake.remove(self)
        self._listener.limits.unfinished.holds(self, 0)
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
        """Forget payloads that stand in the journal."""
        self._reading.rewind()

    # For what is read

    def emptied(self) -> None:
        """Read on, or be gone."""
        if not self._is_open:
            self._end()
        elif self.byte_count >= self.byte_count_last:
            self.close()
        else:
            self.resume()

    def _end(self) -> None:
        self._reading.end()
        self._listener.done_with(self)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call back in a while."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    def waits_for_journal(self, error: StoreError) -> None:
        """Say that what was read could not be written down."""
        log.error(
            "source.waiting_for_journal",
            address=self._listener.address,
            peer=self._peer,
            reason=error.what,
            hint=error.hint,
            next="what was read is kept, and tried again; senders wait",
        )

    # For the intake

    def pause(self) -> None:
        """Read no more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless payloads wait here or all connections together have too many."""
        if not (self._reading.has_records or self._intake.is_full or self._transport.is_closing()):
            self._transport.resume_reading()

    # For a drain

    def drain(self, byte_count_max: float) -> None:
        """Read what has arrived, and so much more at most."""
        if self._is_open:
            self.byte_count_last = self.byte_count + self._bytes_in_kernel() + byte_count_max

    def is_empty(self) -> bool:
        """Whether neither we nor our kernel hold anything of this sender."""
        return not self._reading.has_records and (not self._is_open or self._bytes_in_kernel() == 0)

    def _bytes_in_kernel(self) -> int:
        count = array.array("i", [0])
        # The socket may have been closed already by an error that nobody has told us of yet.
        with contextlib.suppress(OSError, ValueError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
        return count[0]

    def close(self) -> None:
        """Hang up."""
        if self._is_open:
            self._transport.close()

    # For another worker that reads on

    def handed(self) -> Handed | None:
        """Return a copy of the connection; ``None`` where it has ended. Raises ``OSError``."""
        if not self._is_open or self._transport.is_closing():
            return None
        file = ours(os.dup(self._transport.get_extra_info("socket").fileno()))
        return Handed(self._listener.pipeline, self._framer.rest, socket.socket(fileno=file))

    def let_go(self) -> None:
        """Forget the connection, which is another worker's; nothing of it was lost."""
        if self._is_open:
            self._is_given_up = True
            self._transport.abort()
