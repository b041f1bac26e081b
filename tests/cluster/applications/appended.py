"""Sums, written by a sink of its own: all workers append lines to one file."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import wallaroo
from shared_codecs import decode_pair, encode_pair, key_of_pair
from sums import Sum, add


class Appended(wallaroo.Sink[tuple[str, int]]):
    """Is there only while the folder ``target`` is; refuses keys that begin with ``refused``.

    Writes of a process wait while a file has its number as name.
    """

    name = "lines"

    def __init__(self) -> None:
        self.encoder = encode_pair

    def open(self) -> None:
        path = Path("target", "lines.txt")
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, records: Sequence[str]) -> None:
        while Path(str(os.getpid())).exists():
            time.sleep(0.01)
        if not Path("target").exists():
            raise OSError("the target is away")
        refused = {at: "no" for at, line in enumerate(records) if line.startswith("refused")}
        if refused:
            raise wallaroo.Rejected(refused)
        os.write(self.file, "".join(records).encode())

    def close(self) -> None:
        os.close(self.file)


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    return (
        wallaroo.ApplicationBuilder("appended")
        .new_pipeline("numbers", wallaroo.TCPSourceConfig(*source, decode_pair))
        .to_state_partition(add, Sum, "totals", key_of_pair)
        .to_sink(Appended())
        .build()
    )
