"""The application of the stored checkpoints, which name what is in it: leave it as it is.

Each release that makes a stored checkpoint runs it, so it uses only what all of them have.
"""

import time
from typing import Any

import wallaroo

is_slow = False
"""Whether records and pickles take so long that a crash finds work half done."""

DECLARED = ["r0", "r1", "s0"]

RECORD_S = 0.002
PICKLE_S = 0.001


class Total:
    """What the numbers of one key come to: none can be lost or counted twice without a trace."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.squares = 0

    def add(self, number: int) -> None:
        self.count += 1
        self.sum += number
        self.squares += number * number

    def __getstate__(self) -> dict[str, int]:
        if is_slow:
            time.sleep(PICKLE_S)
        return self.__dict__


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[str, int]:
    key, number = payload.decode().split()
    return key, int(number)


@wallaroo.partition
def key_of(record: tuple[str, int]) -> str:
    return record[0]


@wallaroo.partition
def remainder_of(record: tuple[str, int]) -> tuple[str, int]:
    return record[0][:1], record[1] % 5


@wallaroo.state_computation("add")
def add(record: tuple[str, int], total: Total) -> tuple[tuple[str, int], bool]:
    if is_slow:
        time.sleep(RECORD_S)
    total.add(record[1])
    return record, True


@wallaroo.encoder
def encode(record: tuple[str, int]) -> str:
    return f"{record[0]} {record[1]}\n"


def application_setup(args: list[str]) -> Any:
    global is_slow
    is_slow = "--slow" in args
    [(host, port)] = wallaroo.tcp_parse_input_addrs(args)
    return (
        wallaroo.ApplicationBuilder("stored totals")
        .new_pipeline("read", wallaroo.FileSourceConfig("lines.txt", decode, framing="newline"))
        .to_state_partition(add, Total, "by key", key_of, DECLARED)
        .to_state_partition(add, Total, "by remainder", remainder_of)
        .to_sink(wallaroo.FileSinkConfig("read.txt", encode))
        .new_pipeline("sent", wallaroo.TCPSourceConfig(host, port, decode))
        .to_state_partition(add, Total, "by key", key_of, DECLARED)
        .to_sink(wallaroo.FileSinkConfig("sent.txt", encode))
        .build()
    )
