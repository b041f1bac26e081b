"""Sends inputs to the ports of a running cluster, as strangers who can reach them would."""

import collections
import contextlib
import os
import resource
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.inputs import Inputs
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES, Handshake, Purpose, Side

AT_ONCE = 32
ANSWER_WAIT_S = 1.0
"""After so long without an answer a stranger hangs up; ports need not answer."""
SILENT_EACH = 50
"""One in so many does not say that nothing follows."""
LINGERING = 64
"""Connections that are kept, silent, while the others come and go."""


@dataclass
class Port:
    """A port to try; ``name`` says what listens there."""

    name: str
    address: tuple[str, int]


@dataclass
class Report:
    """What was sent."""

    by_port: collections.Counter[str] = field(default_factory=collections.Counter)
    by_kind: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: int = 0
    """Connections that the other side ended."""


def hello_once_said(address: tuple[str, int], purpose: Purpose, secret: bytes) -> bytes:
    """Shake hands as a member would; return all that it said, as somebody who listens gets it."""
    handshake = Handshake(Side.DIALER, purpose, secret, os.urandom(NONCE_BYTES))
    with socket.create_connection(address, 10) as connection:
        said = handshake.first_bytes()
        connection.sendall(said)
        opening = connection.recv(len(MAGIC) + NONCE_BYTES + PROOF_BYTES, socket.MSG_WAITALL)
        proof = handshake.receive_data(opening)
        connection.sendall(proof)
        assert handshake.is_done
    return said + proof


def fuzz(ports: list[Port], inputs: Inputs, count: int) -> Report:
    """Send so many inputs, dealt out over the ports, each over a connection of its own."""
    report = Report()
    left = count
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as lingering:
        for port in ports:
            lingerers(port, lingering)
        while left or waiting.get_map():
            while left and len(waiting.get_map()) < AT_ONCE:
                left -= 1
                port = ports[left % len(ports)]
                kind, data = inputs.draw()
                report.by_port[port.name] += 1
                report.by_kind[kind] += 1
                _send(port, data, left, waiting)
            report.refused += _hang_up(waiting)
    return report


def lingerers(port: Port, stack: contextlib.ExitStack) -> None:
    """Open connections that say little and stay."""
    for number in range(LINGERING):
        connection = stack.enter_context(socket.create_connection(port.address, 10))
        with contextlib.suppress(OSError):
            connection.sendall(MAGIC[: number % len(MAGIC)])


def _send(port: Port, data: bytes, number: int, waiting: selectors.BaseSelector) -> None:
    connection = socket.create_connection(port.address, 10)
    try:
        connection.sendall(data)
        if number % SILENT_EACH:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        connection.close()
        return
    connection.setblocking(False)
    waiting.register(connection, selectors.EVENT_READ, time.monotonic() + ANSWER_WAIT_S)


def _hang_up(waiting: selectors.BaseSelector) -> int:
    """Wait for what happens next; end connections that are over, say how many the peer ended."""
    refused = 0
    now = time.monotonic()
    for key, _ in waiting.select(0.05):
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        try:
            is_over = not connection.recv(1 << 16)
        except OSError:
            is_over = True
        if is_over:
            refused += 1
            waiting.unregister(connection)
            connection.close()
    for key in list(waiting.get_map().values()):
        if key.data < now and isinstance(key.fileobj, socket.socket):
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    return refused


def resident_mb(pids: Iterable[int]) -> dict[int, float]:
    """The memory of each process."""
    page_mb = resource.getpagesize() / (1 << 20)
    return {pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page_mb for pid in pids}
