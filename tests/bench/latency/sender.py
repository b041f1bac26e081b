"""Sends stamped records at a rate; a process of its own: HOST PORT RATE SECONDS."""

import socket
import struct
import sys
import time

from tests.bench.applications.stamps import KEY_COUNT

FRAME = struct.Struct(">IQI")
PAUSE_S = 0.0002


def main() -> None:
    """Send what is due, look again a moment later."""
    host, port, rate, seconds = sys.argv[1:5]
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    started = time.monotonic()
    sent = 0
    total = int(float(rate) * float(seconds))
    while sent < total:
        due = min(int((time.monotonic() - started) * float(rate)), total)
        if due > sent:
            stamp = time.monotonic_ns()
            frames = [FRAME.pack(12, stamp, number % KEY_COUNT) for number in range(sent, due)]
            connection.sendall(b"".join(frames))
            sent = due
        time.sleep(PAUSE_S)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)


if __name__ == "__main__":
    main()
