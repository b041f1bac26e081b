"""Has poison records for what is hard to survive: exits, endless loops, values without a text."""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import decode_text, encode_text


@wallaroo.computation("prepare")
def prepare(record: str) -> Any:
    return threading.Lock() if record == "lock" else record


@wallaroo.computation("work")
def work(record: str) -> str:
    match record:
        case "leave":
            sys.exit(7)
        case "surrogate":
            raise ValueError("no such letter: \udcff")
        case "linger asleep":
            Path("lingering").touch()
            while True:
                time.sleep(0.1)
        case "linger busily":
            Path("lingering").touch()
            while True:
                pass
    return record


@wallaroo.partition
def key_of(record: str) -> str | int:
    name, _, number = record.partition(" ")
    return (10**4_999) + int(number) if name == "huge" else record


class Seen:
    pass


@wallaroo.state_computation("keep")
def keep(record: str, state: Seen) -> tuple[str, bool]:
    if record.startswith("huge"):
        raise LookupError("too much to look up")
    return record, True


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("hardy")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(*source, decode_text))
        .to(prepare)
        .to_parallel(work)
        .to_state_partition(keep, Seen, "seen", key_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_text))
        .build()
    )
