"""Sends stamped records at a rate, keys in a drawn order, round after round; a process of its own.

Arguments: HOST:PORT, keys, records a second (0: as fast as it goes), records in all.
"""

import random
import socket
import struct
import sys
import time

FRAME = struct.Struct(">IQI")
PAYLOAD_BYTES = 12
PAUSE_S = 0.001
BURST = 10_000
SEED = 1


def main() -> None:
    """Send what is due, look again a moment later."""
    address, key_count, rate, total = sys.argv[1], *map(int, sys.argv[2:5])
    host, _, port = address.rpartition(":")
    keys = list(range(key_count))
    random.Random(SEED).shuffle(keys)
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started_s = time.monotonic()
        sent = 0
        while sent < total:
            due = int((time.monotonic() - started_s) * rate) if rate else total
            end = min(due, total, sent + BURST)
            if end > sent:
                connection.sendall(_frames(keys, sent, end))
                sent = end
            if rate:
                time.sleep(PAUSE_S)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def _frames(keys: list[int], begin: int, end: int) -> bytes:
    stamp, count = time.monotonic_ns(), len(keys)
    pack = FRAME.pack
    return b"".join(
        [pack(PAYLOAD_BYTES, stamp, keys[number % count]) for number in range(begin, end)]
    )


if __name__ == "__main__":
    main()
