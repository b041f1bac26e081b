"""Says that this process lives, from a thread of its own and over a connection of its own.

The event loop cannot: a user's computation of a minute keeps it for a minute, and would be taken
for a death. The thread runs whenever Python lets threads take turns, which is several times a
second unless a C function keeps the interpreter to itself.
"""

import os
import socket
import threading

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Pulse, encode_control_frame
from wallaroo.wire.handshake import NONCE_BYTES, Handshake, Purpose, Side
from wallaroo_workers.forks import ours
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.settings import WorkerSettings

DIAL_TIMEOUT_S = 10.0


def start_pulse(settings: WorkerSettings, tls: Tls | None) -> None:
    """Start the thread; it ends with the process, or when the initializer disconnects."""
    threading.Thread(target=_beat, args=(settings, tls), name="pulse", daemon=True).start()


def _beat(settings: WorkerSettings, tls: Tls | None) -> None:
    pulse = Pulse(Epoch(settings.incarnation), WorkerName(settings.name))
    frame = encode_control_frame(pulse)
    pause = threading.Event()
    try:
        address = (settings.control_host, settings.control_port)
        with _connected(address, tls) as connection:
            _prove(connection, settings.secret)
            connection.settimeout(None)
            while True:
                connection.sendall(frame)
                pause.wait(settings.options.pulse_s)
    except (OSError, ProtocolError):
        # The control link tells what became of the initializer, and in what words.
        return


def _connected(address: tuple[str, int], tls: Tls | None) -> socket.socket:
    connection = ours(socket.create_connection(address, DIAL_TIMEOUT_S))
    return connection if tls is None else tls.dialing.wrap_socket(connection)


def _prove(connection: socket.socket, secret: bytes) -> None:
    """Prove the cluster's secret, and have it proven."""
    handshake = Handshake(Side.DIALER, Purpose.CONTROL, secret, os.urandom(NONCE_BYTES))
    connection.sendall(handshake.first_bytes())
    while not handshake.is_done:
        data = connection.recv(1024)
        if not data:
            raise ProtocolError("the initializer closed the connection")
        connection.sendall(handshake.receive_data(data))
