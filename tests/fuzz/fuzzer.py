"""Sends inputs to the ports of a running cluster, as any client that reaches them could."""

import collections
import contextlib
import os
import resource
import selectors
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.clients import Client, Dripper
from tests.fuzz.said import Address, Inputs, dialed
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES, Handshake, Purpose, Side

AT_ONCE = 32
SILENT_EACH = 50
"""One in so many does not say that nothing follows."""
LINGERING = 64
"""Connections at each port that are kept, silent, while the others come and go."""
DRIPPING = 8
"""Connections at each port that say a byte now and then."""


@dataclass
class Port:
    """A port to try; ``name`` says what listens there."""

    name: str
    address: Address
    inputs: Inputs


@dataclass
class Report:
    """What was sent."""

    by_port: collections.Counter[str] = field(default_factory=collections.Counter)
    by_kind: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: int = 0
    """Connections that the other side ended."""

    def __iadd__(self, other: "Report") -> "Report":
        self.by_port += other.by_port
        self.by_kind += other.by_kind
        self.refused += other.refused
        return self


def hello_once_said(
    address: Address, purpose: Purpose, secret: bytes, tls: ssl.SSLContext | None = None
) -> bytes:
    """Shake hands as a member would; return all that it said, as somebody who listens gets it."""
    handshake = Handshake(Side.DIALER, purpose, secret, os.urandom(NONCE_BYTES))
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(dialed(address))
        if tls is not None:
            connection = stack.enter_context(tls.wrap_socket(connection))
        said = handshake.first_bytes()
        connection.sendall(said)
        opening = b""
        while (missing := len(MAGIC) + NONCE_BYTES + PROOF_BYTES - len(opening)) > 0:
            piece = connection.recv(missing)
            assert piece, "the other side has closed the connection"
            opening += piece
        proof = handshake.receive_data(opening)
        connection.sendall(proof)
        assert handshake.is_done
    return said + proof


def fuzz(ports: list[Port], count: int) -> Report:
    """Send so many inputs, dealt out over the ports, each over a connection of its own."""
    report = Report()
    left = count
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as stack:
        for port in ports:
            lingerers(port, stack)
        drops = Drops(ports, stack)
        while left or waiting.get_map():
            while left and len(waiting.get_map()) < AT_ONCE:
                left -= 1
                port = ports[left % len(ports)]
                said = port.inputs.draw()
                report.by_port[port.name] += 1
                report.by_kind[said.kind] += 1
                client = Client(port.address, said, is_silent=left % SILENT_EACH == 0)
                waiting.register(client.socket, selectors.EVENT_READ, client)
            report.refused += _close_finished(waiting)
            drops.fall()
    return report


def lingerers(port: Port, stack: contextlib.ExitStack) -> None:
    """Open connections that say little and stay."""
    for number in range(LINGERING):
        connection = stack.enter_context(dialed(port.address))
        with contextlib.suppress(OSError):
            connection.sendall(MAGIC[: number % len(MAGIC)])


class Drops:
    """Connections that are never in a hurry."""

    def __init__(self, ports: list[Port], stack: contextlib.ExitStack) -> None:
        self._drippers = [(port, _dripper(port)) for port in ports for _ in range(DRIPPING)]
        self._next = 0
        stack.callback(self._close)

    def fall(self) -> None:
        """One of them says its next byte, or gives way to another."""
        self._next = (self._next + 1) % len(self._drippers)
        port, dripper = self._drippers[self._next]
        if not dripper.drip():
            dripper.close()
            self._drippers[self._next] = (port, _dripper(port))

    def _close(self) -> None:
        for _, dripper in self._drippers:
            dripper.close()


def _dripper(port: Port) -> Dripper:
    return Dripper(port.address, port.inputs.draw().data)


def _close_finished(waiting: selectors.BaseSelector) -> int:
    """Wait for the next event; close finished connections; return how many the peer ended."""
    refused = 0
    now = time.monotonic()
    over: list[Client] = []
    for key, _ in waiting.select(0.05):
        if key.data.receive():
            refused += 1
            over.append(key.data)
    over += [key.data for key in waiting.get_map().values() if key.data.deadline < now]
    for client in dict.fromkeys(over):
        waiting.unregister(client.socket)
        client.close()
    return refused


def open_files(pids: Iterable[int]) -> dict[int, int]:
    """How many files each process has open."""
    return {pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids}


def resident_mb(pids: Iterable[int]) -> dict[int, float]:
    """The memory of each process."""
    page_mb = resource.getpagesize() / (1 << 20)
    return {pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page_mb for pid in pids}
